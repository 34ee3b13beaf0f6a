/**
 * The composition root: builds a mount from a MountConfig and takes it apart again. Everything is made here and nowhere
 * else, so that each part gets what it needs through its constructor.
 *
 * Order of a start: what can fail without a trace comes first (bucket, credentials, threads); mounting is the last step,
 * so that a failed start leaves nothing mounted. Order of an end: the kernel's side first, then the threads, because a
 * reader thread can only be ended by the end of its mount (kernel fact 2, docs/KERNEL.md).
 * Refuses to log to the screen or to exit: the caller does.
 *
 * Thread: main. Owns: the pool's memory, the descriptor of /dev/fuse, all workers.
 */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { performance } from 'node:perf_hooks';
import { systemClock } from '../base/clock.js';
import { EINVAL, ErrnoError } from '../base/errno.js';
import type { Log } from '../base/log.js';
import { BLOCK_BYTES, allocatePool } from '../base/pool/layout.js';
import { PoolView } from '../base/pool/pool-view.js';
import { processStart } from '../base/process-identity.js';
import { within } from '../base/waits.js';
import { CallPlane } from '../engine/calls/call-plane.js';
import { ObjectHeads } from '../engine/calls/object-heads.js';
import { StoreCaller } from '../engine/calls/store-caller.js';
import { DataPlane } from '../engine/data-plane.js';
import { isAwsEndpoint } from '../engine/endpoint/aws-endpoint.js';
import { hasSessions, isDirectoryBucket } from '../engine/endpoint/directory-bucket.js';
import { ListPlane, MountedStore } from '../engine/listing/list-plane.js';
import { openControlPlane, type ControlPlane } from '../engine/store/control-plane.js';
import type { ObjectWriter } from '../engine/write-api.js';
import { S3Writer } from '../engine/writing/s3-writer.js';
import { S3FileSystem } from '../fs/file-system.js';
import { SpoolDirectory, type SpoolOwner } from '../fs/writing/spool.js';
import { Processes } from '../fuse/processes.js';
import { parseCpuList } from '../hwdetect/cpu-list.js';
import { detectHardware } from '../hwdetect/detect.js';
import type { HardwareProfile } from '../hwdetect/profile.js';
import { PoolPrefetcher } from '../prefetch/pool-prefetcher.js';
import type { MountConfig } from './config.js';
import type { ControlHandlers } from './control-socket.js';
import { serveKernel, type KernelSide } from './kernel-side.js';
import { openJournal } from './journal/open-journal.js';
import { LateReplier } from './late-replier.js';
import { tellLeftOvers } from './left-overs.js';
import { collectGarbage } from './memory/heaps.js';
import { IdleCollector } from './memory/idle-collector.js';
import type { MemoryGovernor } from './memory/governor.js';
import { listingBytes } from './memory/listing-share.js';
import { openNativeMemory } from './memory/native-memory.js';
import { startGovernor } from './memory/start.js';
import { NetThreads } from './net-threads.js';
import { addressesFor } from './bound-cards.js';
import { liveParts } from './reload/live-parts.js';
import type { LiveParts } from './reload/live-settings.js';
import { controllerBounds } from './sizing-bounds.js';
import { SchedulerDriver } from './scheduler/driver.js';
import { FeedbackController } from '../engine/scheduler/controller.js';
import { CarriedKeeper, type CarriedCounts } from './stats/carried.js';
import { Descriptions } from './stats/descriptions.js';
import { describeWaiting } from './stats/waiting.js';
import { explainMount } from './stats/explanation.js';
import { gatherStats } from './stats/gather.js';
import { startMetrics } from './metrics/start.js';
import { topCommand } from './top/command.js';
import { ProcessNames } from './top/processes.js';
import { placePool } from './pool-pages.js';
import type { HostShareKeeper } from './registry/host-share.js';
import { joinHost } from './registry/join.js';
import { rehearseMain } from './rehearsal/rehearse-main.js';
import { rehearseWhenIdle } from './rehearsal/when-idle.js';
import { deriveSizing, type Sizing } from './sizing.js';
import type { SpareThreads } from './spare-threads.js';
import { currentOwner } from './state-directory.js';
import { GENERATION_IDS, type LiveLife, type Waiting } from './supervisor/api.js';
import { hurryWhenLong } from './v8-settings.js';

/** What is being written goes to the spool before an upgrade: less than the supervisor waits (15 s). */
const HAND_OVER_MS = 12_000;

/** For the first answer of the mount, after everything else is up. */
const ANSWER_WAIT_MS = 10_000;

/** Before credentials that were refused, and of which there are no others, are tried again: the last try of a fetch. */
const SAME_CREDENTIALS_WAIT_MS = 1_000;

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

/** What runs between the kernel's side and the store; each part with how it ends. */
interface Parts {
  readonly control: ControlPlane;
  readonly net: NetThreads;
  readonly plane: DataPlane;
  readonly calls: CallPlane;
  readonly prefetcher: PoolPrefetcher;
  readonly writer: ObjectWriter;
  readonly fileSystem: S3FileSystem;
  readonly pool: PoolView;
  /** Answers READs that no net thread can place; bound once the mount is there. */
  readonly replier: LateReplier;
  readonly late: LateCalls;
  readonly readerThreads: number;
  readonly governor: MemoryGovernor;
  readonly scheduler: SchedulerDriver;
  readonly hardware: HardwareProfile;
  readonly sizing: Sizing;
  /** LISTs and calls under way. */
  readonly errands: () => number;
  readonly descriptions: Descriptions;
  /** Gives back what work has left behind, in all threads; takes 20-50 ms of this one. */
  readonly tidy: () => void;
}

/** Calls into what is built last: they do nothing until the mount is there. */
interface LateCalls {
  nameChanged: (parentNodeId: number, name: string) => void;
  bytesChanged: (nodeId: number, offset: number) => Promise<void>;
  namesLost: () => void;
}

/**
 * A mount in the foreground is a service's: its jobs come when it says that it is ready, so it rehearses before it mounts (a
 * quarter of a second). At a prompt somebody waits: there it rehearses when the mount is idle.
 */
function rehearsesFirst({ foreground }: MountConfig, { takesOver, isAdopted }: LiveLife): boolean {
  return foreground && !takesOver && !isAdopted;
}

/** Resolves once the mount answers; throws StoreError, MountError or another error with nothing left mounted. */
export async function startDaemon(
  config: MountConfig,
  deps: { readonly log: Log; readonly life: LiveLife; readonly threads: SpareThreads },
): Promise<RunningDaemon> {
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

async function buildParts(
  config: MountConfig,
  { log, life, threads }: { readonly log: Log; readonly life: LiveLife; readonly threads: SpareThreads },
): Promise<Parts> {
  const cards = networkInterfaces();
  const localAddresses = addressesFor(0, config.bindNics, cards);
  const knownRegion = life.takesOver ? life.page?.region() : undefined;
  const [hardware, control] = await Promise.all([
    detectHardware({ detail: 'mount' }),
    openControlPlane(
      config.store,
      { clock: systemClock, log },
      { localAddresses, ...(knownRegion === undefined ? {} : { knownRegion }) },
    ),
  ]);
  life.page?.setRegion(control.probe.region);
  try {
    const sizing = deriveSizing(hardware, config);
    log.info({ hardware, sizing }, 'sized from the hardware');
    const memory = allocatePool(Math.floor(sizing.poolBytes / BLOCK_BYTES), placePool);
    const pool = new PoolView(memory);
    const native = openNativeMemory(memory, (error) =>
      log.warn(
        { err: error },
        'the pool can grow, not shrink: the native part of the npm package koffi cannot be used',
      ),
    );
    const { anonymous } = config.store;
    const late: LateCalls = {
      nameChanged: () => undefined,
      bytesChanged: () => Promise.resolve(),
      namesLost: () => undefined,
    };
    const replier = new LateReplier((message) => log.error({}, `a read could not be answered: ${message}`));
    const connectionsMax = Math.max(1, Math.ceil(sizing.connectionsMax / sizing.netThreads));
    const { netCpus } = sizing.placement;
    const cpus = netCpus === undefined ? undefined : parseCpuList(netCpus);
    const net = new NetThreads(
      Array.from({ length: sizing.netThreads }, (_, index) => ({
        target: { ...control.target, localAddresses: addressesFor(index, config.bindNics, cards) },
        pool: memory,
        connectionsMax,
        anonymous,
        verify: config.verify,
        ...(index === 0 && life.stackFd !== undefined ? { stackFd: life.stackFd } : {}),
        ...(cpus === undefined ? {} : { cpus }),
      })),
      {
        onEvent: (index, event) => {
          if (event.type === 'sample') scheduler.sampled(index, event.sample);
          else if (!descriptions.handle(index, event) && !lists.handle(event) && !calls.handle(event))
            plane.handle(index, event);
        },
        onFatal: dieOf,
        threads,
      },
    );
    const descriptions = new Descriptions(net.ports, systemClock);
    const lists: ListPlane = new ListPlane(
      { bucket: config.store.bucket, asksRestore: control.asksRestore },
      { ports: net.ports, clock: systemClock },
    );
    const calls: CallPlane = new CallPlane(net.ports);
    const caller = new StoreCaller(config.store.bucket, calls);
    const plane: DataPlane = new DataPlane({
      ports: net.ports,
      pool,
      log,
      credentialsRefused: (code) =>
        void control.credentials
          .refresh(code)
          .then(async (changed) => {
            // New ones have been posted by onChange. The same ones are posted again, a little later, so that a fetch which
            // waits is refused for good soon, but not for a passing refusal.
            if (changed) return;
            await new Promise((resolve) => void systemClock.after(SAME_CREDENTIALS_WAIT_MS, () => resolve(undefined)));
            plane.setCredentials(await control.credentials.current());
          })
          .catch((error: unknown) => log.error({ err: error }, 'the credentials could not be renewed')),
      replyError: (ticket, errno) => replier.error(ticket, errno),
    });
    const bounds = controllerBounds(sizing, config);
    const limits = {
      bounds,
      connectionsPosted: connectionsMax,
      bytesPerSecondMax: config.maxBandwidthBytesPerSecond ?? Infinity,
    };
    const scheduler: SchedulerDriver = new SchedulerDriver(limits, {
      clock: systemClock,
      log,
      controller: new FeedbackController(bounds),
      ports: net.ports,
      setActiveThreads: (threads) => [plane, lists, calls].forEach((each) => each.setActiveThreads(threads)),
      poolPressure: () => prefetcher.pressure,
      loopBusyMs: () => performance.eventLoopUtilization().active,
      demand: () => ({ readsTotal: plane.parkedTotal, isCrowded: prefetcher.crowded }),
    });
    control.credentials.onChange((credentials) => plane.setCredentials(credentials));
    if (!anonymous) plane.setCredentials(await control.credentials.current());
    const prefetcher = new PoolPrefetcher(
      { partBytes: () => scheduler.setting.partBytes, readAround: config.readAround },
      {
        view: pool,
        plane,
        clock: systemClock,
        log,
        versionLost: (nodeId, etag) => fileSystem.versionLost(nodeId, etag),
      },
    );
    const isAws = isAwsEndpoint(control.settings.endpointUrl);
    const isDirectory = hasSessions(config.store);
    const writer = new S3Writer(config.write.objects, { caller, clock: systemClock, isAws, isDirectory });
    const fileSystem: S3FileSystem = new S3FileSystem(
      {
        prefix: config.store.prefix,
        uid: config.uid,
        gid: config.gid,
        dirMode: config.dirMode,
        fileMode: config.fileMode,
        metadataTtlMs: config.metadataTtlMs,
        negativeMetadataTtlMs: config.negativeMetadataTtlMs,
        readOnly: config.readOnly,
        // libfuse keeps its own count of opens and cannot pass ENOSYS on in a way that both understand.
        withoutOpens: config.immutable && config.fuseBinding === 'dev',
        listsInOrder: !isDirectoryBucket(config.store),
        firstNodeId: life.generation * GENERATION_IDS + 2,
        limits: {
          listingCacheBytesMax: listingBytes(sizing.memoryTargetBytes),
          openListingBytesMax: listingBytes(sizing.memoryTargetBytes),
        },
        inferContentType: config.write.inferContentType,
        noOverwrite: !config.write.overwrite,
        noDelete: !config.write.delete,
        posixMetadata: config.write.posixMetadata,
        renameDirectoryKeysMax: config.write.renameDirectoryKeysMax,
        writing: {
          conflict: config.write.conflict,
          partBytes: config.write.partBytes,
          commitIntervalMs: config.write.commitIntervalMs,
        },
      },
      {
        store: new MountedStore(new ObjectHeads(caller, control.store), lists),
        writer,
        prefetcher,
        speculator: prefetcher,
        writeSlots: prefetcher.writeSlots,
        witness: new Processes(),
        spool: new SpoolDirectory(config.write.spoolDirectory, spoolId(), {
          bucket: config.store.bucket,
          endpointUrl: config.store.endpointUrl,
          mountPoint: config.mountPoint,
          ...keeperOf(life),
        }),
        journal: openJournal(life.journalFd, log),
        clock: systemClock,
        log,
        nameChanged: (parent, name) => late.nameChanged(parent, name),
        ...(config.fuseBinding === 'native'
          ? {}
          : { bytesChanged: (nodeId: number, offset: number) => late.bytesChanged(nodeId, offset) }),
        namesLost: () => late.namesLost(),
      },
    );
    await net.ready;
    if (rehearsesFirst(config, life)) net.rehearse();
    const governor = startGovernor({
      plan: sizing.memory,
      index: prefetcher.index,
      listings: fileSystem.listings,
      native,
      clock: systemClock,
      log,
    });
    const { readerThreads } = sizing;
    const errands = (): number => lists.size + calls.size;
    const tidy = (): void => {
      net.collect();
      collectGarbage();
      native?.trim();
    };
    return {
      ...{ control, net, plane, calls, prefetcher, writer, fileSystem, pool, replier, late, readerThreads, governor },
      ...{ scheduler, hardware, sizing, errands, descriptions, tidy },
    };
  } catch (error) {
    control.close();
    throw error;
  }
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

async function closeParts(parts: Parts): Promise<void> {
  parts.governor.close();
  parts.fileSystem.destroy();
  await parts.net.close();
  parts.calls.close();
  parts.control.close();
}

/** Who sees to it that this process has a successor. */
function keeperOf({ supervisor }: LiveLife): Pick<SpoolOwner, 'keeper'> {
  const pidStart = supervisor && processStart(supervisor.pid);
  return supervisor && pidStart !== undefined ? { keeper: { pid: supervisor.pid, pidStart } } : {};
}

/** Begins the names of this process' spool files: of no other process, before or after a reboot. */
function spoolId(): string {
  return `${systemClock.wallMs().toString(36)}-${process.pid}-${randomBytes(3).toString('hex')}`;
}

/** A dead thread of ours cannot be lived without: as an uncaught exception this ends the process at once. */
function dieOf(error: Error): never {
  throw error;
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
