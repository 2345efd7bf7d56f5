import type { OriginRow } from './origins.ts'

/** At most: between two looks at the clock, and in one call of a machine. */
export const PIECE_ENTRIES: number = 1024

/** For each entry of a piece that concerns a row: what the origin had confirmed by then, and of which machine the result is to be kept, from where: the index in its batch, or a refusal at `-place - 1`. */
export class TableSteps {
  readonly rows: OriginRow[] = []
  readonly confirmed: Float64Array = new Float64Array(PIECE_ENTRIES)
  readonly machine: Uint8Array = new Uint8Array(PIECE_ENTRIES)
  readonly places: Int32Array = new Int32Array(PIECE_ENTRIES)

  clear(): void {
    this.rows.length = 0
  }

  /** The shell's machine: nothing is kept. */
  add(row: OriginRow, confirmed: number, machine: number, place: number): void {
    const i = this.rows.length
    this.confirmed[i] = confirmed
    this.machine[i] = machine
    this.places[i] = place
    this.rows.push(row)
  }
}
