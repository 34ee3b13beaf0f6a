/**
 * The main thread's rehearsal while a mount comes up: small files are looked up, read, written and removed, a directory is
 * listed, a large file is written in parts, by a file system of its own between a kernel and a store that are played here.
 *
 * Why: V8 compiles a function when it first runs, and runs it slowly until it has been seen some times. Without it the
 * first files that a job writes take two to three times as long (docs/BENCHMARKS.md has the figures).
 * One request a turn of the event loop, so that the start of the mount goes on beside it; over when the script is, when its time
 * is up, or when `stop` says that somebody has come. Refuses to fail anything: what goes wrong is a sentence for the debug
 * log. Nothing of it touches the bucket, the disk or the mount.
 *
 * Thread: main. Owns: a pool whose payload memory is never touched, and everything else it makes; gone at the end.
 */
import { closeSync, openSync } from 'node:fs';
import { systemClock } from '../../base/clock.js';
import { silentLog } from '../../base/log.js';
import { BLOCK_BYTES, allocatePool } from '../../base/pool/layout.js';
import { PoolView } from '../../base/pool/pool-view.js';
import { CallPlane } from '../../engine/calls/call-plane.js';
import { ObjectHeads } from '../../engine/calls/object-heads.js';
import { StoreCaller } from '../../engine/calls/store-caller.js';
import { DataPlane } from '../../engine/data-plane.js';
import { ListPlane, MountedStore } from '../../engine/listing/list-plane.js';
import { S3Writer } from '../../engine/writing/s3-writer.js';
import { S3FileSystem } from '../../fs/file-system.js';
import { SpoolDirectory } from '../../fs/writing/spool.js';
import * as abi from '../../fuse/abi.js';
import { Processes } from '../../fuse/processes.js';
import { LoanTaker, SlotLender, allocateLoans } from '../../fuse/slot-loans.js';
import { PoolPrefetcher } from '../../prefetch/pool-prefetcher.js';
import type { MountConfig } from '../config.js';
import { PretendKernel } from './pretend-kernel.js';
import { PretendStore, REHEARSED_BYTES, listedDirectory, listedName } from './pretend-store.js';

/** So many that memory is never short; the system gives none of it. */
const POOL_SLOTS = 256;
const TTL_MS = 60_000;
const PART_BYTES = 8 * BLOCK_BYTES;
const FILE_MODE = 0o100644;
const O_RDONLY = 0;
const O_WRONLY = 1;
const ROOT = abi.FUSE_ROOT_ID;
const LISTING_BYTES = 64 * 1024;
const SPOOL_ID = 'rehearsal';
/**
 * Nothing can be made below a device. The journal of the large file finds that out, and goes without: a directory of its own
 * stayed behind wherever a start failed or was killed.
 */
const NOWHERE = '/dev/null/rehearsal';
const NEW_NAME = 'new-';
/** Where entry_out has the node id; open_out, which follows it in the answer to CREATE, the handle. */
const ENTRY_NODEID = 0;

export interface MainRehearsalBounds {
  /** Rounds of the script: a small file written, one read. */
  readonly rounds: number;
  /** MiB of the one large file. */
  readonly streamBlocks: number;
  readonly budgetMs: number;
}

export interface MainRehearsalReport {
  readonly rounds: number;
  readonly ms: number;
  readonly trouble?: string;
}

/** What the script needs to know of the mount that comes up. */
export type RehearsedConfig = Pick<MountConfig, 'uid' | 'gid' | 'dirMode' | 'fileMode' | 'readOnly' | 'write'>;

/** Rehearses until it is done, its time is up, or `stop` says so. Never rejects. */
export async function rehearseMain(
  config: RehearsedConfig,
  bounds: MainRehearsalBounds,
  stop: () => boolean,
): Promise<MainRehearsalReport> {
  const startedMs = systemClock.nowMs();
  const over = (): boolean => stop() || systemClock.nowMs() - startedMs >= bounds.budgetMs;
  let rounds = 0;
  let trouble: string | undefined;
  let device = -1;
  let stage: Stage | undefined;
  try {
    device = openSync('/dev/null', 'r+');
    stage = new Stage(config, device);
    while (rounds < bounds.rounds && !over()) {
      if (!config.readOnly) await stage.writeSmall(rounds);
      await stage.readSmall(rounds);
      rounds++;
    }
    if (!config.readOnly && !over()) await stage.writeLarge(bounds.streamBlocks, over);
  } catch (error) {
    trouble = String(error);
  } finally {
    stage?.close();
    if (device >= 0) closeSync(device);
  }
  const ms = Math.round(systemClock.nowMs() - startedMs);
  return { rounds, ms, ...(trouble === undefined ? {} : { trouble }) };
}

/** A whole mount, in small, and what programs do with it. */
class Stage {
  readonly #kernel: PretendKernel;
  readonly #fileSystem: S3FileSystem;
  readonly #lender: SlotLender;
  readonly #calls: CallPlane;
  readonly #lists: ListPlane;

  constructor(config: RehearsedConfig, device: number) {
    const memory = allocatePool(POOL_SLOTS);
    const view = new PoolView(memory);
    const clock = systemClock;
    const log = silentLog;
    const store = new PretendStore(
      view,
      (event) => {
        if (!lists.handle(event) && !calls.handle(event)) plane.handle(0, event);
      },
      (unique) => this.#kernel.answeredElsewhere(unique),
    );
    const ports = [store];
    const lists: ListPlane = (this.#lists = new ListPlane({ bucket: '', asksRestore: false }, { ports, clock }));
    const calls: CallPlane = (this.#calls = new CallPlane(ports));
    const plane: DataPlane = new DataPlane({
      ports,
      pool: view,
      log,
      credentialsRefused: () => undefined,
      replyError: () => undefined,
    });
    const caller = new StoreCaller('', calls);
    const prefetcher = new PoolPrefetcher(
      { partBytes: () => PART_BYTES, readAround: true },
      { view, plane, clock, log, versionLost: () => undefined },
    );
    const heads = new ObjectHeads(caller, { head: () => Promise.resolve(undefined), close: () => undefined });
    this.#fileSystem = new S3FileSystem(
      {
        prefix: '',
        uid: config.uid,
        gid: config.gid,
        dirMode: config.dirMode,
        fileMode: config.fileMode,
        metadataTtlMs: TTL_MS,
        negativeMetadataTtlMs: TTL_MS,
        readOnly: config.readOnly,
        writing: { conflict: 'fail', partBytes: config.write.partBytes, commitIntervalMs: null },
      },
      {
        store: new MountedStore(heads, lists),
        writer: new S3Writer(config.write.objects, { caller, clock, isAws: false }),
        prefetcher,
        speculator: prefetcher,
        writeSlots: prefetcher.writeSlots,
        witness: new Processes(),
        spool: new SpoolDirectory(NOWHERE, SPOOL_ID, { bucket: '', mountPoint: '' }),
        clock,
        log,
      },
    );
    const loans = allocateLoans(1);
    this.#lender = new SlotLender(loans, { slots: prefetcher.writeSlots, clock });
    this.#kernel = new PretendKernel({
      handlers: this.#fileSystem,
      lender: this.#lender,
      taker: new LoanTaker(loans),
      device,
    });
  }

  /** `echo x > new`, then it is looked at and removed. */
  async writeSmall(round: number): Promise<void> {
    const kernel = this.#kernel;
    const name = `${NEW_NAME}${round}`;
    const { nodeId, handle } = await this.#create(name);
    await kernel.ask(abi.FUSE_WRITE, nodeId, handle, 0n, 1, 0, 0n, O_WRONLY, 0, new Uint8Array(1));
    await this.#close(nodeId, handle);
    await kernel.ask(abi.FUSE_GETATTR, nodeId, 0, 0, 0n);
    if (round % 4 === 0) await kernel.ask(abi.FUSE_UNLINK, ROOT, name);
    kernel.tell(abi.FUSE_FORGET, nodeId, 1n);
  }

  /** `cat listed`, and now and then `ls -l`. */
  async readSmall(round: number): Promise<void> {
    const kernel = this.#kernel;
    const directory = await this.#lookup(ROOT, listedDirectory(round >> 2));
    if (round % 8 === 0) await this.#list(directory);
    const nodeId = await this.#lookup(directory, listedName(round));
    const handle = (await kernel.ask(abi.FUSE_OPEN, nodeId, O_RDONLY, 0)).getBigUint64(0, true);
    await kernel.ask(abi.FUSE_READ, nodeId, handle, 0n, REHEARSED_BYTES, 0, 0n, 0, 0);
    await kernel.ask(abi.FUSE_FLUSH, nodeId, handle, 0, 0, 0n);
    kernel.tell(abi.FUSE_RELEASE, nodeId, handle, O_RDONLY, 0, 0n);
    kernel.tell(abi.FUSE_FORGET, nodeId, 1n);
    kernel.tell(abi.FUSE_FORGET, directory, 1n);
  }

  /** A checkpoint: WRITEs of a MiB, in parts. */
  async writeLarge(blocks: number, over: () => boolean): Promise<void> {
    const { nodeId, handle } = await this.#create(`${NEW_NAME}large`);
    for (let block = 0; block < blocks && !over(); block++) {
      this.#lender.wanted();
      if (!(await this.#kernel.writeLent(nodeId, handle, block * BLOCK_BYTES, BLOCK_BYTES))) break;
    }
    await this.#close(nodeId, handle);
  }

  close(): void {
    this.#lender.close();
    this.#fileSystem.destroy();
    this.#lists.close();
    this.#calls.close();
  }

  async #create(name: string): Promise<{ nodeId: number; handle: bigint }> {
    const made = await this.#kernel.ask(abi.FUSE_CREATE, ROOT, O_WRONLY, FILE_MODE, 0, 0, name);
    return {
      nodeId: Number(made.getBigUint64(ENTRY_NODEID, true)),
      handle: made.getBigUint64(abi.ENTRY_OUT_BYTES, true),
    };
  }

  async #close(nodeId: number, handle: bigint): Promise<void> {
    await this.#kernel.ask(abi.FUSE_FLUSH, nodeId, handle, 0, 0, 0n);
    await this.#kernel.ask(abi.FUSE_RELEASE, nodeId, handle, O_WRONLY, 0, 0n);
  }

  async #lookup(parent: number, name: string): Promise<number> {
    return Number((await this.#kernel.ask(abi.FUSE_LOOKUP, parent, name)).getBigUint64(ENTRY_NODEID, true));
  }

  async #list(nodeId: number): Promise<void> {
    const kernel = this.#kernel;
    const handle = (await kernel.ask(abi.FUSE_OPENDIR, nodeId, O_RDONLY, 0)).getBigUint64(0, true);
    await kernel.ask(abi.FUSE_READDIRPLUS, nodeId, handle, 0n, LISTING_BYTES, 0, 0n, 0, 0);
    await kernel.ask(abi.FUSE_RELEASEDIR, nodeId, handle, O_RDONLY, 0, 0n);
  }
}
