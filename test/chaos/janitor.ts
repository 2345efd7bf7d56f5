import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { SmallDisk } from './small-disk.ts'

/** Kills what is still there of the processes that it was told of, and of which the command line names the folder; then the folder goes. $1: the folder, $2: what may be mounted in it. */
const SCRIPT = `
trap '' INT TERM HUP
pids=
while read -r pid; do pids="$pids $pid"; done
for pid in $pids; do
  case "$(ps -ww -o args= -p "$pid")" in *"$1"*) kill -KILL "$pid" ;; esac
done
umount -l "$2" 2>/dev/null
for attempt in 1 2 3 4 5; do rm -rf "$1" && exit 0; sleep 1; done
exit 1
`

/** A process of its own that cleans up behind the run when its standard input ends, however that comes: also when the run is killed. */
export class Janitor {
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown[]>

  constructor(folder: string) {
    this.#process = spawn('sh', ['-c', SCRIPT, 'janitor', folder, SmallDisk.mountIn(folder)], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    this.#process.stdin!.on('error', () => {})
    this.#ended = once(this.#process, 'exit')
    this.#ended.catch(() => {})
  }

  /** A process that must not outlive the run, and has the folder's name among its arguments. */
  watch(pid: number): void {
    this.#process.stdin!.write(`${pid}\n`)
  }

  /** @throws Error when something is left */
  async close(): Promise<void> {
    this.#process.stdin!.end()
    const [code] = await this.#ended
    if (code !== 0) throw new Error('the folder of the run could not be removed')
  }
}
