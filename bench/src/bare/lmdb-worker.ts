/** As the worker of files, into LMDB: whatever has come while a commit was under way goes with the next, as one value. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { BareLmdb } from './lmdb.ts'

const { file } = workerData as { file: string }
const port: MessagePort = parentPort!
const log = new BareLmdb(`${file}.mdb`)
let durable = 0
/** Batches that wait, one behind the other. */
let gathered = new Uint8Array(1 << 20)

function take(at: number, piece: Uint8Array): number {
  if (at + piece.length > gathered.length) {
    const larger = new Uint8Array(2 * (at + piece.length))
    larger.set(gathered.subarray(0, at))
    gathered = larger
  }
  gathered.set(piece, at)
  return at + piece.length
}

port.on('message', (first: ArrayBuffer | null) => {
  let waiting: ArrayBuffer | null | undefined = first
  do {
    let bytes = 0
    for (; waiting !== undefined && waiting !== null; waiting = receiveMessageOnPort(port)?.message) bytes = take(bytes, new Uint8Array(waiting))
    if (bytes > 0) {
      log.append(gathered.subarray(0, bytes))
      durable += bytes
      port.postMessage(durable)
    }
    if (waiting === null) {
      log.close().finally(() => port.close())
      return
    }
    waiting = receiveMessageOnPort(port)?.message
  } while (waiting !== undefined)
})
port.postMessage(0)
