/** Writes what was posted and flushes it: whatever has come while a flush was under way goes with the next, in one write. */
import { closeSync, fdatasyncSync, openSync, unlinkSync, writeSync, writevSync } from 'node:fs'
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'

const { file, segmentBytes } = workerData as { file: string; segmentBytes: number }
const port: MessagePort = parentPort!
const STEP_BYTES = 512 * 1024
const AHEAD_BYTES = 16 * 1024 * 1024
const zeros = new Uint8Array(STEP_BYTES)

/** A log goes on: behind a full segment comes a new one, zero-filled some way ahead of what is written, in flushed steps. Segments before the last are not needed. */
let number = 0
let fd = openSegment()
let at = 0
let filled = 0
let durable = 0
while (filled < AHEAD_BYTES) fill()

function openSegment(): number {
  const opened = openSync(`${file}-${number}`, 'wx+')
  if (number > 1) unlinkSync(`${file}-${number - 2}`)
  number++
  return opened
}

function fill(): void {
  writeSync(fd, zeros, 0, STEP_BYTES, filled)
  fdatasyncSync(fd)
  filled += STEP_BYTES
}

function write(pieces: readonly Uint8Array[], bytes: number): void {
  if (at + bytes > segmentBytes) {
    closeSync(fd)
    fd = openSegment()
    at = 0
    filled = 0
  }
  if (writevSync(fd, pieces, at) !== bytes) throw new Error('the log took a part of a batch')
  fdatasyncSync(fd)
  at += bytes
  filled = Math.max(filled, Math.ceil(at / STEP_BYTES) * STEP_BYTES)
  durable += bytes
  port.postMessage(durable)
}

port.on('message', (first: ArrayBuffer | null) => {
  let waiting: ArrayBuffer | null | undefined = first
  do {
    const pieces: Uint8Array[] = []
    let bytes = 0
    for (; waiting !== undefined && waiting !== null; waiting = receiveMessageOnPort(port)?.message) {
      pieces.push(new Uint8Array(waiting))
      bytes += waiting.byteLength
    }
    if (bytes > 0) write(pieces, bytes)
    if (waiting === null) {
      closeSync(fd)
      port.close()
      return
    }
    waiting = receiveMessageOnPort(port)?.message
    // Nothing waits: a step ahead, if a whole one is due.
    if (waiting === undefined && filled + STEP_BYTES <= Math.min(segmentBytes, at + AHEAD_BYTES)) {
      fill()
      waiting = receiveMessageOnPort(port)?.message
    }
  } while (waiting !== undefined)
})
port.postMessage(0)
