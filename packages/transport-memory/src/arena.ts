const BLOCK_BYTES = 64 * 1024
/** Longer frames get memory of their own: a block serves many frames or none. */
const SHARED_BYTES_MAX = 8 * 1024

/** Memory for frames that come in several pieces. No byte is ever written twice, so that each frame belongs to its receiver. */
export class Arena {
  #block = new Uint8Array(0)
  #used = 0

  join(pieces: readonly Uint8Array[], length: number): Uint8Array {
    const frame = this.#take(length)
    let at = 0
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i] as Uint8Array
      frame.set(piece, at)
      at += piece.length
    }
    return frame
  }

  #take(length: number): Uint8Array {
    if (length > SHARED_BYTES_MAX) return new Uint8Array(length)
    if (this.#block.length - this.#used < length) {
      this.#block = new Uint8Array(BLOCK_BYTES)
      this.#used = 0
    }
    const start = this.#used
    this.#used = start + length
    return this.#block.subarray(start, start + length)
  }
}
