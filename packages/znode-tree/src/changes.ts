/*
 * What `prepare` yields and every replica applies: final, so that applying it asks for nothing. u8 kind, then
 *
 *   FAILED           i16 error code: a write that came to nothing, and has its ZXID all the same
 *   MULTI            count, changes (those of CREATE to CHECK)
 *   MULTI_FAILED     i16 error code, count of the parts, u8 for each: PART_BEFORE, one PART_FAILED, PART_BEHIND
 *   CREATE           u8 node kind, text path with its number, data, acl as it is stored; EPHEMERAL: u64 session; TTL: u64 milliseconds
 *   DELETE           text path
 *   SET_DATA         text path, i32 version that results, data
 *   SET_ACL          text path, i32 version of the ACL that results, acl as it is stored
 *   CHECK            nothing: it has held
 *   OPEN_SESSION     u64 id, u8 peer, u32 timeout
 *   ATTACH           u64 id, u8 peer, u32 timeout
 *   CLOSE            u64 id, u8 expired: the nodes that go with it are found by every replica for itself
 *   REAP             text path
 *   SET_CONFIG       data
 */
export const FAILED = 1
export const MULTI = 2
export const MULTI_FAILED = 3
export const CREATE = 4
export const DELETE = 5
export const SET_DATA = 6
export const SET_ACL = 7
export const CHECK = 8
export const OPEN_SESSION = 9
export const ATTACH = 10
export const CLOSE = 11
export const REAP = 12
export const SET_CONFIG = 13

export const PART_BEFORE = 0
export const PART_FAILED = 1
export const PART_BEHIND = 2

/** Of `/zookeeper/config` after each write, as in ZooKeeper. */
export const CONFIG_VERSION = -1
export const CONFIG_PATH = '/zookeeper/config'
