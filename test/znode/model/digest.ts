import { crc32 } from 'node:zlib'
import type { Nodes } from './nodes.ts'

const LOW = (1n << 64n) - 1n

/** ZooKeeper's own, version 2: the sum of a CRC for each node. `sessions`: the ids that owners have elsewhere. */
export function digestOf(nodes: Nodes, sessions: ReadonlyMap<bigint, bigint>): bigint {
  let sum = 0n
  for (const [path, node] of nodes) {
    if (path.startsWith('/zookeeper/')) continue
    const stat = Buffer.alloc(60)
    let at = 0
    for (const zxidOrTime of [node.czxid, node.mzxid, node.pzxid, node.ctime, node.mtime]) at = stat.writeBigInt64BE(BigInt(zxidOrTime), at)
    for (const version of [node.version, node.created, node.aversion]) at = stat.writeInt32BE(version, at)
    stat.writeBigUInt64BE(node.owner === 0n ? node.marked : sessions.get(node.owner)!, at)
    sum += BigInt(crc32(Buffer.concat([Buffer.from(path, 'utf8'), Buffer.from(node.data ?? '', 'latin1'), stat])))
  }
  return sum & LOW
}
