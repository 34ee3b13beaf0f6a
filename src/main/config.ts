/**
 * The one description of a mount that everything below src/main is built from. The command line (later also environment
 * and files) produces it; the composition root takes it apart again, so that no lower layer ever sees a flag.
 * Plain data: it is handed to the background process as JSON.
 */
import type { StoreOptions, VerifyMode } from '../engine/api.js';

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
  /** Owner shown for everything; default the mounting user. */
  readonly uid: number;
  readonly gid: number;
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
  readonly readPartBytes?: number;
  readonly writePartBytes?: number;
  /** Bound of the RSS of all our processes; undefined = 4 % of the memory limit, within 512 MiB .. 16 GiB. */
  readonly memoryTargetBytes?: number;
  /** Fetch more around random reads where that pays. */
  readonly readAround: boolean;
  readonly bindNics: readonly string[];
  readonly fuseBinding: 'dev' | 'native';
  /** How much of what is read is verified by checksums. */
  readonly verify: VerifyMode;
  readonly log: {
    readonly directory?: string;
    readonly metrics: boolean;
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
    /** Connection-level lines of the engine (--debug-crt in Mountpoint's words). */
    readonly engineDebug: boolean;
  };
  /** Unknown -o options that go to mount(2) as they are (noatime, nodev, ...). */
  readonly mountOptions: readonly string[];
}
