import type { Run } from '@antiphon/ports'
import { entriesBetween, type Point, storedError } from '@antiphon/storage-kit'
import { EnvironmentView } from './environment.ts'
import { segmentName } from './format.ts'
import { Log } from './log.ts'
import { leftovers, readStored } from './recovery.ts'
import type { Moment, Question, Reply, Request } from './view-process.ts'

// A process that reads one moment of an environment, for `ViewProcess`: it ends with its parent.
let log: Log | null = null

function open({ path, marker }: Question & { ask: 'open' }): Moment {
  const view = new EnvironmentView(path)
  const { head, founding, ends, segments } = readStored(view.root, marker)
  const left = leftovers(view.names, segments)
  const opened = new Log(view, head.storeId, Number.MAX_SAFE_INTEGER, head.tail, ends)
  opened.adopt(segments)
  log = opened
  const { start, tail, endPoints } = opened
  const described = segments.map((segment, i) => {
    const [previous, last] = [segment.start.zxid, segments[i + 1]?.start.zxid ?? tail.zxid]
    return { database: segmentName(segment.number), previous, last, entries: entriesBetween(endPoints, previous, last) }
  })
  const { storeId, generation, commits, epochs } = head
  return { storeId, founding, epochs, generation, commits, start, tail, endPoints, segments: described, leftovers: left }
}

function answer(question: Question): Moment | Point | null | Run[] {
  switch (question.ask) {
    case 'open':
      return open(question)
    case 'point':
      return log!.pointAt(question.zxid)
    case 'read':
      return log!.read(question.after, question.upTo, question.bytesMax)
  }
}

function reply({ id, question }: Request): Reply {
  try {
    return { id, value: answer(question) }
  } catch (error) {
    return { id, error: storedError(error) }
  }
}

process.on('message', (request: Request) => process.send!(reply(request)))
process.on('disconnect', () => process.exit(0))
