/** 64 bits, in two unsigned halves. */
export interface Hash {
  readonly high: number
  readonly low: number
}

export const NO_HASH: Hash = { high: 0, low: 0 }

const P1 = 0x9e3779b1
const P2 = 0x85ebca77
const P3 = 0xc2b2ae3d
const P4 = 0x27d4eb2f

/** Takes in one number after the other; two lanes, each of which every bit of every number reaches. */
export class Mixer {
  #a = 0
  #b = 0

  begin(): void {
    this.#a = 0x243f6a88
    this.#b = 0x13198a2e
  }

  add(word: number): void {
    const a = Math.imul(this.#a ^ word, P1)
    const b = Math.imul(this.#b ^ word, P3)
    this.#a = ((a << 13) | (a >>> 19)) + P4
    this.#b = ((b << 17) | (b >>> 15)) + P2
  }

  get high(): number {
    return finish(this.#a ^ Math.imul(this.#b, P2))
  }

  get low(): number {
    return finish(this.#b ^ Math.imul(this.#a, P4))
  }
}

function finish(lane: number): number {
  let x = lane
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

const mixer = new Mixer()

export function hashBytes(bytes: Uint8Array): Hash {
  mixer.begin()
  mixer.add(bytes.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const whole = bytes.length & ~3
  for (let at = 0; at < whole; at += 4) mixer.add(view.getUint32(at))
  for (let at = whole; at < bytes.length; at++) mixer.add(bytes[at]!)
  return { high: mixer.high, low: mixer.low }
}

export function hashText(text: string): Hash {
  mixer.begin()
  mixer.add(text.length)
  for (let i = 0; i < text.length; i++) mixer.add(text.charCodeAt(i))
  return { high: mixer.high, low: mixer.low }
}
