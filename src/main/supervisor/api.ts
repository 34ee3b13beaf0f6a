/**
 * The seam between the supervisor (a small process that holds the connection to the kernel) and the daemons that serve it,
 * one after another: what a daemon is told of where it stands, what the two say to each other, and the first page of the
 * journal file, which both see. docs/SUPERVISOR.md tells the whole.
 * Plain data only. Messages are checked when they arrive: after an upgrade the two are of different versions, so a field may
 * be added here, and none may change its meaning. Refuses to say how either side works.
 *
 * Descriptors that a daemon inherits: 3 the channel of messages, JOURNAL_FD the journal file, and DEVICE_FD the connection,
 * or HANDOVER_FD a socket over which the first daemon of an ordinary user gives it to the supervisor (SCM_RIGHTS). SPARE_FD is
 * /dev/fuse once more, for a daemon that is not root any more (--user).
 * STACK_FD is a socket on which a net thread says where the main thread is (../threads/stack-teller.ts).
 */
import type { MountConfig } from '../config.js';
import type { SettableLevel } from '../log-commands.js';
import type { AwayMessage, ReadyMessage } from '../readiness.js';
import type { ErrandAnswer, ErrandMessage, RootHand } from './errands.js';
import type { DaemonPage } from './page.js';

export const JOURNAL_FD = 4;
export const DEVICE_FD = 5;
export const HANDOVER_FD = 6;
export const SPARE_FD = 7;
export const STACK_FD = 8;

/** The kernel's id of a request, without the bit that marks a resent one. */
export interface RequestId {
  readonly lo: number;
  readonly hi: number;
}

/** The supervisor's process, and the socket on which it takes commands (`upgrade`), where there was a place for one. */
export interface SupervisorName {
  readonly pid: number;
  /** Clock ticks since boot at which it started. */
  readonly startTicks: number;
  readonly socket?: string;
  /** It also unmounts when asked there: the mount's user may not (--user). */
  readonly unmounts?: true;
}

/** Where a daemon stands among those that serve one mount. Travels as JSON. */
export interface Life {
  /** 0 is the first. Node ids and handles of generation g begin at g * GENERATION_IDS. */
  readonly generation: number;
  /** The session is under way: nothing is mounted and no INIT comes; what was agreed stands in the page. */
  readonly takesOver: boolean;
  /** The connection, opened by the supervisor; absent where the daemon gets it from fusermount3 and hands it over. */
  readonly deviceFd?: number;
  /** Somebody else has mounted the descriptor (`/dev/fd/N`): no mount call, but INIT is still to come (in generation 0). */
  readonly isAdopted: boolean;
  /** The journal file; absent without a supervisor. */
  readonly journalFd?: number;
  /** A socket on which the first daemon of an ordinary user hands the descriptor over. */
  readonly handoverFd?: number;
  /** /dev/fuse, opened anew and of no connection yet, for a daemon that may not open it. */
  readonly spareFd?: number;
  /** A socket on which the supervisor asks where the main thread is. */
  readonly stackFd?: number;
  /** Requests that killed earlier daemons twice: EIO. */
  readonly refused: readonly RequestId[];
  /** Daemons died of a request in a later turn, and nobody knows of which: what is sent again is tried one by one, these first. */
  readonly trial?: readonly RequestId[];
  /** The process that stands for the mount, for the run file; absent without a supervisor. */
  readonly supervisor?: SupervisorName;
}

/** Ids of one generation: 2^40, so that none is used twice in the life of a mount (2^13 generations fit a number). */
export const GENERATION_IDS = 2 ** 40;

/** What a daemon has of its life besides the plain data. */
export interface LiveLife extends Life {
  /** The first page of the journal; absent without a supervisor. */
  readonly page?: DaemonPage;
  /** Mounts and unmounts for a daemon that may not; absent: it may. */
  readonly rootHand?: RootHand;
  /** Of the log of the daemon before this one, which somebody may have changed. */
  readonly levelBefore?: SettableLevel;
  /** The mount is there on this descriptor, and INIT not answered yet. Resolves when the supervisor may be relied on. */
  mounted(deviceFd: number): Promise<void>;
}

/** The life of a daemon without a supervisor. */
export const aloneLife: LiveLife = {
  generation: 0,
  takesOver: false,
  isAdopted: false,
  refused: [],
  mounted: () => Promise.resolve(),
};

/** From the command to the supervisor, once. */
export interface SuperviseMessage {
  readonly type: 'supervise';
  readonly config: MountConfig;
  /** JavaScript file of the daemon. */
  readonly daemonEntry: string;
  /** Number of an inherited descriptor that somebody else has mounted. */
  readonly adoptedFd?: number;
}

/** The N of a mount point `/dev/fd/N`: a connection that somebody else has mounted. */
export function adoptedDescriptor(mountPoint: string): number | undefined {
  const [, number] = /^\/dev\/fd\/(\d{1,6})$/.exec(mountPoint) ?? [];
  return number === undefined ? undefined : Number(number);
}

/** From the supervisor to a daemon. */
export type ToDaemon =
  | { readonly type: 'start'; readonly config: MountConfig; readonly life?: Life }
  /** A newer version will take over: put on disk what is only in memory, then say `handed-over`. No answer in time: killed. */
  | { readonly type: 'hand-over' }
  /** Say what waits: `waiting`. No answer in time: the report does without. */
  | { readonly type: 'tell-waiting' }
  | ErrandAnswer;

/** A request that was not answered yet. */
export interface WaitingRequest {
  readonly operation: string;
  readonly nodeId: number;
  /** Of the node (of the directory, where the operation names something in it), as far as it is known. */
  readonly key?: string;
  readonly ageMs: number;
  /** Who asks. */
  readonly pid: number;
  readonly id: number;
  readonly wasSentAgain: boolean;
  readonly waitsFor: string;
}

/** What a daemon waits for. */
export interface Waiting {
  /** Oldest first. */
  readonly requests: readonly WaitingRequest[];
  /** Requests to the store that are under way, by kind; what each net thread has to do. For people. */
  readonly store: object;
}

/** From a daemon to the supervisor. `ready` and `failed` come once, as without a supervisor. */
export type FromDaemon =
  | ReadyMessage
  | AwayMessage
  /** The mount is gone and everything is in the bucket that will ever be. The process ends now. */
  | { readonly type: 'ended'; readonly reason: string; readonly exitCode: number }
  | { readonly type: 'handed-over' }
  /** To be done by root. */
  | ErrandMessage
  /** SIGHUP was followed, whatever came of it. */
  | { readonly type: 'reloaded' }
  | { readonly type: 'waiting'; readonly waiting: Waiting }
  /** A reload changed what is in force: the next daemon starts with this. */
  | { readonly type: 'configured'; readonly config: MountConfig };

/** What `upgrade` asks the supervisor over its socket; it answers with an UpgradeResult or an error. */
export interface UpgradeRequest {
  readonly command: 'upgrade';
  /** JavaScript file of the new version's daemon. */
  readonly daemonEntry: string;
}

export interface UpgradeResult {
  readonly from: string;
  readonly to: string;
  /** Of the daemon that serves now. */
  readonly pid: number;
}

/**
 * From the supervisor to the command in front of a background mount, once: a ReadyMessage, or how the first daemon died. An
 * AwayMessage may come before it.
 */
export type ToCommand = ReadyMessage | { readonly type: 'died'; readonly how: string };

export function asSuperviseMessage(value: unknown): SuperviseMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, config, daemonEntry, adoptedFd } = value as Record<string, unknown>;
  if (type !== 'supervise' || typeof daemonEntry !== 'string' || typeof config !== 'object' || config === null) {
    return undefined;
  }
  const { mountPoint, store } = config as Record<string, unknown>;
  if (typeof mountPoint !== 'string' || typeof store !== 'object') return undefined;
  const adopted = typeof adoptedFd === 'number' ? { adoptedFd } : {};
  return { type, daemonEntry, config: config as MountConfig, ...adopted };
}

/** `value` as a Life; undefined when it is none, as in a start without a supervisor. */
export function asLife(value: unknown): Life | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { generation, takesOver, isAdopted, refused } = value as Record<string, unknown>;
  if (typeof generation !== 'number' || typeof takesOver !== 'boolean' || typeof isAdopted !== 'boolean') {
    return undefined;
  }
  return Array.isArray(refused) ? (value as Life) : undefined;
}
