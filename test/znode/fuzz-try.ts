import { proveSeed } from './prove.ts'

const first = Number(process.argv[3] ?? 1)
let bad = 0
const t0 = Date.now()
for (let seed = first; seed < first + Number(process.argv[2]) && bad < 2; seed++) {
  const failure = await proveSeed(seed)
  if (failure !== null) {
    bad++
    console.log(failure.text)
  }
  if (seed % 200 === 0) console.log(seed, Date.now() - t0)
}
