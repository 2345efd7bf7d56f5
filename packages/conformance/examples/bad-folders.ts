import { AntiphonError } from '@antiphon/ports'
import type { Content, Done } from './array-store.ts'
import { FolderStore } from './folder-store.ts'

/** Answers first, writes then. */
export class EarlyFolder extends FolderStore {
  protected override enqueue(done: Done, content: Content | null): void {
    setTimeout(() => done(null), 0)
    super.enqueue(() => {}, content)
  }
}

export class NeverFlushes extends FolderStore {
  protected override flush(): void {}
}

export class NeverFlushesNames extends FolderStore {
  protected override flushNames(): void {}
}

/** Writes over what is there. */
export class WritesInPlace extends FolderStore {
  protected override keep(content: Content): void {
    const name = 'sheet'
    const file = this.disk.open(name, this.disk.list().includes(name) ? 'write' : 'create')
    const bytes = this.encode(content)
    // Grows only: what is shorter is filled with blanks.
    const padded = new Uint8Array(Math.max(bytes.length, this.disk.size(file)))
    padded.set(this.encode(content, padded.length - bytes.length))
    this.disk.write(file, padded, 0)
    this.disk.sync(file)
    this.disk.close(file)
    this.disk.syncDirectory()
  }
}

/** No room, no matter. */
export class IgnoresFullDisks extends FolderStore {
  protected override keep(content: Content): void {
    try {
      super.keep(content)
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOSPC') throw error
    }
  }
}

/** A flush that failed is tried again, and then succeeds: of nothing. */
export class FlushesAgain extends FolderStore {
  protected override flush(file: number): void {
    try {
      super.flush(file)
    } catch (error) {
      if ((error as { code?: string }).code !== 'EIO') throw error
      super.flush(file)
    }
  }
}

/** What fails is told, and what comes next is tried as if nothing had been. */
export class TriesTheNext extends FolderStore {
  protected override persist(content: Content | null): AntiphonError | null {
    try {
      if (content !== null) this.keep(content)
      return null
    } catch (error) {
      return new AntiphonError('DISK_FAILED', 'not this time', { remedy: 'Try again.', cause: error })
    }
  }
}

/** What cannot be read is not there. */
export class TakesErrorsForNothing extends FolderStore {
  protected override load(): Content {
    try {
      return super.load()
    } catch (error) {
      if (error instanceof AntiphonError) throw error
      return FolderStore.nothing
    }
  }
}

export class ChecksNothing extends FolderStore {
  protected override decode(bytes: Uint8Array): Content {
    return this.parse(bytes.subarray(4))
  }
}

/** What does not hold was never finished. */
export class TakesRotForNothing extends FolderStore {
  protected override load(): Content {
    try {
      return super.load()
    } catch (error) {
      if (error instanceof AntiphonError && error.code === 'CORRUPT') return FolderStore.nothing
      throw error
    }
  }
}
