import { pbkdf2 } from 'node:crypto'

const CONCURRENT = 8
const ITERATIONS = 50_000

/** Keeps `CONCURRENT` key derivations in libuv's pool until the returned function is called, which resolves when the last has ended. */
export function starve(): () => Promise<void> {
  let stopped = false
  const ended: Promise<void>[] = []
  for (let i = 0; i < CONCURRENT; i++) {
    ended.push(
      new Promise((resolve, reject) => {
        const again = (error: Error | null): void => {
          if (error !== null) reject(error)
          else if (stopped) resolve()
          else pbkdf2('password', 'salt', ITERATIONS, 64, 'sha512', again)
        }
        again(null)
      }),
    )
  }
  return async () => {
    stopped = true
    await Promise.all(ended)
  }
}
