/** Which requests are alike for the dispatcher, by opcode. Refuses to serve them: operations.ts. */
import * as abi from './abi.js';

/** Requests that `ownerUid` does not refuse: their file or directory was opened by somebody who was let in. */
export const OPEN_ALREADY: ReadonlySet<number> = new Set([
  abi.FUSE_READ,
  abi.FUSE_WRITE,
  abi.FUSE_FLUSH,
  abi.FUSE_FSYNC,
  abi.FUSE_RELEASE,
  abi.FUSE_READDIR,
  abi.FUSE_READDIRPLUS,
  abi.FUSE_FSYNCDIR,
  abi.FUSE_RELEASEDIR,
  abi.FUSE_DESTROY,
]);

/** What waits for answers of the store alone, each within a deadline: a minute or two, more in a crowd before a slow link. */
export const BOUNDED: ReadonlySet<number> = new Set([
  abi.FUSE_READ,
  abi.FUSE_LOOKUP,
  abi.FUSE_GETATTR,
  abi.FUSE_READLINK,
  abi.FUSE_GETXATTR,
  abi.FUSE_STATFS,
]);
/** Requests that name a file, on a mount that is only read. */
export const NAMES_NODE: ReadonlySet<number> = new Set([
  abi.FUSE_GETATTR,
  abi.FUSE_READ,
  abi.FUSE_GETXATTR,
  abi.FUSE_LISTXATTR,
  abi.FUSE_READLINK,
  abi.FUSE_LSEEK,
]);
