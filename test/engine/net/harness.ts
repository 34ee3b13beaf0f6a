/**
 * A net thread with everything around it that the daemon would have: a pool filled with 0xCC, a kernel that remembers
 * its answers, a main thread that remembers events. `assertPool` compares every byte of the pool, not only those asked for.
 */
import type { Test } from 'tap';
import { systemClock, type Clock } from '../../../src/base/clock.js';
import { invariant } from '../../../src/base/invariant.js';
import {
  ARRIVED_END,
  ARRIVED_FROM,
  BLOCK_BYTES,
  BLOCK_BYTES_WORD,
  GATE,
  GATE_LIVE,
  SLOT_WORDS,
  allocatePool,
} from '../../../src/base/pool/layout.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';
import type { DataTarget, FetchCommand, NetEvent, ReadSpan } from '../../../src/engine/api.js';
import { NetThread, type NetThreadOptions } from '../../../src/engine/net/net-thread.js';
import { systemNetwork } from '../../../src/engine/net/network.js';
import type { Asked } from '../../../src/engine/net/response-check.js';
import type { Network } from '../../../src/engine/net/socket-opener.js';

export const ETAG = '"0123456789abcdef0123456789abcdef"';

/** A GET of one byte, for who looks at answers only. */
export const ASKED: Asked = {
  key: 'k',
  etag: 'e',
  objectBytes: 1,
  form: 'range',
  partNumber: 0,
  startOffset: 0,
  endOffset: 1,
};

/** Bytes of a small generator: the same for the same seed. */
export function pattern(bytes: number, seed = 1): Buffer {
  const out = Buffer.alloc(bytes);
  const words = new Uint32Array(out.buffer, out.byteOffset, bytes >>> 2);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    words[i] = state;
  }
  for (let i = words.length * 4; i < bytes; i++) out[i] = i & 0xff;
  return out;
}

export type FetchEnd = Extract<NetEvent, { type: 'fetchDone' | 'fetchFailed' }>;

export interface KernelAnswer {
  readonly errno: number;
  readonly data: Buffer;
}

export interface HarnessOptions {
  readonly object: Buffer;
  readonly port: number;
  readonly slots?: number;
  readonly target?: Partial<DataTarget>;
  readonly connectionsMax?: number;
  readonly readDeadlineMs?: number;
  readonly timeouts?: NetThreadOptions['timeouts'];
  readonly anonymous?: boolean;
  readonly clock?: Clock;
  readonly network?: Network;
  readonly random?: () => number;
  readonly verify?: NetThreadOptions['verify'];
  readonly hedge?: boolean;
  readonly defer?: (run: () => void) => void;
}

export class Harness {
  readonly thread: NetThread;
  readonly pool: PoolView;
  readonly events: NetEvent[] = [];
  /** Answers to the kernel by ticket.lo. */
  readonly answers = new Map<number, KernelAnswer>();
  readonly object: Buffer;
  readonly #expected: Buffer;
  readonly #ends = new Map<number, (end: FetchEnd) => void>();
  readonly #watchers = new Set<() => void>();
  #fetchId = 0;

  constructor(options: HarnessOptions) {
    const memory = allocatePool(options.slots ?? 4);
    this.pool = new PoolView(memory);
    this.object = options.object;
    for (let slot = 0; slot < memory.slotCount; slot++) this.pool.bytes(slot, 0, BLOCK_BYTES).fill(0xcc);
    this.#expected = Buffer.alloc(memory.slotCount * BLOCK_BYTES, 0xcc);
    const target: DataTarget = {
      tls: false,
      hostname: '127.0.0.1',
      port: options.port,
      hostHeader: `127.0.0.1:${options.port}`,
      basePath: '/bucket',
      signingRegion: 'us-east-1',
      signingService: 's3',
      headers: {},
      userAgent: 'mount-s3x-test',
      maxAttempts: 3,
      localAddresses: [],
      ...options.target,
    };
    this.thread = new NetThread(
      {
        target,
        pool: memory,
        connectionsMax: options.connectionsMax ?? 4,
        anonymous: options.anonymous ?? true,
        ...(options.verify === undefined ? {} : { verify: options.verify }),
        ...(options.hedge === undefined ? {} : { hedge: options.hedge }),
        timeouts: { backoffBaseMs: 1, backoffCapMs: 4, sweepMs: 10, ...options.timeouts },
        ...(options.readDeadlineMs === undefined ? {} : { readDeadlineMs: options.readDeadlineMs }),
      },
      {
        post: (event) => this.#posted(event),
        replier: {
          data: (ticket, parts) => this.#answered(ticket.lo, 0, Buffer.concat(parts)),
          error: (ticket, errno) => this.#answered(ticket.lo, errno, Buffer.alloc(0)),
        },
        clock: options.clock ?? systemClock,
        random: options.random ?? Math.random,
        network: options.network ?? systemNetwork,
        ...(options.defer === undefined ? {} : { defer: options.defer }),
      },
    );
  }

  /** Makes `slot` hold a block as the main thread does before it posts a fetch. */
  prepare(slot: number, from: number): void {
    const row = slot * SLOT_WORDS;
    Atomics.store(this.pool.words, row + ARRIVED_FROM, from);
    Atomics.store(this.pool.words, row + ARRIVED_END, from);
    Atomics.store(this.pool.words, row + BLOCK_BYTES_WORD, BLOCK_BYTES);
    Atomics.store(this.pool.words, row + GATE, GATE_LIVE);
  }

  command(startOffset: number, endOffset: number, firstSlot: number, more: Partial<FetchCommand> = {}): FetchCommand {
    const firstBlock = Math.floor(startOffset / BLOCK_BYTES);
    const lastBlock = Math.floor((endOffset - 1) / BLOCK_BYTES);
    const slots: number[] = [];
    for (let block = firstBlock; block <= lastBlock; block++) {
      const slot = firstSlot + block - firstBlock;
      slots.push(slot);
      this.prepare(slot, block === firstBlock ? startOffset - block * BLOCK_BYTES : 0);
    }
    return {
      fetchId: ++this.#fetchId,
      key: 'dir/key',
      etag: ETAG,
      objectBytes: this.object.length,
      startOffset,
      endOffset,
      firstBlock,
      slots,
      priority: 1,
      ...more,
    };
  }

  /** Posts it; resolves with its end. */
  run(command: FetchCommand): Promise<FetchEnd> {
    return new Promise((resolve) => {
      this.#ends.set(command.fetchId, resolve);
      this.thread.handle({ type: 'fetch', fetch: command });
    });
  }

  fetch(startOffset: number, endOffset: number, firstSlot = 0, more: Partial<FetchCommand> = {}): Promise<FetchEnd> {
    return this.run(this.command(startOffset, endOffset, firstSlot, more));
  }

  /** Pins the spans' slots, as the main thread does, and parks a READ with ticket.lo = readId. */
  park(readId: number, spans: readonly ReadSpan[], hasTicket = true): void {
    for (const span of spans) invariant(this.pool.tryPin(span.slot), 'test parks on live slots');
    this.thread.handle({
      type: 'park',
      read: { readId, ticket: hasTicket ? { lo: readId, hi: 0 } : undefined, spans },
    });
  }

  pins(slot: number): number {
    return Atomics.load(this.pool.words, slot * SLOT_WORDS + GATE) & ~GATE_LIVE;
  }

  /** Says that object bytes [startOffset, endOffset) must stand in the pool, block by block from `firstSlot` on. */
  expect(startOffset: number, endOffset: number, firstSlot = 0): void {
    const firstBlock = Math.floor(startOffset / BLOCK_BYTES);
    for (let at = startOffset; at < endOffset;) {
      const block = Math.floor(at / BLOCK_BYTES);
      const to = Math.min(endOffset, (block + 1) * BLOCK_BYTES);
      const slot = firstSlot + block - firstBlock;
      this.object.copy(this.#expected, slot * BLOCK_BYTES + (at - block * BLOCK_BYTES), at, to);
      at = to;
    }
  }

  /** Every byte of the pool is what was expected, 0xCC where nothing was. */
  assertPool(t: Test, what = 'every byte of the pool'): void {
    const actual = this.pool.bytes(0, 0, BLOCK_BYTES);
    const all = Buffer.from(actual.buffer, 0, this.#expected.length);
    if (all.equals(this.#expected)) {
      t.pass(what);
      return;
    }
    let at = 0;
    while (all[at] === this.#expected[at]) at++;
    t.fail(`${what}: byte ${at % BLOCK_BYTES} of slot ${Math.floor(at / BLOCK_BYTES)} differs`);
  }

  /** Fills a slot with 0xCC again, as the checked mode does with freed slots. */
  wipe(slot: number): void {
    this.pool.bytes(slot, 0, BLOCK_BYTES).fill(0xcc);
    this.#expected.fill(0xcc, slot * BLOCK_BYTES, (slot + 1) * BLOCK_BYTES);
  }

  /** Resolves when `condition` holds; looks after each event and each turn. The test runner bounds the wait. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, 5);
        const watchers = this.#watchers;
        function done(): void {
          clearTimeout(timer);
          watchers.delete(done);
          resolve();
        }
        watchers.add(done);
      });
    }
  }

  /** errno of each READ reported over, by read id. */
  over(): Map<number, number> {
    const over = new Map<number, number>();
    for (const event of this.events) {
      if (event.type !== 'readsOver') continue;
      for (const { readId, errno } of event.reads) {
        invariant(!over.has(readId), `read ${readId} reported over twice`);
        over.set(readId, errno);
      }
    }
    return over;
  }

  of<K extends NetEvent['type']>(type: K): Extract<NetEvent, { type: K }>[] {
    return this.events.filter((event): event is Extract<NetEvent, { type: K }> => event.type === type);
  }

  close(): void {
    this.thread.handle({ type: 'close' });
  }

  #answered(readId: number, errno: number, data: Buffer): void {
    invariant(!this.answers.has(readId), `read ${readId} answered twice`);
    this.answers.set(readId, { errno, data: Buffer.from(data) });
  }

  #posted(event: NetEvent): void {
    this.events.push(event);
    if (event.type === 'fetchDone' || event.type === 'fetchFailed') {
      const resolve = this.#ends.get(event.fetchId);
      invariant(resolve !== undefined, `fetch ${event.fetchId} ended twice or was never started`);
      this.#ends.delete(event.fetchId);
      resolve(event);
    }
    for (const watcher of [...this.#watchers]) watcher();
  }
}
