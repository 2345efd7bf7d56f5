/** Writes what was posted and flushes it: whatever has come while a flush was under way goes with the next, in one write. */
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync, writevSync } from 'node:fs'
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'

const { file, segmentBytes } = workerData as { file: string; segmentBytes: number }
const port: MessagePort = parentPort!
const fd = openSync(file, 'wx+')
const zeros = new Uint8Array(1 << 20)
for (let at = 0; at < segmentBytes; at += zeros.length) writeSync(fd, zeros, 0, Math.min(zeros.length, segmentBytes - at), at)
fsyncSync(fd)

let at = 0
let durable = 0
port.on('message', (first: ArrayBuffer | null) => {
  const pieces: Uint8Array[] = []
  let bytes = 0
  let ending = false
  for (let message: ArrayBuffer | null | undefined = first; message !== undefined; message = receiveMessageOnPort(port)?.message) {
    if (message === null) {
      ending = true
      break
    }
    pieces.push(new Uint8Array(message))
    bytes += message.byteLength
  }
  if (bytes > 0) {
    // The one segment is written around: a recycled segment is zero-filled as a new one is.
    if (at + bytes > segmentBytes) at = 0
    if (writevSync(fd, pieces, at) !== bytes) throw new Error('the log took a part of a batch')
    fdatasyncSync(fd)
    at += bytes
    durable += bytes
    port.postMessage(durable)
  }
  if (ending) {
    closeSync(fd)
    port.close()
  }
})
port.postMessage(0)
