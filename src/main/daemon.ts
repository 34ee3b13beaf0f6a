/**
 * The composition root: a mount from its start to its end. The parts are made in mount-parts.ts, and here joined to the kernel's
 * side, the host's other mounts, what users ask and what is done while nobody wants anything.
 *
 * Order of a start: what can fail without a trace comes first (bucket, credentials, threads); mounting is the last step,
 * so that a failed start leaves nothing mounted. Order of an end: the kernel's side first, then the threads, because a
 * reader thread can only be ended by the end of its mount (kernel fact 2, docs/KERNEL.md).
 * Refuses to log to the screen or to exit: the caller does.
 *
 * Thread: main. Owns: the descriptor of /dev/fuse, and the parts.
 */
import { stat } from 'node:fs/promises';
import { systemClock } from '../base/clock.js';
import { EINVAL, ErrnoError } from '../base/errno.js';
import type { Log } from '../base/log.js';
import { within } from '../base/waits.js';
import type { MountConfig } from './config.js';
import type { ControlHandlers } from './control-socket.js';
import { serveKernel, type KernelSide } from './kernel-side.js';
import { tellLeftOvers } from './left-overs.js';
import { IdleCollector } from './memory/idle-collector.js';
import { buildParts, closeParts, dieOf, rehearsesFirst, type DaemonDeps, type Parts } from './mount-parts.js';
import { liveParts } from './reload/live-parts.js';
import type { LiveParts } from './reload/live-settings.js';
import { CarriedKeeper, type CarriedCounts } from './stats/carried.js';
import { describeWaiting } from './stats/waiting.js';
import { explainMount } from './stats/explanation.js';
import { gatherStats } from './stats/gather.js';
import { startMetrics } from './metrics/start.js';
import { topCommand } from './top/command.js';
import { ProcessNames } from './top/processes.js';
import type { HostShareKeeper } from './registry/host-share.js';
import { joinHost } from './registry/join.js';
import { rehearseMain } from './rehearsal/rehearse-main.js';
import { rehearseWhenIdle } from './rehearsal/when-idle.js';
import { currentOwner } from './state-directory.js';
import type { Waiting } from './supervisor/api.js';
import { hurryWhenLong } from './v8-settings.js';

/** What is being written goes to the spool before an upgrade: less than the supervisor waits (15 s). */
const HAND_OVER_MS = 12_000;

/** For the first answer of the mount, after everything else is up. */
const ANSWER_WAIT_MS = 10_000;

/** Measured: 150-250 ms of this thread, when nobody wants anything yet. */
const REHEARSAL = { rounds: 60, streamBlocks: 48, budgetMs: 1_000 };

/** Between two lines of --log-metrics. */
const METRICS_MS = 5_000;

export interface RunningDaemon {
  /** What other processes of the user may ask for. */
  readonly commands: ControlHandlers;
  /** What a reload can change while it runs. */
  readonly live: LiveParts;
  /** Settles when the mount is gone and every thread has ended. Never rejects. */
  readonly done: Promise<{ readonly reason: string; readonly exitCode: number }>;
  /** Unmounts and ends; `done` then settles. Safe to call twice. */
  stop(reason: string): Promise<void>;
  /** Another daemon takes over, and this process is killed when this settles: what memory holds is put away. Never rejects. */
  handOver(): Promise<void>;
  /** Of the requests that the engine's deadlines bound, how long the oldest has waited. */
  oldestRequestMs(): number;
  /** What has not been answered, and what the store was asked for. Never rejects. */
  waiting(): Promise<Waiting>;
}

/** Resolves once the mount answers; throws StoreError, MountError or another error with nothing left mounted. */
export async function startDaemon(config: MountConfig, deps: DaemonDeps): Promise<RunningDaemon> {
  const { log, life, threads } = deps;
  const parts = await buildParts(config, deps);
  if (rehearsesFirst(config, life)) {
    const report = await rehearseMain(config, REHEARSAL, () => false);
    log.debug({ ...report }, 'the main thread rehearsed');
  }
  let kernel: KernelSide;
  try {
    if (life.takesOver) log.info({ ...(await parts.fileSystem.takeOverWriting()) }, 'what was being written goes on');
    kernel = await serveKernel(config, {
      log,
      life,
      handlers: parts.fileSystem,
      ...(config.immutable && life.takesOver ? { prepare: (nodeId) => parts.fileSystem.revived(nodeId) } : {}),
      pool: parts.pool,
      ...(config.readOnly ? {} : { writeSlots: parts.prefetcher.writeSlots }),
      readerThreads: parts.readerThreads,
      threads,
      accessed: (nodeId, handle, offset, sizeBytes) => parts.fileSystem.accessed(nodeId, handle, offset, sizeBytes),
      deviceReady: (fd) => {
        parts.replier.bind(fd);
        parts.net.setDevice(fd);
      },
      onFatal: dieOf,
    });
  } catch (error) {
    await closeParts(parts);
    throw error;
  }
  threads.close();
  parts.late.nameChanged = (parent, name) => kernel.nameChanged(parent, name);
  if (kernel.bytesChanged) parts.late.bytesChanged = kernel.bytesChanged;
  parts.late.namesLost = () => kernel.namesLost();
  if (life.takesOver && config.immutable && parts.fileSystem.isIncomplete) kernel.namesLost();
  let logged = config.log.metrics ? logMetrics(parts, kernel, log) : undefined;
  const sharing = shareHost(config, parts, kernel, log);
  const sinceMs = systemClock.nowMs();
  const snapshot = (before?: CarriedCounts) =>
    gatherStats({
      ...parts,
      config,
      clock: systemClock,
      kernel,
      sharing,
      sinceMs,
      generation: life.generation,
      before,
    });
  const { descriptions, scheduler } = parts;
  const carried = new CarriedKeeper({ page: life.page, clock: systemClock, scheduler, kernel, descriptions });
  const monitoring: { metrics?: ReturnType<typeof startMetrics> } = {};
  let { shutdownTimeoutMs } = config.write;
  let stopReason: string | undefined;
  const done = kernel.ended.then(async () => {
    clearInterval(logged);
    carried.close();
    await (await monitoring.metrics)?.close();
    sharing.close();
    // What no RELEASE came for (kernel fact 28).
    await parts.fileSystem.drain(shutdownTimeoutMs, true);
    await closeParts(parts);
    return { reason: stopReason ?? 'unmounted', exitCode: 0 };
  });
  const stop = async (reason: string): Promise<void> => {
    stopReason ??= reason;
    await parts.fileSystem.drain(shutdownTimeoutMs, false);
    await kernel.unmount();
  };
  try {
    // A mount that is taken over has answered before, and what it is asked first may be what others wait for.
    if (!life.takesOver && !life.isAdopted && mayEnter(config)) await answers(config.mountPoint);
  } catch (error) {
    await stop('the mount did not answer');
    await done;
    throw error;
  }
  kernel.tune();
  monitoring.metrics = startMetrics(config.metrics, config.mountPoint, {
    clock: systemClock,
    log,
    owner: currentOwner(),
    snapshot,
  });
  const asked = (): number => {
    const { readers, requests } = kernel.counts();
    return (readers?.hits ?? 0) + (requests?.requests ?? 0);
  };
  const collector = new IdleCollector({
    clock: systemClock,
    asked,
    isBusy: () => (kernel.counts().requests?.inFlight ?? 0) + parts.errands() > 0,
    collect: parts.tidy,
  });
  void done.then(() => collector.close());
  void done.then(hurryWhenLong());
  // Who takes over is waited for already.
  if (!life.takesOver && !rehearsesFirst(config, life)) {
    const endRehearsal = rehearseWhenIdle({
      clock: systemClock,
      asked,
      rehearseNet: () => parts.net.rehearse(),
      rehearseMain: (stop) => rehearseMain(config, REHEARSAL, stop),
      said: (report) => log.debug({ ...report }, 'the main thread rehearsed'),
    });
    void done.then(endRehearsal);
  }
  // What the daemon before this one left was told when it was found.
  if (!config.readOnly && !life.takesOver) {
    void tellLeftOvers(config.write, config.store, { log, writer: parts.writer, clock: systemClock });
  }
  const processNames = new ProcessNames();
  const commands: ControlHandlers = {
    /** Payload and requests since the mount began, for `bench`; the last tenth of a second may be missing. */
    traffic: () => Promise.resolve(parts.scheduler.snapshot().totals),
    'remove-tree': (request, progress, signal) => {
      const { path } = request;
      if (typeof path !== 'string') throw new ErrnoError(EINVAL, 'remove-tree wants a path');
      return parts.fileSystem.removeTree(path, progress, signal);
    },
    explain: () => Promise.resolve(explainMount({ ...parts, config, clock: systemClock, sharing })),
    stats: () => snapshot(carried.before),
    top: topCommand({
      kernel: kernel.watched,
      clock: systemClock,
      names: {
        identify: (tid) => processNames.identify(tid),
        pathOf: (nodeId) => parts.fileSystem.pathOf(nodeId) ?? null,
      },
      mountPoint: config.mountPoint,
      source: `s3://${config.store.bucket}/${config.store.prefix}`,
    }),
  };
  const handOver = async (): Promise<void> => {
    await Promise.all([parts.fileSystem.handOver(HAND_OVER_MS), carried.keep()]);
  };
  const live = liveParts(parts, {
    setMetricsLog: (isOn) => {
      clearInterval(logged);
      logged = isOn ? logMetrics(parts, kernel, log) : undefined;
      return undefined;
    },
    setShutdownTimeout: (timeoutMs) => {
      shutdownTimeoutMs = timeoutMs;
      return undefined;
    },
  });
  const waiting = (): Promise<Waiting> => describeWaiting({ ...parts, kernel, prefix: config.store.prefix });
  return { done, stop, handOver, commands, live, waiting, oldestRequestMs: () => kernel.oldestRequestMs() };
}

/** --log-metrics: what every part counts, as one line each METRICS_MS. */
function logMetrics(parts: Parts, kernel: KernelSide, log: Log): NodeJS.Timeout {
  return setInterval(() => {
    const fields = {
      ...kernel.counts(),
      fileSystem: parts.fileSystem.stats(),
      prefetch: { ...parts.prefetcher.counts, blocks: parts.prefetcher.index.counts },
      data: parts.plane.counts,
      memory: { ...parts.governor.counts, ...process.memoryUsage() },
    };
    log.info(fields, 'metrics');
  }, METRICS_MS).unref();
}

/** From now on this mount divides network and memory with the others of the host. */
function shareHost(config: MountConfig, parts: Parts, kernel: KernelSide, log: Log): HostShareKeeper {
  const { sizing, plane, governor, scheduler, errands } = parts;
  return joinHost(
    { config, sizing, owner: currentOwner() },
    {
      clock: systemClock,
      log,
      look: () => {
        const { readers, requests } = kernel.counts();
        const used = (readers?.hits ?? 0) + (requests?.requests ?? 0);
        const { bytesIn, bytesOut } = scheduler.totals;
        // Who writes waits for the store.
        const waited = plane.parkedTotal + bytesOut;
        return { isBusy: plane.counts.fetches + errands() > 0, bytesMoved: bytesIn + bytesOut, used, waited };
      },
      takers: [scheduler, { setShare: ({ memoryTargetBytes }) => governor.setTarget(memoryTargetBytes) }],
    },
  );
}

/** With --user USER:GROUP the kernel keeps the daemon itself out, if GROUP is not the one that the user's programs have. */
function mayEnter({ runAs, allowOther, allowRoot }: MountConfig): boolean {
  return runAs === undefined || runAs.gid === runAs.loginGid || allowOther || allowRoot;
}

/** The first system call on the mount, by a thread of Node's pool, so that this one is free to serve it. */
async function answers(mountPoint: string): Promise<void> {
  if ((await within(stat(mountPoint), ANSWER_WAIT_MS, 'silent')) !== 'silent') return;
  throw new Error(`the mount at ${mountPoint} did not answer within ${ANSWER_WAIT_MS / 1000} s`);
}
