/**
 * What runs between the kernel's side and the store: threads, pool, planes, prefetcher, file system, scheduler and governor of
 * one mount, each given what it needs. Made in this order because a part's constructor takes those before it; what is built
 * last is reached by `late`, which does nothing until the mount is there.
 * A failure here leaves no mount; threads that run by then end with the process.
 * Refuses to mount, and to decide when the mount ends: daemon.ts.
 *
 * Thread: main. Owns: the pool's memory, all workers, until `closeParts`.
 */
import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { performance } from 'node:perf_hooks';
import { systemClock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import { BLOCK_BYTES, allocatePool } from '../base/pool/layout.js';
import { PoolView } from '../base/pool/pool-view.js';
import { processStart } from '../base/process-identity.js';
import { pause } from '../base/waits.js';
import { CallPlane } from '../engine/calls/call-plane.js';
import { ObjectHeads } from '../engine/calls/object-heads.js';
import { StoreCaller } from '../engine/calls/store-caller.js';
import { DataPlane } from '../engine/data-plane.js';
import { isAwsEndpoint } from '../engine/endpoint/aws-endpoint.js';
import { hasSessions, isDirectoryBucket } from '../engine/endpoint/directory-bucket.js';
import { ListPlane, MountedStore } from '../engine/listing/list-plane.js';
import { openControlPlane, type ControlPlane } from '../engine/store/control-plane.js';
import type { StartPatience } from '../engine/store/wait-for-store.js';
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
import { openJournal } from './journal/open-journal.js';
import { LateReplier } from './late-replier.js';
import { collectGarbage } from './memory/heaps.js';
import type { MemoryGovernor } from './memory/governor.js';
import { listingBytes } from './memory/listing-share.js';
import { openNativeMemory } from './memory/native-memory.js';
import { startGovernor } from './memory/start.js';
import { NetThreads } from './net-threads.js';
import { addressesFor } from './bound-cards.js';
import { controllerBounds } from './sizing-bounds.js';
import { SchedulerDriver } from './scheduler/driver.js';
import { FeedbackController } from '../engine/scheduler/controller.js';
import { Descriptions } from './stats/descriptions.js';
import { placePool } from './pool-pages.js';
import { deriveSizing, type Sizing } from './sizing.js';
import type { SpareThreads } from './spare-threads.js';
import { GENERATION_IDS, type LiveLife } from './supervisor/api.js';

/** Before credentials that were refused, and of which there are no others, are tried again: the last try of a fetch. */
const SAME_CREDENTIALS_WAIT_MS = 1_000;

export interface DaemonDeps {
  readonly log: Log;
  readonly life: LiveLife;
  readonly threads: SpareThreads;
  /** For a store that is away at the start; absent: that is a failure. */
  readonly patience?: StartPatience;
}

/** What runs between the kernel's side and the store; each part with how it ends. */
export interface Parts {
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
export interface LateCalls {
  nameChanged: (parentNodeId: number, name: string) => void;
  bytesChanged: (nodeId: number, offset: number) => Promise<void>;
  namesLost: () => void;
}

/**
 * A mount in the foreground is a service's: its jobs come when it says that it is ready, so it rehearses before it mounts (a
 * quarter of a second). At a prompt somebody waits: there it rehearses when the mount is idle.
 */
export function rehearsesFirst({ foreground }: MountConfig, { takesOver, isAdopted }: LiveLife): boolean {
  return foreground && !takesOver && !isAdopted;
}

export async function buildParts(config: MountConfig, { log, life, threads, patience }: DaemonDeps): Promise<Parts> {
  const cards = networkInterfaces();
  const localAddresses = addressesFor(0, config.bindNics, cards);
  const knownRegion = life.takesOver ? life.page?.region() : undefined;
  const [hardware, control] = await Promise.all([
    detectHardware({ detail: 'mount' }),
    openControlPlane(
      config.store,
      { clock: systemClock, log },
      { localAddresses, ...(knownRegion === undefined ? {} : { knownRegion }), ...(patience && { patience }) },
    ),
  ]);
  life.page?.setRegion(control.probe.region);
  if (control.probe.empty && config.store.prefix !== '') {
    const place = `s3://${config.store.bucket}/${config.store.prefix}`;
    log.warn(
      { prefix: config.store.prefix },
      `no key is below ${place}: a directory that is new, or a mistyped prefix`,
    );
  }
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
            await pause(systemClock, SAME_CREDENTIALS_WAIT_MS);
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
        ...(config.makersOwn && { makersOwn: config.makersOwn }),
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

export async function closeParts(parts: Parts): Promise<void> {
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
export function dieOf(error: Error): never {
  throw error;
}
