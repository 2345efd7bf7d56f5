import type { MemberView } from './messages.ts'

const REDRAW_MS = 100
const CLEAR_LINE = '\x1b[2K'

/** On a terminal: lines that scroll, and below them one live line for each replica. Piped: plain lines alone. */
export class Display {
  readonly #live: boolean
  readonly #rows: () => readonly string[]
  readonly #began = performance.now()
  #drawn = 0
  #timer: NodeJS.Timeout | null = null

  constructor(rows: () => readonly string[]) {
    this.#live = process.stdout.isTTY === true
    this.#rows = rows
  }

  start(): void {
    if (this.#live) this.#timer = setInterval(() => this.#draw(), REDRAW_MS)
  }

  say(text: string): void {
    this.#erase()
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(2).padStart(6)
    console.log(this.#live ? `\x1b[2m${seconds} s\x1b[0m  ${text}` : `${seconds} s  ${text}`)
    if (this.#timer !== null) this.#draw()
  }

  /** The live lines go; what is printed afterwards stays. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#erase()
  }

  #draw(): void {
    this.#erase()
    const rows = this.#rows()
    process.stdout.write(`${rows.join('\n')}\n`)
    this.#drawn = rows.length
  }

  #erase(): void {
    if (this.#drawn > 0) process.stdout.write(`\x1b[${this.#drawn}A${`${CLEAR_LINE}\n`.repeat(this.#drawn)}\x1b[${this.#drawn}A`)
    this.#drawn = 0
  }
}

export function rowOf(id: number, view: MemberView | null, isFed: boolean, state: 'running' | 'killed'): string {
  if (state === 'killed') return `  \x1b[31m✗ ${id}  killed\x1b[0m`
  if (view === null) return `  \x1b[2m○ ${id}  starting\x1b[0m`
  const { role, epoch, applied, writes } = view
  const colour = role === 'leading' ? '\x1b[32m●' : '\x1b[36m○'
  return `  ${colour} ${id}  ${role.padEnd(13)}\x1b[0m epoch ${String(epoch).padEnd(4)} applied ${applied.padEnd(10)} ${String(writes).padStart(8)} writes${isFed ? '  ← fed' : ''}`
}
