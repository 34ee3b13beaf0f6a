/**
 * What a check is, and what it may look at. All of it is asked for when it is needed and only once, so that checks run at
 * the same time, in any order, and one that fails takes no other with it.
 * Refuses to know which checks there are (all-checks.ts).
 */
import type { HardwareProfile } from '../hwdetect/profile.js';
import type { MountConfig } from '../main/config.js';
import type { RunFile } from '../main/run-file.js';
import type { Sizing } from '../main/sizing.js';
import type { MountSnapshot } from '../main/stats/snapshot.js';
import type { Outcome } from './finding.js';
import type { Host } from './host.js';
import type { StoreExamination } from './store/examination.js';

export interface Check {
  /** One word: stands in the first column, and before the dot of most of its findings. */
  readonly name: string;
  readonly deadlineMs: number;
  /** Whether there is anything to look at; absent: always. */
  applies?(subject: Subject): boolean;
  /** `signal` aborts at the deadline: what waits should end. */
  run(subject: Subject, signal: AbortSignal): Promise<Outcome>;
}

/** What is looked at. */
export interface Subject {
  readonly host: Host;
  readonly hardware: () => Promise<HardwareProfile>;
  readonly sizing: () => Promise<Sizing>;
  readonly wish: Wish;
  /** With a bucket, or the bucket of a mount that answers. */
  readonly store?: StoreExamination;
  /** With a directory. */
  readonly mount?: AskedMount;
}

/** What the user says, or the mount was made with. */
export interface Wish {
  readonly spoolDirectory: string;
  readonly logDirectory?: string;
  readonly memoryTargetBytes?: number;
  readonly recoverAgeMs: number;
  readonly isReadOnly: boolean;
  /** Write one small object and delete it. */
  readonly probesWrite: boolean;
  /** Not said: --store-capabilities no-conditional-writes. */
  readonly reliesOnConditions: boolean;
  readonly measuresThroughput: boolean;
  /** Where diagnostic reports are. */
  readonly reportDirectories: readonly string[];
}

/** The mount that a directory names. */
export interface AskedMount {
  readonly directory: string;
  readonly isMounted: boolean;
  readonly run: RunFile | undefined;
  /** What it was made with, by its own word; undefined when it does not answer. */
  readonly config: MountConfig | undefined;
  readonly stats: MountSnapshot | undefined;
  /** `explain`'s answer, for the bundle. */
  readonly explanation: unknown;
}
