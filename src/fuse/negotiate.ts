/**
 * INIT: what the kernel offers, what we ask for, and what came of it, as one frozen object. Pure: bytes and clocks stay
 * outside. No other file compares protocol versions or looks at INIT flags; they ask the predicates here.
 * Refuses FUSE_WRITEBACK_CACHE (the kernel would then decide when written bytes reach us, after close: no close-to-open)
 * and remote locks (the kernel's own are right for one machine, and S3 has none).
 */
import { EPROTO } from '../base/errno.js';
import { MIB } from '../base/units.js';
import * as abi from './abi.js';
import type { InitIn } from './decode.js';
import type { InitOut } from './encode.js';

/** Largest READ and WRITE. The kernel's own limit (max_pages_limit is 256 pages of 4 KiB; kernel fact 14). */
export const REQUEST_BYTES_MAX = MIB;

/**
 * Read-ahead that we allow. INIT can only lower the mount's read-ahead; it is set through sysfs after mounting
 * (kernel fact 13, docs/KERNEL.md), so this must never be the smaller number.
 */
export const READAHEAD_BYTES_MAX = 64 * MIB;

/** Asynchronous requests (read-ahead, direct I/O) in flight for all files together; the kernel's default of 12 starves them (kernel fact 14). */
export const MAX_BACKGROUND = 256;
/** From this many on the kernel calls the mount congested and drops read-ahead; three quarters, as its own default. */
export const CONGESTION_THRESHOLD = 192;

/** Stacking depth of passthrough backing files; more than 1 would allow overlayfs below but refuse it above (kernel fact 23). */
const PASSTHROUGH_STACK_DEPTH = 1;

/** Room for the largest message: payload, header, and a page for what a future header may grow to. */
const REQUEST_HEADROOM_BYTES = 4096;

const ASKED_FLAGS =
  abi.FUSE_ASYNC_READ |
  abi.FUSE_BIG_WRITES |
  abi.FUSE_DO_READDIRPLUS |
  abi.FUSE_READDIRPLUS_AUTO |
  // One O_DIRECT call becomes parallel requests, which reader threads see in any order (kernel facts 15 and 27).
  abi.FUSE_ASYNC_DIO |
  abi.FUSE_PARALLEL_DIROPS |
  abi.FUSE_MAX_PAGES |
  abi.FUSE_CACHE_SYMLINKS |
  abi.FUSE_ATOMIC_O_TRUNC |
  // Not AUTO_INVAL_DATA: the kernel would drop pages whenever a size or mtime changes. A new version of an object has
  // a node of its own here, so its pages never mix with the old ones' (kernel fact 11, docs/KERNEL.md).
  abi.FUSE_EXPLICIT_INVAL_DATA |
  abi.FUSE_HANDLE_KILLPRIV_V2 |
  abi.FUSE_SETXATTR_EXT |
  abi.FUSE_INIT_EXT;

const ASKED_FLAGS2 = abi.FUSE_DIRECT_IO_ALLOW_MMAP | abi.FUSE_PASSTHROUGH | abi.FUSE_HAS_RESEND;

export interface NegotiateOptions {
  /**
   * The mount is read-only: O_TRUNC is then left to the kernel, which refuses it. With zero-message opens nobody
   * would tell us of it (kernel fact 24, docs/KERNEL.md).
   */
  readonly readOnly: boolean;
  /** False: FUSE_NOTIFY_RESEND is not asked for, as if the kernel were older than 6.9. Default true. */
  readonly resend?: boolean;
  /** Bytes of a memory page; max_pages counts in them. */
  readonly pageBytes: number;
}

/** What both sides agreed on. Plain data: it is posted to threads and kept for a daemon that takes over (kernel fact 21). */
export interface Negotiated {
  readonly minor: number;
  readonly maxWriteBytes: number;
  readonly maxReadBytes: number;
  readonly maxBackground: number;
  /** The least that a buffer for reading requests must hold; the kernel refuses smaller ones. */
  readonly requestBufferBytes: number;
  /** Flags in force, as sent. */
  readonly flags: number;
  readonly flags2: number;
  readonly hasReaddirPlus: boolean;
  readonly hasParallelDirops: boolean;
  readonly hasAtomicTruncate: boolean;
  readonly hasExplicitInvalidation: boolean;
  /** SETXATTR carries the extended structure. */
  readonly hasSetxattrExt: boolean;
  /** ENOSYS to OPEN is remembered as "no open needed". */
  readonly hasZeroMessageOpen: boolean;
  readonly hasZeroMessageOpendir: boolean;
  readonly hasPassthrough: boolean;
  readonly hasDirectIoMmap: boolean;
  /** FUSE_NOTIFY_RESEND asks for unanswered requests again. */
  readonly hasResend: boolean;
  /** FUSE_EXPIRE_ONLY in entry invalidations. */
  readonly hasExpireOnly: boolean;
  /** FUSE_NOTIFY_INC_EPOCH (7.44). */
  readonly hasIncrementEpoch: boolean;
}

export type NegotiationStep =
  /** Send `reply`; the session may begin. */
  | { readonly type: 'agreed'; readonly reply: InitOut; readonly negotiated: Negotiated }
  /** Send `reply` and wait for another INIT: the kernel speaks a newer major version, and will come down to ours. */
  | { readonly type: 'again'; readonly reply: InitOut }
  /** Answer `errno`: this kernel cannot be served. */
  | { readonly type: 'refused'; readonly errno: number; readonly message: string };

/** One step of the INIT exchange. Pure. */
export function negotiate(init: InitIn, options: NegotiateOptions): NegotiationStep {
  if (init.major > abi.FUSE_KERNEL_VERSION) {
    return { type: 'again', reply: initOut(abi.FUSE_KERNEL_MINOR_VERSION, 0, 0, options) };
  }
  if (init.major < abi.FUSE_KERNEL_VERSION || init.minor < abi.FUSE_MINOR_VERSION_MIN) {
    return {
      type: 'refused',
      errno: EPROTO,
      message:
        `this kernel speaks FUSE ${init.major}.${init.minor}, ` +
        `and mount-s3x needs ${abi.FUSE_KERNEL_VERSION}.${abi.FUSE_MINOR_VERSION_MIN} (Linux 5.4) or newer`,
    };
  }
  const minor = Math.min(init.minor, abi.FUSE_KERNEL_MINOR_VERSION);
  let asked = ASKED_FLAGS;
  if (options.readOnly) asked &= ~abi.FUSE_ATOMIC_O_TRUNC;
  const flags = init.flags & asked;
  // Without INIT_EXT in both directions the kernel does not look at flags2.
  const asked2 = options.resend === false ? ASKED_FLAGS2 & ~abi.FUSE_HAS_RESEND : ASKED_FLAGS2;
  const flags2 = (flags & abi.FUSE_INIT_EXT) === 0 ? 0 : init.flags2 & asked2;
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const has2 = (flag: number): boolean => (flags2 & flag) !== 0;
  const maxWriteBytes =
    has(abi.FUSE_BIG_WRITES) && has(abi.FUSE_MAX_PAGES) ? REQUEST_BYTES_MAX : 32 * options.pageBytes;
  const negotiated: Negotiated = Object.freeze({
    minor,
    maxWriteBytes,
    maxReadBytes: REQUEST_BYTES_MAX,
    maxBackground: MAX_BACKGROUND,
    requestBufferBytes: Math.max(abi.FUSE_MIN_READ_BUFFER, maxWriteBytes + REQUEST_HEADROOM_BYTES),
    flags,
    flags2,
    hasReaddirPlus: has(abi.FUSE_DO_READDIRPLUS),
    hasParallelDirops: has(abi.FUSE_PARALLEL_DIROPS),
    hasAtomicTruncate: has(abi.FUSE_ATOMIC_O_TRUNC),
    hasExplicitInvalidation: has(abi.FUSE_EXPLICIT_INVAL_DATA),
    hasSetxattrExt: has(abi.FUSE_SETXATTR_EXT),
    // These three are the kernel's own statements and need no consent.
    hasZeroMessageOpen: (init.flags & abi.FUSE_NO_OPEN_SUPPORT) !== 0,
    hasZeroMessageOpendir: (init.flags & abi.FUSE_NO_OPENDIR_SUPPORT) !== 0,
    hasExpireOnly: (init.flags2 & abi.FUSE_HAS_EXPIRE_ONLY) !== 0,
    hasPassthrough: has2(abi.FUSE_PASSTHROUGH),
    hasDirectIoMmap: has2(abi.FUSE_DIRECT_IO_ALLOW_MMAP),
    hasResend: has2(abi.FUSE_HAS_RESEND),
    hasIncrementEpoch: init.minor >= 44,
  });
  return { type: 'agreed', reply: initOut(minor, flags, flags2, options, maxWriteBytes), negotiated };
}

function initOut(
  minor: number,
  flags: number,
  flags2: number,
  options: NegotiateOptions,
  maxWriteBytes = REQUEST_BYTES_MAX,
): InitOut {
  return {
    major: abi.FUSE_KERNEL_VERSION,
    minor,
    maxReadaheadBytes: READAHEAD_BYTES_MAX,
    flags,
    maxBackground: MAX_BACKGROUND,
    congestionThreshold: CONGESTION_THRESHOLD,
    maxWriteBytes,
    maxPages: Math.max(1, Math.floor(REQUEST_BYTES_MAX / options.pageBytes)),
    flags2,
    maxStackDepth: (flags2 & abi.FUSE_PASSTHROUGH) === 0 ? 0 : PASSTHROUGH_STACK_DEPTH,
  };
}
