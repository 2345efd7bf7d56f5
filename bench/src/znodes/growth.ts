import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { serve } from '../children.ts'
import { DrivenTree, fill, plainNodes } from './driven.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What is measured stays reachable. */
let kept: unknown = null

/** Bytes that this process grows by, for each node; and how long a full collection takes then. */
function growth(make: (nodes: number) => unknown, nodes: number): { bytes: number; collectionMs: number } {
  collect()
  const before = process.memoryUsage().rss
  kept = make(nodes)
  collect()
  const begun = performance.now()
  collect()
  const collectionMs = performance.now() - begun
  const bytes = (process.memoryUsage().rss - before) / nodes
  if (kept === null) throw new Error('nothing was made')
  return { bytes, collectionMs }
}

serve(
  {
    tree: async (nodes: number) =>
      growth((count) => {
        const holder = new DrivenTree().open()
        fill(holder, count)
        return holder
      }, nodes),
    plain: async (nodes: number) => growth(plainNodes, nodes),
  },
  async () => {},
)
