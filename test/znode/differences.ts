/** Where Debian's 3.8.0 does something else than the newest release, which the tree follows. Each by name, with its reason; the model knows both ways, and nothing else may differ. */
export const DIFFERENCES = {
  'exists without permission': '`exists` asks for READ since 3.8.4 and 3.9.2 (ZOOKEEPER-2590); 3.8.0 asks for nothing.',
  'one mode for each watch':
    'Since 3.9.0 one-shot, persistent and recursive watches of one path stand side by side (ZOOKEEPER-4466); in 3.8.0 the last registration overwrites the others, and `removeWatches` of type Data or Children takes persistent ones along.',
  'checkWatches answers for others': '3.8.0 says yes when anybody watches the path; the newest releases look for the asker’s own watch, of that type.',
  'no types Persistent and PersistentRecursive': '`removeWatches` and `checkWatches` know types 4 and 5 since 3.9.0; 3.8.0 answers MARSHALLING_ERROR.',
  'create2 in a multi': '3.8.0 makes a `create` of it and leaves its Stat out; since 3.8.2 the Stat is told.',
  'quotas as applied':
    'ZooKeeper checks a write against the usage that is applied: the parts of a multi, and writes under way together, may exceed a hard limit. The tree counts what it has accepted.',
  'setWatches as listed':
    'ZooKeeper tells what was missed list by list, perhaps the same twice, and of nodes that the client may not read, and nothing of persistent and recursive watches. The tree tells each once, in the order of the changes, and only what may be read.',
  'global sessions alone': 'A server that stands alone knows global sessions only: one that is to be local is global from the start.',
} as const satisfies Readonly<Record<string, string>>

export type Difference = keyof typeof DIFFERENCES

export const NEWEST: ReadonlySet<Difference> = new Set()
export const DEBIANS_38: ReadonlySet<Difference> = new Set(Object.keys(DIFFERENCES) as Difference[])

/** What is not compared at all, and why. */
export const LEFT_OUT: readonly string[] = [
  'expiry of sessions, which their clients close there instead, and reaping of containers and of TTL nodes: when they happen is a matter of time',
  'ZXIDs of events: 3.8 sends -1',
  'the order in which the ephemeral nodes of a closing session go, of children, of identities and of what `auth` expands to: sets in ZooKeeper',
  'Stat and children of `/` and `/zookeeper/quota`: all programs share them',
  'flags and bodies that only the wire knows (odd create flags, parts of a multi that may not stand there): for the server of ZooKeeper’s protocol',
  'IPv6 addresses and the schemes x509 and sasl: 3.8.0 knows them in other places',
  'what a write comes to that is sent behind a setACL or below a quota before that is answered: ZooKeeper looks at the ACL and the limits that are applied at the moment',
  'limits and usages that do not parse: they end 3.8.0’s process',
  'what is told when a replica comes to a later state by a snapshot: a server closes the connections of its clients then',
]
