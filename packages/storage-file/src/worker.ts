import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { EngineThread, type ThreadData } from './engine-thread.ts'
import { NodeDisk } from './node-disk.ts'

// The worker thread of one store: `workerLink` starts it, and ends it when the store is closed.
const port = parentPort!
const data = workerData as ThreadData
const thread = new EngineThread(
  new NodeDisk(data.folder),
  data,
  (reply, transfer) => port.postMessage(reply, transfer),
  (receive) => {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) receive(next.message)
  },
)
port.on('message', (request) => thread.receive(request))
