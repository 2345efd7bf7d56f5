import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { BareLog, type Medium } from './log.ts'

/** Everything that comes goes into the log; how many bytes of it are durable goes back, cumulatively. */
export class BareFollower {
  readonly #server: Server
  readonly port: number
  #log: BareLog | null = null

  private constructor(server: Server) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  static async start(medium: Medium, folder: string): Promise<BareFollower> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const follower = new BareFollower(server)
    let leader: Socket | null = null
    follower.#log = await BareLog.open(medium, join(folder, 'log'), (bytes) => {
      const ack = Buffer.allocUnsafe(8)
      ack.writeDoubleLE(bytes)
      leader?.write(ack)
    })
    server.on('connection', (socket) => {
      leader = socket
      socket.on('data', (bytes) => {
        const whole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength
        follower.#log!.append((whole ? bytes.buffer : bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)) as ArrayBuffer)
      })
      socket.on('error', () => socket.destroy())
    })
    return follower
  }

  async close(): Promise<void> {
    this.#server.close()
    await this.#log?.close()
  }
}
