import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { EngineThread, type ThreadData } from './engine-thread.ts'

// The worker thread of one store: `FileStore` starts it, and ends it when the store is closed.
const port = parentPort!
const thread = new EngineThread(
  workerData as ThreadData,
  (reply, transfer) => port.postMessage(reply, transfer),
  (receive) => {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) receive(next.message)
  },
)
port.on('message', (request) => thread.receive(request))
