export { digestId } from './auth/digest.ts'
export { addressIdentity } from './auth/schemes.ts'
export { znodeError } from './errors.ts'
export { znodeTree } from './machine.ts'
export type {
  AuthScheme,
  NodeView,
  SessionInfo,
  SessionListener,
  TreeReader,
  Watches,
  ZnodeTree,
  ZnodeTreeOptions,
  ZooKeeperFile,
} from './machine-types.ts'
export { pathFault, validatePath } from './path.ts'
export { type ExportOptions, type ZooKeeperSession, zooKeeperSnapshotChunks } from './snapshot/zookeeper-export.ts'
export {
  type TakenOver,
  type TakenOverMachine,
  takenOverChunks,
  takenOverMachine,
  takeOverZooKeeper,
  type ZooKeeperFolder,
} from './snapshot/zookeeper-folder.ts'
export { type ZooKeeperSnapshot, ZooKeeperSnapshotDecoder } from './snapshot/zookeeper-import.ts'
export {
  type Acl,
  ADMIN,
  ALL,
  type AttachSessionRequest,
  type CheckOperation,
  type CloseSessionRequest,
  CREATE,
  CREATE_MODES,
  type CreateMode,
  type CreateOperation,
  type CreateSessionRequest,
  DELETE,
  type DeleteOperation,
  type Identity,
  type MultiOperation,
  type MultiPart,
  OPEN_ACL,
  type OperationResult,
  READ,
  type ReapRequest,
  type SessionId,
  type SetAclOperation,
  type SetConfigRequest,
  type SetDataOperation,
  type Stat,
  type WatchEvent,
  type WatchEventType,
  type Watcher,
  type WatchKind,
  WRITE,
  type WriteOperation,
  type WriteRequest,
  ZNODE_ERRORS,
  type ZnodeErrorCode,
  type ZnodeRequest,
  type ZnodeResult,
} from './types.ts'
