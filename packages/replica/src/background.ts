/** What goes on by itself, and ends before the replica does. */
export class Background {
  readonly #tasks = new Set<Promise<void>>()
  readonly #failed: (error: unknown) => void

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  run(task: Promise<void>): void {
    const settled = task.catch(this.#failed).finally(() => this.#tasks.delete(settled))
    this.#tasks.add(settled)
  }

  /** Of those that are under way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#tasks)
  }
}
