/**
 * The one description of a mount that everything below src/main is built from. The command line, the
 * environment and files say it (src/cli/settings); the composition root takes it apart again, so that no lower layer ever sees a flag.
 * Plain data: it is handed to the background process as JSON.
 */
import type { StoreOptions, VerifyMode } from '../engine/api.js';
import type { ObjectWriteOptions } from '../engine/write-options.js';
import type { MetricsSettings } from './metrics/settings.js';
import type { RunAs } from './run-as/run-as.js';
import type { SettingsRecord } from './settings-record.js';

/** What becomes of somebody else's change to an object that is being written here: their work stays, or ours replaces it. */
export type ConflictRule = 'fail' | 'last-writer';

/** Everything about writing. Means nothing on a read-only mount. */
export interface WriteConfig {
  /** What every object gets. */
  readonly objects: ObjectWriteOptions;
  /** False: an existing object is never changed or replaced (EPERM); new ones may be made. */
  readonly overwrite: boolean;
  /** False: unlink, rmdir and rename are refused (EPERM). */
  readonly delete: boolean;
  readonly conflict: ConflictRule;
  /** Least part of an upload: parts grow where 10,000 of them would not do. 5 MiB at least. */
  readonly partBytes: number;
  /** Absolute; made when it is needed. Holds what memory does not and what did not reach the bucket. */
  readonly spoolDirectory: string;
  /** Commits open files that changed so often; null = only at close and fsync. */
  readonly commitIntervalMs: number | null;
  /** What `recover` drops without being asked: older than this. */
  readonly recoverAgeMs: number;
  /** How long an unmount waits for uploads. */
  readonly shutdownTimeoutMs: number;
  /** Most objects below a directory that is renamed. */
  readonly renameDirectoryKeysMax: number;
  /** Mode, owner, times, links and xattrs are kept in the objects' metadata. */
  readonly posixMetadata: boolean;
  /** Content-Type by the name's extension. */
  readonly inferContentType: boolean;
}

export interface MountConfig {
  readonly store: StoreOptions;
  /** Absolute path of the directory. */
  readonly mountPoint: string;
  readonly foreground: boolean;
  readonly readOnly: boolean;
  /** Objects never change: implies readOnly and both times to live null; opens cost no request. */
  readonly immutable: boolean;
  readonly allowOther: boolean;
  readonly allowRoot: boolean;
  readonly autoUnmount: boolean;
  /** A supervisor holds the mount and puts a new daemon in the place of one that died. */
  readonly supervised: boolean;
  /** How long a daemon's main thread may be silent before it is replaced; null = for ever. */
  readonly watchdogMs: number | null;
  /** The daemon is this user, and the mount is theirs; absent: who mounts. */
  readonly runAs?: RunAs;
  /** Owner shown for everything; default the user that the daemon is. */
  readonly uid: number;
  readonly gid: number;
  /** Other users come in, and what was not said of these two is their maker's for what is made. */
  readonly makersOwn?: { readonly uid: boolean; readonly gid: boolean };
  /** Permission bits, e.g. 0o755. */
  readonly dirMode: number;
  readonly fileMode: number;
  /** How old names and attributes may be; null = for ever (`indefinite`). `minimal` is 1000. */
  readonly metadataTtlMs: number | null;
  readonly negativeMetadataTtlMs: number | null;
  /** Threads that read /dev/fuse; undefined = from the hardware. */
  readonly readerThreads?: number;
  readonly netThreads?: number;
  readonly connectionsMax?: number;
  /** Target of the sizing; undefined = what the hardware profile says. */
  readonly throughputGbps?: number;
  /** Cap of payload a second, what is read and what is written together; undefined = none. */
  readonly maxBandwidthBytesPerSecond?: number;
  readonly readPartBytes?: number;
  /** Bound of the RSS of all our processes; undefined = 4 % of the memory limit, within 512 MiB .. 16 GiB. */
  readonly memoryTargetBytes?: number;
  /** Fetch more around random reads where that pays. */
  readonly readAround: boolean;
  readonly bindNics: readonly string[];
  /** CPUs of net threads: a kernel list, or `any`; undefined = beside the network card where NUMA matters. */
  readonly netCpus?: string;
  readonly fuseBinding: 'dev' | 'native';
  /** After a take-over the kernel sends again what was not answered, where it can. */
  readonly resend: boolean;
  /** How much of what is read is verified by checksums. */
  readonly verify: VerifyMode;
  readonly write: WriteConfig;
  readonly log: {
    readonly directory?: string;
    /** A log file becomes FILE.1 at this size; so many are kept, the one that is written included. Absent: 16 MiB, 4. */
    readonly maxBytes?: number;
    readonly files?: number;
    readonly metrics: boolean;
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
    /** Connection-level lines of the engine (--debug-crt in Mountpoint's words). */
    readonly engineDebug: boolean;
  };
  /** What is told to monitoring; nothing by default. */
  readonly metrics: MetricsSettings;
  /** Unknown -o options that go to mount(2) as they are (noatime, nodev, ...). */
  readonly mountOptions: readonly string[];
  /** Where all of this came from, to say so and to read it again; undefined for a mount that code asked for. */
  readonly settings?: SettingsRecord;
}
