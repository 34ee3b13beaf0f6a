/**
 * The kernel's side of a daemon: mounts, agrees on the protocol, lets the reader threads loose, and takes the mount down
 * again. Refuses to know what the handlers do.
 *
 * An end in order: unmount; if somebody still uses the mount, detach it so that nobody new comes in, give those inside
 * DETACHED_GRACE_MS, then abort the connection, whereupon their calls fail instead of hanging (kernel fact 4,
 * docs/KERNEL.md). In every case the reader threads find ENODEV and end, and `ended` settles. Where connections cannot be
 * aborted it settles all the same, and the end of the process does it.
 *
 * Thread: main. Owns: the descriptor of /dev/fuse.
 */
import { closeSync } from 'node:fs';
import { systemClock } from '../base/clock.js';
import { ENOTCONN, errnoName } from '../base/errno.js';
import type { Log } from '../base/log.js';
import type { WriteSlots } from '../base/pool/write-slots.js';
import type { PoolView } from '../base/pool/pool-view.js';
import { DevFuseTransport, openDevFuse } from '../fuse/dev-fuse.js';
import type { HistogramState } from '../base/latency-histogram.js';
import { within } from '../base/waits.js';
import { FuseDispatcher, type DispatcherStats, type RequestObserver } from '../fuse/dispatcher.js';
import type { UnansweredRequest } from '../fuse/dispatcher-api.js';
import type { AccountView } from '../fuse/reader-account.js';
import type { FuseHandlers } from '../fuse/handlers.js';
import { isBeingKilled, isToldToEnd } from '../fuse/pending-signals.js';
import { cloneConnection, pageBytes } from '../fuse/libc.js';
import { MountError } from '../fuse/mount-error.js';
import { mountFuse, setReadAhead, type FuseMount, type MountOptions } from '../fuse/mount.js';
import { mountNative } from '../fuse/native/mount.js';
import { findMount } from '../fuse/mountinfo.js';
import type { Negotiated } from '../fuse/negotiate.js';
import { runNotification } from '../fuse/notify.js';
import { SlotLender, allocateLoans } from '../fuse/slot-loans.js';
import { handshake } from '../fuse/session.js';
import { abortConnection, unmountFuse } from '../fuse/unmount.js';
import type { MountConfig } from './config.js';
import { mountOptionsOf } from './mount-source.js';
import { Notifier } from './notifier.js';
import { ReaderThreads, type ReaderCounts } from './reader-threads.js';
import type { SpareThreads } from './spare-threads.js';
import type { LiveLife } from './supervisor/api.js';

/** How far the kernel reads ahead by itself; deeper is the prefetcher's (kernel fact 13, docs/KERNEL.md). */
const READ_AHEAD_KIB = 1024;

/** What is not needed for the first answers comes up after them: a thread takes a core for 50 ms. */
const REST_MS = 100;

/** How long processes that are still inside a detached mount may finish. */
const DETACHED_GRACE_MS = 5_000;
/** How long the notification thread may need for a lock once nobody waits for an answer (guessed). */
const NOTIFIER_END_MS = 5_000;

/** WriteSlots that say when they have run out, so that what lies idle with reader threads is taken back. */
export interface LendableSlots extends WriteSlots {
  onShort: (() => void) | undefined;
}

export interface KernelSideDeps {
  readonly log: Log;
  readonly life: LiveLife;
  readonly handlers: FuseHandlers;
  /** Before a request that names this node is served. */
  readonly prepare?: (nodeId: number) => Promise<void> | undefined;
  readonly pool: PoolView;
  /** Pool memory for what is written; absent on a read-only mount. */
  readonly writeSlots?: LendableSlots;
  readonly readerThreads: number;
  /** A reader thread answered a READ of this handle (0 without opens) by itself. */
  readonly accessed: (nodeId: number, handle: number, offset: number, sizeBytes: number) => void;
  /** The mount is there, and READs may be answered on this descriptor. Called before the first request is read. */
  readonly deviceReady: (fd: number) => void;
  readonly threads: SpareThreads;
  /** A thread died: end the daemon. */
  readonly onFatal: (error: Error) => void;
}

export interface KernelSide {
  /**
   * The file system is unmounted and every reader thread has ended; or it is detached, programs still use it, and only the
   * end of this process can make their calls fail.
   */
  readonly ended: Promise<void>;
  /** What can only be set once the mount answers: how far the kernel reads ahead. */
  tune(): void;
  /** The kernel shall look this name up again. Advice: names expire by themselves too. */
  nameChanged(parentNodeId: number, name: string): void;
  /** It drops what it has cached of the file from `offset` on: resolves when it did. Undefined: this binding cannot tell it. */
  readonly bytesChanged: ((nodeId: number, offset: number) => Promise<void>) | undefined;
  /** It shall look all names up again, where it can be told so (7.44). */
  namesLost(): void;
  /** For metrics. */
  counts(): { readonly readers?: ReaderCounts; readonly requests?: DispatcherStats };
  /** How long the oldest waits of those requests that the engine's deadlines bound; 0 for none. */
  oldestRequestMs(): number;
  /** Requests that were not answered yet, oldest first; borrowed for this turn. */
  unanswered(): Iterable<UnansweredRequest>;
  /** For metrics, at more cost: how long requests took, by name; and those that reader threads answered, a sample. */
  durations(): {
    readonly requests: Readonly<Record<string, HistogramState>>;
    readonly hits: readonly HistogramState[];
  };
  /** Who reads: what reader threads note, and an ear for what the main thread answers. Undefined: this binding cannot say. */
  readonly watched: KernelWatch | undefined;
  /** Takes the mount down; `ended` then settles. Safe to call twice. */
  unmount(): Promise<void>;
}

/** Where `mount-s3x top` looks. */
export interface KernelWatch {
  readonly accounts: readonly AccountView[];
  observe(observer: RequestObserver | undefined): void;
}

/** Mounts and serves by the binding that the user chose. Throws MountError with nothing left mounted. */
export function serveKernel(config: MountConfig, deps: KernelSideDeps): Promise<KernelSide> {
  const options = mountOptionsOf(config);
  return config.fuseBinding === 'native' ? serveNative(config, options, deps) : serveDevice(config, options, deps);
}

/** fuse-native: everything on this thread, no notifications, no read-ahead of ours. */
async function serveNative(config: MountConfig, options: MountOptions, deps: KernelSideDeps): Promise<KernelSide> {
  const { log, handlers } = deps;
  const mount = await mountNative(config.mountPoint, options, { handlers, log, clock: systemClock });
  const { promise: givenUp, resolve: giveUp } = promiseOf();
  return {
    ended: Promise.race([mount.ended, givenUp]),
    tune: () => undefined,
    nameChanged: () => undefined,
    bytesChanged: undefined,
    namesLost: () => undefined,
    counts: () => ({}),
    oldestRequestMs: () => 0,
    unanswered: () => [],
    durations: () => ({ requests: {}, hits: [] }),
    watched: undefined,
    unmount: () =>
      endMount({ mountPoint: mount.mountPoint, record: undefined, unmount: unmountFuse }, mount.ended, giveUp, log),
  };
}

async function serveDevice(config: MountConfig, options: MountOptions, deps: KernelSideDeps): Promise<KernelSide> {
  const { log, pool } = deps;
  const { promise: threadsEnded, resolve: onEnded } = promiseOf();
  const { writeSlots, readerThreads } = deps;
  const loans = writeSlots && allocateLoans(readerThreads);
  const lender = writeSlots && loans && new SlotLender(loans, { slots: writeSlots, clock: systemClock });
  if (lender) writeSlots.onShort = () => lender.recall();
  const readers = new ReaderThreads(
    { count: readerThreads, pool: pool.memory, ...(loans ? { loans } : {}) },
    { log, accessed: deps.accessed, onFatal: deps.onFatal, onEnded, threads: deps.threads },
  );
  let mount: FuseMount;
  try {
    await readers.ready;
    mount = await openConnection(config, options, deps.life);
  } catch (error) {
    await readers.abandon();
    throw error;
  }
  // What this daemon reads from and answers on.
  let { fd } = mount;
  let dispatcher: FuseDispatcher;
  let hasEpoch: boolean;
  try {
    const negotiated = agree(mount.fd, config, deps);
    fd = ownDescriptor(mount.fd, negotiated, deps);
    hasEpoch = negotiated.hasIncrementEpoch;
    log.debug({ negotiated, via: mount.via }, 'the kernel and this daemon agreed on the protocol');
    deps.deviceReady(fd);
    dispatcher = new FuseDispatcher(
      {
        refused: deps.life.refused,
        ...(deps.life.trial && negotiated.hasResend ? { trial: deps.life.trial } : {}),
        ...(config.allowRoot ? { ownerUid: process.geteuid?.() ?? 0 } : {}),
      },
      {
        handlers: deps.handlers,
        writer: new DevFuseTransport(fd),
        negotiated,
        log,
        clock: systemClock,
        isToldToEnd,
        isBeingKilled,
        ...(lender ? { lender } : {}),
        ...(deps.prepare ? { prepare: deps.prepare } : {}),
        ...(deps.life.page ? { witness: deps.life.page } : {}),
        onRoom: () => readers.wake(),
      },
    );
    readers.start(fd, negotiated.requestBufferBytes, dispatcher);
  } catch (error) {
    // A mount that others began is the supervisor's to give up.
    if (!deps.life.takesOver) await unmounter(deps.life)(mount.mountPoint, { lazy: true }).catch(() => undefined);
    for (const each of new Set([fd, mount.fd])) closeSync(each);
    await readers.abandon();
    throw error;
  }
  const notifier = new Notifier({ fd }, { clock: systemClock, log, onFatal: deps.onFatal });
  const closed = threadsEnded.then(async () => {
    lender?.close();
    await notifier.close();
    for (const each of new Set([fd, mount.fd])) closeSync(each);
  });
  const { promise: givenUp, resolve: giveUp } = promiseOf();
  // A notification that waits for a directory's lock keeps the connection open beyond the end of this process, and whoever
  // holds the lock waits for an answer: everybody gets one, until that thread is out of the kernel.
  const leave = (): void => {
    dispatcher.refuseAll(ENOTCONN);
    void within(notifier.close(), NOTIFIER_END_MS, undefined).then(giveUp);
  };
  return {
    ended: Promise.race([closed, givenUp]),
    tune: () => {
      tune(mount, log);
      systemClock.after(REST_MS, () => readers.startRest());
    },
    namesLost: () => {
      if (hasEpoch) notifier.push({ type: 'incrementEpoch' });
    },
    nameChanged: (parent, name) => notifier.push({ type: 'invalidateEntry', parent, name, expireOnly: false }),
    bytesChanged: (nodeId, offset) => notifier.tell({ type: 'invalidateInode', nodeId, offset, lengthBytes: 0 }),
    counts: () => ({ readers: readers.counts(), requests: dispatcher.stats() }),
    oldestRequestMs: () => dispatcher.oldestBoundedMs(),
    unanswered: () => dispatcher.unanswered(),
    durations: () => ({
      requests: dispatcher.durations(),
      hits: readers.accounts.map((account) => account.latencies),
    }),
    watched: { accounts: readers.accounts, observe: (observer) => (dispatcher.observer = observer) },
    unmount: () => endMount({ ...mount, unmount: unmounter(deps.life) }, threadsEnded, leave, log),
  };
}

/** Mounts, or takes the connection that is there already. */
async function openConnection(config: MountConfig, options: MountOptions, life: LiveLife): Promise<FuseMount> {
  const { deviceFd, takesOver, isAdopted } = life;
  if (deviceFd !== undefined && (takesOver || isAdopted)) {
    const { mountPoint } = config;
    const via = life.rootHand ? 'supervisor' : process.geteuid?.() === 0 ? 'mount' : 'fusermount3';
    return { fd: deviceFd, mountPoint, via, record: findMount(mountPoint) };
  }
  if (deviceFd !== undefined && life.rootHand) {
    const { mountPoint } = config;
    await life.rootHand.mount();
    return { fd: deviceFd, mountPoint, via: 'supervisor', record: findMount(mountPoint) };
  }
  const mount = await mountFuse(config.mountPoint, options, deviceFd);
  try {
    await life.mounted(mount.fd);
    return mount;
  } catch (error) {
    await unmountFuse(mount.mountPoint, { lazy: true }).catch(() => undefined);
    if (mount.fd !== deviceFd) closeSync(mount.fd);
    throw error;
  }
}

/**
 * INIT, or what an earlier daemon agreed on, whose unanswered requests are then asked for again: before the first read, for
 * what is read before that would be answered in vain (kernel fact 20, docs/KERNEL.md).
 */
function agree(fd: number, config: MountConfig, { life, log }: Pick<KernelSideDeps, 'life' | 'log'>): Negotiated {
  const { page } = life;
  if (!life.takesOver) {
    return handshake(fd, { readOnly: config.readOnly, pageBytes: pageBytes(), resend: config.resend }, (agreed) =>
      page?.setNegotiated(agreed),
    );
  }
  const negotiated = page?.negotiated();
  if (negotiated === undefined) {
    throw new MountError(
      'protocol',
      'nobody wrote down what was agreed on with the kernel',
      'Unmount and mount again.',
    );
  }
  if (!negotiated.hasResend) return negotiated;
  const errno = runNotification(new DevFuseTransport(fd), { type: 'resend' });
  if (errno !== 0) log.warn({ errno: errnoName(errno) }, 'the kernel does not send unanswered requests again');
  return negotiated;
}

/**
 * Where the kernel sends requests again, all daemons of a mount use the one descriptor that the supervisor holds. Where it
 * does not (before 6.9), what a dead daemon had read would wait for ever: so each daemon reads from a clone of its own, whose
 * end with the process ends its requests with ECONNABORTED (kernel fact 1, docs/KERNEL.md), and the mount lives.
 */
function ownDescriptor(
  fd: number,
  negotiated: Negotiated,
  { life, log }: Pick<KernelSideDeps, 'life' | 'log'>,
): number {
  if (negotiated.hasResend || life.supervisor === undefined) return fd;
  let fresh: number;
  try {
    fresh = life.spareFd ?? openDevFuse();
  } catch (error) {
    log.warn({ err: error }, 'no descriptor of its own: calls that wait when this daemon dies would wait for ever');
    return fd;
  }
  const errno = cloneConnection(fresh, fd);
  if (errno === 0) return fresh;
  log.warn(
    { errno: errnoName(errno) },
    'no descriptor of its own: calls that wait when this daemon dies would wait for ever',
  );
  closeSync(fresh);
  return fd;
}

/** Unmounts as this daemon may: itself, or through its supervisor. */
function unmounter({ rootHand }: LiveLife): typeof unmountFuse {
  return rootHand === undefined ? unmountFuse : (_mountPoint, { lazy }) => rootHand.unmount(lazy);
}

function promiseOf(): { promise: Promise<void>; resolve: () => void } {
  let settle: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => (settle = resolve));
  return { promise, resolve: () => settle() };
}

function tune(mount: FuseMount, log: Log): void {
  // A supervisor that mounted has done it.
  if (mount.via === 'supervisor') return;
  if (!mount.record || mount.via !== 'mount') {
    log.debug({}, "the kernel's own read-ahead stays at 128 KiB: only root can raise it");
    return;
  }
  void setReadAhead(mount.record, READ_AHEAD_KIB).then((trouble) => {
    if (trouble !== undefined) log.warn({ trouble }, 'read_ahead_kb could not be raised: buffered reads are slower');
  });
}

/**
 * Detaches the mount and sees that the daemon can end whoever still uses it: a plain unmount leaves nobody inside but for
 * other mount namespaces, a lazy one may, and so may the unmount of somebody else.
 */
async function endMount(
  { mountPoint, record, unmount }: Pick<FuseMount, 'mountPoint' | 'record'> & { readonly unmount: typeof unmountFuse },
  ended: Promise<void>,
  giveUp: () => void,
  log: Log,
): Promise<void> {
  try {
    await unmount(mountPoint, { lazy: false });
  } catch (error) {
    if (!(error instanceof MountError)) throw error;
    if (error.kind === 'permission') {
      log.error(
        { mountPoint, reason: error.message },
        'the mount cannot be taken away: what is below it fails from now on',
      );
      if (!record || !abortConnection(record)) giveUp();
    } else if (error.kind !== 'not-mounted') {
      log.warn({ mountPoint, reason: error.message }, 'still in use: detaching it');
      await unmount(mountPoint, { lazy: true });
    }
  }
  if ((await within(ended, DETACHED_GRACE_MS, 'late')) !== 'late') return;
  log.warn({ mountPoint }, 'programs still use the detached mount: their calls fail from now on');
  if (record && abortConnection(record)) return;
  // No /sys/fs/fuse/connections here, as in most containers. With its threads goes the last descriptor of /dev/fuse.
  giveUp();
}
