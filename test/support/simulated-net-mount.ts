/**
 * A prefetcher on simulated net threads and a manual clock, with the kernel's side of its READs: every answer is checked
 * byte by byte against the object, every READ must be answered exactly once, and `finish` checks that nothing is left.
 */
import { constants } from 'node:os';
import { EINTR } from '../../src/base/errno.js';
import { ManualClock } from '../../src/base/clock.js';
import { silentLog } from '../../src/base/log.js';
import { BLOCK_BYTES, allocatePool, slotNumbers } from '../../src/base/pool/layout.js';
import { PoolView } from '../../src/base/pool/pool-view.js';
import type { FetchCommand } from '../../src/engine/api.js';
import { DataPlane } from '../../src/engine/data-plane.js';
import type { ObjectReader, ObjectVersion, ReadSink } from '../../src/prefetch/api.js';
import { PoolPrefetcher } from '../../src/prefetch/pool-prefetcher.js';
import { SimulatedNet, type Outcome } from './simulated-net.js';
import { Random } from './simulated-net-random.js';

const { ECANCELED } = constants.errno;

/** Object bytes are this table from a place that depends on the object, again and again: cheap, and no two blocks are equal. */
const TABLE_BYTES = 2_097_143;
const table = new Uint8Array(TABLE_BYTES);
{
  const random = new Random(42);
  for (let at = 0; at < TABLE_BYTES; at++) table[at] = random.below(256);
}

/** Bytes [from, to) of the object version. */
export function objectBytes(nodeId: number, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from);
  let place = ((nodeId % 1000) * 104_729 + from) % TABLE_BYTES;
  for (let at = 0; at < bytes.length;) {
    const part = table.subarray(place, Math.min(TABLE_BYTES, place + bytes.length - at));
    bytes.set(part, at);
    at += part.length;
    place = 0;
  }
  return bytes;
}

export function versionOf(nodeId: number, sizeBytes: number): ObjectVersion {
  return { nodeId, key: `objects/${nodeId}`, etag: `"${nodeId}"`, sizeBytes };
}

/** One READ as the kernel sees it. */
export interface KernelRead {
  readonly id: number;
  readonly version: ObjectVersion;
  readonly offset: number;
  readonly sizeBytes: number;
  /** Undefined until answered; 0 for data. */
  errno: number | undefined;
  interruptible: (() => void) | undefined;
  interrupted: boolean;
}

export interface SimulatedMountOptions {
  readonly seed: number;
  readonly slots: number;
  readonly threads?: number;
  readonly partBytes?: number;
  readonly readAround?: boolean;
  readonly chunkBytesMax?: number;
  readonly outcome?: (fetch: FetchCommand) => Outcome | undefined;
}

export class SimulatedMount {
  readonly random: Random;
  readonly clock = new ManualClock();
  readonly view: PoolView;
  readonly net: SimulatedNet;
  readonly plane: DataPlane;
  readonly prefetcher: PoolPrefetcher;
  readonly lost: number[] = [];
  /** What went wrong; a test ends with none. */
  readonly problems: string[] = [];
  readonly #reads = new Map<number, KernelRead>();
  readonly #finished = new Set<number>();
  #nextId = 1;

  constructor(options: SimulatedMountOptions) {
    this.random = new Random(options.seed);
    this.view = new PoolView(allocatePool(options.slots));
    this.net = new SimulatedNet(
      { threads: options.threads ?? 1, random: this.random, chunkBytesMax: options.chunkBytesMax ?? 512 * 1024 },
      {
        view: this.view,
        objectBytes: (key, from, to) => objectBytes(Number(key.split('/')[1]), from, to),
        outcome: options.outcome ?? (() => undefined),
        replyData: (ticket, parts) => this.#data(ticket.lo, parts),
        replyError: (ticket, errno) => this.#error(ticket.lo, errno),
      },
    );
    this.plane = new DataPlane({
      ports: this.net.ports,
      pool: this.view,
      log: silentLog,
      credentialsRefused: () => undefined,
      replyError: (ticket, errno) => this.#error(ticket.lo, errno),
    });
    this.net.attach(this.plane);
    this.prefetcher = new PoolPrefetcher(
      {
        partBytes: () => options.partBytes ?? 8 * 1024 * 1024,
        readAround: options.readAround ?? true,
        checked: true,
      },
      {
        view: this.view,
        plane: this.plane,
        clock: this.clock,
        log: silentLog,
        versionLost: (nodeId) => this.lost.push(nodeId),
      },
    );
  }

  /** READs without an answer. */
  get waiting(): KernelRead[] {
    return [...this.#reads.values()];
  }

  read(
    reader: ObjectReader,
    version: ObjectVersion,
    offset: number,
    sizeBytes: number,
    withTicket = true,
    interrupted = false,
  ): KernelRead {
    const id = this.#nextId++;
    const read: KernelRead = {
      id,
      version,
      offset,
      sizeBytes,
      errno: undefined,
      interruptible: undefined,
      interrupted,
    };
    this.#reads.set(id, read);
    let handed = false;
    const notHanded = (what: string): void => {
      if (handed && withTicket) this.problems.push(`READ ${id} was handed over and then answered here with ${what}`);
    };
    const sink: ReadSink = {
      ticket: withTicket ? { lo: id, hi: 0 } : undefined,
      data: (parts) => {
        notHanded('data');
        this.#data(id, parts);
      },
      error: (errno) => {
        notHanded('an error');
        this.#error(id, errno);
      },
      handedOver: (onInterrupt) => {
        if (handed) this.problems.push(`READ ${id} was handed over twice`);
        if (!withTicket) this.problems.push(`READ ${id} was handed over without a ticket`);
        handed = true;
        read.interruptible = onInterrupt;
        // The kernel's INTERRUPT may be there before anybody can be told.
        if (read.interrupted) onInterrupt();
        return {
          finished: () => {
            if (this.#reads.has(id)) this.problems.push(`READ ${id} finished without an answer`);
            if (this.#finished.has(id)) this.problems.push(`READ ${id} finished twice`);
            this.#finished.add(id);
            read.interruptible = undefined;
          },
        };
      },
    };
    reader.read(offset, sizeBytes, sink);
    if (handed) this.#handed.add(id);
    return read;
  }

  readonly #handed = new Set<number>();

  /** A reader thread's lookup of one block's part of a range: true when it could answer by itself; then the access is noted. */
  readResident(reader: ObjectReader, version: ObjectVersion, offset: number, sizeBytes: number): boolean {
    const block = Math.floor(offset / (1024 * 1024));
    const from = offset - block * 1024 * 1024;
    const to = Math.min(from + sizeBytes, 1024 * 1024, version.sizeBytes - block * 1024 * 1024);
    if (from >= to) return false;
    const slot = this.view.pinResident(version.nodeId | 0, Math.floor(version.nodeId / 2 ** 32) | 0, block, from, to);
    if (slot < 0) return false;
    const right = Buffer.compare(
      this.view.bytes(slot, from, to),
      objectBytes(version.nodeId, offset, offset + to - from),
    );
    if (right !== 0) this.problems.push(`a reader thread found wrong bytes at ${offset} of ${version.nodeId}`);
    this.view.unpin(slot);
    reader.accessed(offset, to - from);
    return true;
  }

  interrupt(read: KernelRead): void {
    if (!read.interruptible) return;
    read.interrupted = true;
    read.interruptible();
  }

  /** Lets things happen until `until` is true or nothing can happen any more; throws when that takes for ever. */
  run(until: () => boolean = () => false, stepsMax = 200_000): void {
    for (let steps = 0; !until(); steps++) {
      if (steps > stepsMax) throw new Error('does not come to an end');
      if (this.net.step()) continue;
      // Nothing moves: only time can help, and only those that wait for room look at it.
      const { writeSlots, counts } = this.prefetcher;
      if (counts.starved === 0 && (writeSlots.waiting === 0 || writeSlots.used >= writeSlots.slotsMax)) return;
      this.clock.advance(1);
    }
  }

  /** Runs to the end and checks that nothing is left over. All readers must be closed. */
  finish(): string[] {
    this.run();
    this.clock.advance(10);
    this.run();
    for (const read of this.#reads.values()) this.problems.push(`READ ${read.id} at ${read.offset} has no answer`);
    for (const id of this.#handed) if (!this.#finished.has(id)) this.problems.push(`READ ${id} was never finished`);
    const { fetches, reads } = this.plane.counts;
    const { readers, starved, streams } = this.prefetcher.counts;
    if (fetches + reads + readers + starved + streams > 0) {
      this.problems.push(`left: ${JSON.stringify({ fetches, reads, readers, starved, streams })}`);
    }
    if (!this.net.idle) this.problems.push('the net threads are not idle');
    if (this.clock.pending > 0) this.problems.push('a timer waits');
    const { index } = this.prefetcher;
    for (let slot = 0; slot < slotNumbers(this.view.memory.slotCount); slot++) {
      if (index.table.pins(slot) !== 0) this.problems.push(`slot ${slot} is pinned`);
    }
    if (index.counts.filling > 0) this.problems.push('a block is still filling');
    // Every slot can be had again.
    const nodeId = 999_999;
    for (let blockIndex = 0; blockIndex < this.view.memory.slotCount; blockIndex++) {
      const block = index.allocate({ nodeId, blockIndex, blockBytes: BLOCK_BYTES, from: 0, to: 1 }, 'any');
      if (!block) this.problems.push(`only ${blockIndex} slots can be had at the end`);
      if (!block) break;
    }
    return this.problems;
  }

  #data(id: number, parts: readonly Uint8Array[]): void {
    const read = this.#take(id, 0);
    if (!read) return;
    const endOffset = Math.min(read.offset + read.sizeBytes, read.version.sizeBytes);
    const got = Buffer.concat(parts);
    const expected = objectBytes(read.version.nodeId, Math.min(read.offset, endOffset), endOffset);
    if (got.length !== expected.length) this.problems.push(`READ ${id} got ${got.length} of ${expected.length} bytes`);
    else if (Buffer.compare(got, expected) !== 0) this.problems.push(`READ ${id} at ${read.offset} got wrong bytes`);
  }

  #error(id: number, errno: number): void {
    const read = this.#take(id, errno);
    if (!read) return;
    if (errno === ECANCELED || errno === 0) this.problems.push(`READ ${id} answered with errno ${errno}`);
    if (errno === EINTR && !read.interrupted) this.problems.push(`READ ${id} answered EINTR without an interrupt`);
  }

  #take(id: number, errno: number): KernelRead | undefined {
    const read = this.#reads.get(id);
    if (!read) this.problems.push(`READ ${id} was answered twice`);
    this.#reads.delete(id);
    if (read) read.errno = errno;
    return read;
  }
}
