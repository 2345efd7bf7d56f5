import { corrupt } from '@antiphon/ports'
import type { SessionId } from '../types.ts'

const ID_BYTES = 8
/** A note may have 64 KiB. */
const IDS_MAX = (64 * 1024) / ID_BYTES

/** Sessions of which something was heard here since it was last said, and those that are held here. What does not fit into one note goes into the next. */
export class Touches {
  readonly #touched = new Set<SessionId>()
  readonly #held = new Map<SessionId, number>()
  /** Held ones that are still to be told in this round. */
  #round: Iterator<SessionId> | null = null

  touch(session: SessionId): void {
    this.#touched.add(session)
  }

  hold(session: SessionId): () => void {
    this.#held.set(session, (this.#held.get(session) ?? 0) + 1)
    this.#touched.add(session)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      const holders = this.#held.get(session)! - 1
      if (holders === 0) this.#held.delete(session)
      else this.#held.set(session, holders)
    }
  }

  /** Has the last note brought the round to its end, so that everybody who is held was named in it? */
  get isRoundOver(): boolean {
    return this.#round === null
  }

  /** Null: there is nothing to say. */
  note(): Uint8Array | null {
    const ids: SessionId[] = []
    // However many are touched all the time, those that are held have their turn.
    const touchedMax = this.#held.size > 0 ? IDS_MAX / 2 : IDS_MAX
    for (const session of this.#touched) {
      if (ids.length === touchedMax) break
      this.#touched.delete(session)
      ids.push(session)
    }
    this.#addHeld(ids)
    if (ids.length === 0) return null
    const note = new Uint8Array(ids.length * ID_BYTES)
    const view = new DataView(note.buffer)
    for (let i = 0; i < ids.length; i++) view.setBigUint64(i * ID_BYTES, ids[i]!)
    return note
  }

  #addHeld(ids: SessionId[]): void {
    this.#round ??= this.#held.keys()
    while (ids.length < IDS_MAX) {
      const next = this.#round.next()
      if (next.done === true) {
        this.#round = null
        return
      }
      ids.push(next.value)
    }
  }
}

/** @throws AntiphonError CORRUPT */
export function sessionsOfNote(note: Uint8Array): SessionId[] {
  if (note.length % ID_BYTES !== 0 || note.length > IDS_MAX * ID_BYTES) throw corrupt(`a note of ${note.length} bytes names no sessions`)
  const view = new DataView(note.buffer, note.byteOffset, note.byteLength)
  const ids: SessionId[] = []
  for (let at = 0; at < note.length; at += ID_BYTES) ids.push(view.getBigUint64(at))
  return ids
}
