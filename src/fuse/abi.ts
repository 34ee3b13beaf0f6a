/**
 * Numbers of the kernel's FUSE protocol, up to 7.45, under the kernel's own names (include/uapi/linux/fuse.h).
 * Numbers only: what a field means is said where it is decoded or encoded, and what was negotiated in negotiate.ts.
 * Refuses to hold logic, so that it can be compared with the kernel's header line by line. All integers are little
 * endian in memory: we refuse big-endian machines (see opcodes.ts).
 */

export const FUSE_KERNEL_VERSION = 7;
/** The newest minor version whose messages this file describes. */
export const FUSE_KERNEL_MINOR_VERSION = 45;
/** Oldest minor version served (Linux 5.4): below it INIT has no max_pages, and page cache control is missing. */
export const FUSE_MINOR_VERSION_MIN = 31;

export const FUSE_ROOT_ID = 1;
/** The least buffer that the kernel lets anyone read requests with. */
export const FUSE_MIN_READ_BUFFER = 8192;

// Opcodes.
export const FUSE_LOOKUP = 1;
export const FUSE_FORGET = 2;
export const FUSE_GETATTR = 3;
export const FUSE_SETATTR = 4;
export const FUSE_READLINK = 5;
export const FUSE_SYMLINK = 6;
export const FUSE_MKNOD = 8;
export const FUSE_MKDIR = 9;
export const FUSE_UNLINK = 10;
export const FUSE_RMDIR = 11;
export const FUSE_RENAME = 12;
export const FUSE_LINK = 13;
export const FUSE_OPEN = 14;
export const FUSE_READ = 15;
export const FUSE_WRITE = 16;
export const FUSE_STATFS = 17;
export const FUSE_RELEASE = 18;
export const FUSE_FSYNC = 20;
export const FUSE_SETXATTR = 21;
export const FUSE_GETXATTR = 22;
export const FUSE_LISTXATTR = 23;
export const FUSE_REMOVEXATTR = 24;
export const FUSE_FLUSH = 25;
export const FUSE_INIT = 26;
export const FUSE_OPENDIR = 27;
export const FUSE_READDIR = 28;
export const FUSE_RELEASEDIR = 29;
export const FUSE_FSYNCDIR = 30;
export const FUSE_GETLK = 31;
export const FUSE_SETLK = 32;
export const FUSE_SETLKW = 33;
export const FUSE_ACCESS = 34;
export const FUSE_CREATE = 35;
export const FUSE_INTERRUPT = 36;
export const FUSE_BMAP = 37;
export const FUSE_DESTROY = 38;
export const FUSE_IOCTL = 39;
export const FUSE_POLL = 40;
export const FUSE_NOTIFY_REPLY = 41;
export const FUSE_BATCH_FORGET = 42;
export const FUSE_FALLOCATE = 43;
export const FUSE_READDIRPLUS = 44;
export const FUSE_RENAME2 = 45;
export const FUSE_LSEEK = 46;
export const FUSE_COPY_FILE_RANGE = 47;
export const FUSE_SETUPMAPPING = 48;
export const FUSE_REMOVEMAPPING = 49;
export const FUSE_SYNCFS = 50;
export const FUSE_TMPFILE = 51;
export const FUSE_STATX = 52;
export const FUSE_COPY_FILE_RANGE_64 = 53;

// Notification codes (in the error field of a reply whose unique is 0).
export const FUSE_NOTIFY_POLL = 1;
export const FUSE_NOTIFY_INVAL_INODE = 2;
export const FUSE_NOTIFY_INVAL_ENTRY = 3;
export const FUSE_NOTIFY_STORE = 4;
export const FUSE_NOTIFY_RETRIEVE = 5;
export const FUSE_NOTIFY_DELETE = 6;
export const FUSE_NOTIFY_RESEND = 7;
export const FUSE_NOTIFY_INC_EPOCH = 8;
export const FUSE_NOTIFY_PRUNE = 9;

// INIT flags, bits 0..31 (`flags`).
export const FUSE_ASYNC_READ = 1 << 0;
export const FUSE_POSIX_LOCKS = 1 << 1;
export const FUSE_ATOMIC_O_TRUNC = 1 << 3;
export const FUSE_EXPORT_SUPPORT = 1 << 4;
export const FUSE_BIG_WRITES = 1 << 5;
export const FUSE_DONT_MASK = 1 << 6;
export const FUSE_SPLICE_WRITE = 1 << 7;
export const FUSE_SPLICE_MOVE = 1 << 8;
export const FUSE_SPLICE_READ = 1 << 9;
export const FUSE_FLOCK_LOCKS = 1 << 10;
export const FUSE_HAS_IOCTL_DIR = 1 << 11;
export const FUSE_AUTO_INVAL_DATA = 1 << 12;
export const FUSE_DO_READDIRPLUS = 1 << 13;
export const FUSE_READDIRPLUS_AUTO = 1 << 14;
export const FUSE_ASYNC_DIO = 1 << 15;
export const FUSE_WRITEBACK_CACHE = 1 << 16;
export const FUSE_NO_OPEN_SUPPORT = 1 << 17;
export const FUSE_PARALLEL_DIROPS = 1 << 18;
export const FUSE_HANDLE_KILLPRIV = 1 << 19;
export const FUSE_POSIX_ACL = 1 << 20;
export const FUSE_ABORT_ERROR = 1 << 21;
export const FUSE_MAX_PAGES = 1 << 22;
export const FUSE_CACHE_SYMLINKS = 1 << 23;
export const FUSE_NO_OPENDIR_SUPPORT = 1 << 24;
export const FUSE_EXPLICIT_INVAL_DATA = 1 << 25;
export const FUSE_MAP_ALIGNMENT = 1 << 26;
export const FUSE_SUBMOUNTS = 1 << 27;
export const FUSE_HANDLE_KILLPRIV_V2 = 1 << 28;
export const FUSE_SETXATTR_EXT = 1 << 29;
export const FUSE_INIT_EXT = 1 << 30;

// INIT flags, bits 32..63, shifted down (`flags2`).
export const FUSE_SECURITY_CTX = 1 << 0;
export const FUSE_HAS_INODE_DAX = 1 << 1;
export const FUSE_CREATE_SUPP_GROUP = 1 << 2;
export const FUSE_HAS_EXPIRE_ONLY = 1 << 3;
export const FUSE_DIRECT_IO_ALLOW_MMAP = 1 << 4;
export const FUSE_PASSTHROUGH = 1 << 5;
export const FUSE_NO_EXPORT_SUPPORT = 1 << 6;
export const FUSE_HAS_RESEND = 1 << 7;
export const FUSE_ALLOW_IDMAP = 1 << 8;
export const FUSE_OVER_IO_URING = 1 << 9;
export const FUSE_REQUEST_TIMEOUT = 1 << 10;

// Answers to OPEN, CREATE, OPENDIR.
export const FOPEN_DIRECT_IO = 1 << 0;
export const FOPEN_KEEP_CACHE = 1 << 1;
export const FOPEN_NONSEEKABLE = 1 << 2;
export const FOPEN_CACHE_DIR = 1 << 3;
export const FOPEN_STREAM = 1 << 4;
export const FOPEN_NOFLUSH = 1 << 5;
export const FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6;
export const FOPEN_PASSTHROUGH = 1 << 7;

// fuse_setattr_in.valid
export const FATTR_MODE = 1 << 0;
export const FATTR_UID = 1 << 1;
export const FATTR_GID = 1 << 2;
export const FATTR_SIZE = 1 << 3;
export const FATTR_ATIME = 1 << 4;
export const FATTR_MTIME = 1 << 5;
export const FATTR_FH = 1 << 6;
export const FATTR_ATIME_NOW = 1 << 7;
export const FATTR_MTIME_NOW = 1 << 8;
export const FATTR_LOCKOWNER = 1 << 9;
export const FATTR_CTIME = 1 << 10;
export const FATTR_KILL_SUIDGID = 1 << 11;

export const FUSE_GETATTR_FH = 1 << 0;
export const FUSE_FSYNC_FDATASYNC = 1 << 0;
export const FUSE_WRITE_CACHE = 1 << 0;
export const FUSE_WRITE_LOCKOWNER = 1 << 1;
export const FUSE_WRITE_KILL_SUIDGID = 1 << 2;
/** fuse_notify_inval_entry_out.flags: the entry is looked up again at its next use, and stays while it is in use. */
export const FUSE_EXPIRE_ONLY = 1 << 0;
/** Bit of `unique` that marks an INTERRUPT's own id; never set in an ordinary request's. */
export const FUSE_INT_REQ_BIT = 1 << 0;
/** Bit 63 of `unique` as a bit of its high half: the request was sent before, to a daemon that died (kernel fact 20). */
export const FUSE_UNIQUE_RESEND_HI = 0x8000_0000;

// Sizes of structures, in bytes.
export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
export const ATTR_BYTES = 88;
export const ENTRY_OUT_BYTES = 128;
export const ATTR_OUT_BYTES = 104;
export const OPEN_OUT_BYTES = 16;
export const WRITE_OUT_BYTES = 8;
export const STATFS_OUT_BYTES = 80;
export const GETXATTR_OUT_BYTES = 8;
export const LSEEK_OUT_BYTES = 8;
export const INIT_OUT_BYTES = 64;
export const DIRENT_BYTES = 24;
export const DIRENTPLUS_BYTES = ENTRY_OUT_BYTES + DIRENT_BYTES;

/** fuse_init_in before 7.36 (no flags2). */
export const INIT_IN_COMPAT_BYTES = 16;
export const INIT_IN_BYTES = 64;
/** fuse_setxattr_in without FUSE_SETXATTR_EXT. */
export const SETXATTR_IN_COMPAT_BYTES = 8;
export const SETXATTR_IN_BYTES = 16;
export const SETATTR_IN_BYTES = 88;
export const READ_IN_BYTES = 40;
export const WRITE_IN_BYTES = 40;
export const FORGET_ONE_BYTES = 16;

export const NOTIFY_INVAL_INODE_BYTES = 24;
export const NOTIFY_INVAL_ENTRY_BYTES = 16;
export const NOTIFY_DELETE_BYTES = 24;
export const NOTIFY_STORE_BYTES = 24;

// Offsets within fuse_in_header.
export const IN_LEN = 0;
export const IN_OPCODE = 4;
export const IN_UNIQUE_LO = 8;
export const IN_UNIQUE_HI = 12;
export const IN_NODEID_LO = 16;
export const IN_NODEID_HI = 20;
export const IN_UID = 24;
export const IN_GID = 28;
export const IN_PID = 32;
/** Length of the extensions at the end of the message, in units of 8 bytes (7.38). */
export const IN_TOTAL_EXTLEN = 36;

// Offsets within fuse_read_in, which reader threads look at by themselves.
export const READ_FH_LO = 0;
export const READ_FH_HI = 4;
export const READ_OFFSET_LO = 8;
export const READ_OFFSET_HI = 12;
export const READ_SIZE = 16;
/** Offset of the payload's length within fuse_write_in, which they look at too. */
export const WRITE_SIZE = 16;

/** Longest file name, in bytes, that the file systems of this program have (NAME_MAX). */
export const NAME_BYTES_MAX = 255;
/** Longest symlink target: PATH_MAX without its terminator. */
export const SYMLINK_BYTES_MAX = 4095;
/** The kernel refuses replies whose error is outside 0..511. */
export const ERRNO_MAX = 511;
