import { type MemberSettings, Replica } from '@antiphon/replica'
import { memoryStorage } from '@antiphon/storage-memory'
import { webSocketTransport } from '@antiphon/transport-websocket/browser'
import { SECRET, visitsStore } from './visits.ts'

/** What the test calls in the page. */
export interface Page {
  start(members: Readonly<Record<number, string | MemberSettings>>): Promise<void>
  /** Without asking anybody. */
  local(): readonly string[]
  linearizable(): Promise<readonly string[]>
  visit(name: string): Promise<number>
  role(): string
}

const visits = visitsStore()
let replica: Replica | null = null
const page: Page = {
  async start(members) {
    const transport = webSocketTransport({ secret: SECRET, redialMs: { min: 5, max: 200 } })
    replica = await Replica.start({ id: 4, members, machines: { visits }, storage: memoryStorage(), transport })
    await replica.ready({ timeoutMs: 20_000 })
  },
  local: () => visits.state.by,
  linearizable: async () => (await visits.read()).by,
  visit: (name) => visits.dispatch.visit(name),
  role: () => replica!.status().role,
}
;(globalThis as unknown as { page: Page }).page = page
