import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { PeerId } from '@antiphon/ports'
import {
  type DiskImage,
  type FlatDisk,
  type LogStoreSetup,
  MemoryFolder,
  RecordedDisk,
  type RecordedPlace,
  type StateMachineSetup,
  type TransportNetwork,
  type TransportSetup,
} from '../src/index.ts'
import { ArrayStore, Shelf } from './array-store.ts'
import { Exchange, ExchangeTransport } from './exchange-transport.ts'
import { FolderStore } from './folder-store.ts'
import { type Count, type Tally, TallyMachine } from './tally-machine.ts'

/** What the suite needs to know of the example store; `create` may give a variant. */
export function arrayStores(create: (shelf: Shelf) => ArrayStore = (shelf) => new ArrayStore(shelf)): LogStoreSetup {
  return {
    supports: { durable: true, browser: true },
    crashes: true,
    breaks: true,
    async place() {
      const shelf = new Shelf()
      return {
        create: () => create(shelf),
        crash: async () => shelf.crash(),
        failNextFlush: () => {
          shelf.failNextFlush = true
        },
        remove: async () => {},
      }
    },
  }
}

export function folderStores(create: (shelf: Shelf, disk: FlatDisk) => ArrayStore = (shelf, disk) => new FolderStore(shelf, disk)): LogStoreSetup {
  const recorded = async (files: DiskImage): Promise<RecordedPlace> => {
    const disk = new RecordedDisk(new MemoryFolder(files), files)
    const shelf = new Shelf()
    return { disk, create: () => create(shelf, disk), remove: async () => {} }
  }
  return { supports: { durable: true, browser: true }, recorded, place: () => recorded(new Map()) }
}

export function exchangeTransports(kind: typeof ExchangeTransport = ExchangeTransport): TransportSetup {
  return {
    severs: true,
    vanishes: true,
    heapUsed,
    async network(): Promise<TransportNetwork> {
      const exchange = new Exchange()
      const peers = new Map<PeerId, ExchangeTransport>()
      return {
        create(peer) {
          const transport = exchange.transport(kind)
          peers.set(peer, transport)
          return { transport, address: () => transport.address }
        },
        sever: (a, b) => peers.get(a)?.sever(b),
        vanish: (peer) => peers.get(peer)?.vanish(),
        close: async () => {},
      }
    },
  }
}

/** After everything was collected that can be. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 4; i++) collect()
  const { heapUsed: used, external } = process.memoryUsage()
  return used + external
}

export function tallies(create: () => TallyMachine = () => new TallyMachine()): StateMachineSetup<Count, Tally> {
  return {
    create,
    requests: Array.from({ length: 30 }, (_, index) => ({ name: ['apples', 'pears', 'plums'][index % 3]!, by: index % 7 === 6 ? -1 : index })),
    refused: [
      { name: 'figs', by: -1 },
      { name: 'apples', by: -1_000_000 },
    ],
    // Some of them are changed again by the requests that follow.
    bulk: Array.from({ length: 50 }, (_, index) => ({ name: ['pears', 'plums'][index] ?? `fruit ${index}`, by: index })),
  }
}
