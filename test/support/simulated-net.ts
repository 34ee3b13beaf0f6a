/**
 * Net threads without threads or sockets: they obey src/engine/api.ts to the letter, fill slots from a function of
 * (object, offset), in chunks and an order that a seed decides, and fail when told to. One `step` delivers one message
 * or moves one fetch, so that every order of events can come up and a run is replayed by its seed.
 * It checks what the main thread promises: slots under a fetch are live, hold that block, and have one writer.
 */
import { constants } from 'node:os';
import { EINTR } from '../../src/base/errno.js';
import type { FetchCommand, NetCommand, NetEvent, ParkedRead } from '../../src/engine/api.js';
import type { DataPlane, NetPort } from '../../src/engine/data-plane.js';
import type { RequestTicketParts } from '../../src/engine/ticket.js';
import { BLOCK_BYTES, BLOCK_INDEX, GATE, GATE_LIVE, SLOT_WORDS } from '../../src/base/pool/layout.js';
import type { PoolView } from '../../src/base/pool/pool-view.js';
import type { Random } from './simulated-net-random.js';

const { ECANCELED } = constants.errno;

/** What the store does to one GET: bring all, or break with this errno after so many bytes. */
export interface Outcome {
  readonly errno: number;
  readonly afterBytes: number;
}

export interface SimulatedNetOptions {
  readonly threads: number;
  readonly random: Random;
  /** Most bytes that one step of a fetch brings. */
  readonly chunkBytesMax: number;
}

export interface SimulatedNetDeps {
  readonly view: PoolView;
  readonly objectBytes: (key: string, from: number, to: number) => Uint8Array;
  /** Asked at the start of each GET; undefined = it succeeds. */
  readonly outcome: (fetch: FetchCommand) => Outcome | undefined;
  /** The kernel's side of a READ that a net thread answers. */
  readonly replyData: (ticket: RequestTicketParts, parts: readonly Uint8Array[]) => void;
  readonly replyError: (ticket: RequestTicketParts, errno: number) => void;
}

interface Transfer {
  readonly fetch: FetchCommand;
  readonly outcome: Outcome | undefined;
  at: number;
  cancelled: boolean;
}

class NetThread {
  readonly inbox: NetCommand[] = [];
  readonly outbox: NetEvent[] = [];
  readonly transfers = new Map<number, Transfer>();
  readonly parked = new Map<number, ParkedRead>();
}

export class SimulatedNet {
  readonly ports: readonly NetPort[];
  /** All GETs that were asked for, in order. */
  readonly gets: FetchCommand[] = [];
  bytesBrought = 0;
  /** Nothing comes of such a fetch for the time being. */
  isLate: (fetch: FetchCommand) => boolean = () => false;
  /** Reads that a thread sent away. */
  sentElsewhere = 0;
  readonly #threads: readonly NetThread[];
  readonly #random: Random;
  readonly #chunkBytesMax: number;
  readonly #deps: SimulatedNetDeps;
  /** Which fetches write a slot. */
  readonly #writers = new Map<number, FetchCommand[]>();
  #plane: DataPlane | undefined;

  constructor(options: SimulatedNetOptions, deps: SimulatedNetDeps) {
    this.#random = options.random;
    this.#chunkBytesMax = options.chunkBytesMax;
    this.#deps = deps;
    this.#threads = Array.from({ length: options.threads }, () => new NetThread());
    this.ports = this.#threads.map((thread) => ({
      // Posting copies, as between real threads: nobody shares a record by accident.
      post: (command) => thread.inbox.push(structuredClone(command)),
    }));
  }

  attach(plane: DataPlane): void {
    this.#plane = plane;
  }

  /** True when nothing is under way: no message, no fetch, no parked read. */
  get idle(): boolean {
    return this.#threads.every(
      (thread) => thread.inbox.length + thread.outbox.length + thread.transfers.size + thread.parked.size === 0,
    );
  }

  /** One thing happens; false when there is nothing left to happen. */
  step(): boolean {
    const moves: (() => void)[] = [];
    this.#threads.forEach((thread, number) => {
      if (thread.inbox.length > 0) moves.push(() => this.#obey(thread));
      if (thread.outbox.length > 0) {
        moves.push(() => {
          const event = thread.outbox.shift();
          if (event) this.#plane?.handle(number, structuredClone(event));
        });
      }
      for (const transfer of thread.transfers.values()) {
        if (!this.isLate(transfer.fetch)) moves.push(() => this.#move(thread, transfer));
      }
    });
    const move = moves[this.#random.below(moves.length)];
    move?.();
    return move !== undefined;
  }

  #obey(thread: NetThread): void {
    const command = thread.inbox.shift();
    switch (command?.type) {
      case 'fetch': {
        const { fetch } = command;
        this.gets.push(fetch);
        thread.transfers.set(fetch.fetchId, {
          fetch,
          outcome: this.#deps.outcome(fetch),
          at: fetch.startOffset,
          cancelled: false,
        });
        for (const slot of fetch.slots) {
          const writers = this.#writers.get(slot) ?? [];
          for (const other of writers) {
            if (other.startOffset >= fetch.endOffset || fetch.startOffset >= other.endOffset) continue;
            throw new Error(`fetches ${other.fetchId} and ${fetch.fetchId} bring the same bytes of slot ${slot}`);
          }
          this.#writers.set(slot, [...writers, fetch]);
        }
        return;
      }
      case 'cancelFetch': {
        const transfer = thread.transfers.get(command.fetchId);
        // Some are over at once; others take their time, and READs may still be parked with them meanwhile.
        if (transfer && this.#random.chance(0.5)) this.#fail(thread, transfer, ECANCELED);
        else if (transfer) transfer.cancelled = true;
        return;
      }
      case 'park':
        thread.parked.set(command.read.readId, command.read);
        this.#look(thread, command.read);
        return;
      case 'interruptRead': {
        const read = thread.parked.get(command.readId);
        if (read) this.#end(thread, read, EINTR);
        return;
      }
      default:
        return;
    }
  }

  /** Brings some bytes of a fetch, or its end. */
  #move(thread: NetThread, transfer: Transfer): void {
    const { fetch, outcome } = transfer;
    const { view } = this.#deps;
    if (transfer.cancelled) {
      this.#fail(thread, transfer, ECANCELED);
      return;
    }
    const failOffset = outcome ? fetch.startOffset + outcome.afterBytes : Infinity;
    if (transfer.at >= failOffset) {
      this.#fail(thread, transfer, outcome?.errno ?? 0);
      return;
    }
    if (transfer.at === fetch.endOffset) {
      this.#release(thread, fetch);
      thread.outbox.push({ type: 'fetchDone', fetchId: fetch.fetchId, firstByteMs: 1, totalMs: 2 });
      return;
    }
    const block = Math.floor(transfer.at / BLOCK_BYTES);
    const base = block * BLOCK_BYTES;
    const end = Math.min(
      base + BLOCK_BYTES,
      fetch.endOffset,
      failOffset,
      transfer.at + 1 + this.#random.below(this.#chunkBytesMax),
    );
    const slot = fetch.slots[block - fetch.firstBlock];
    if (slot === undefined) throw new Error(`fetch ${fetch.fetchId} has no slot for block ${block}`);
    const row = slot * SLOT_WORDS;
    if (((view.words[row + GATE] ?? 0) & GATE_LIVE) === 0) throw new Error(`slot ${slot} was freed under its fetch`);
    if (view.words[row + BLOCK_INDEX] !== block) throw new Error(`slot ${slot} holds another block than ${block}`);
    const since = Math.max(0, fetch.startOffset - base);
    if (view.holds(slot, transfer.at - base, end - base)) throw new Error(`slot ${slot} has ${transfer.at} already`);
    view.bytes(slot, transfer.at - base, end - base).set(this.#deps.objectBytes(fetch.key, transfer.at, end));
    view.publishLanded(slot, since, transfer.at - base, end - base);
    this.bytesBrought += end - transfer.at;
    transfer.at = end;
    for (const read of [...thread.parked.values()]) this.#look(thread, read);
  }

  #fail(thread: NetThread, { fetch }: Transfer, errno: number): void {
    for (const read of [...thread.parked.values()]) {
      if (!this.#missing(read).some((span) => span.fetchId === fetch.fetchId)) continue;
      // A fetch that was cancelled is no reason to fail a READ: main decides again.
      if (errno === ECANCELED) this.#sendElsewhere(thread, read);
      else this.#end(thread, read, errno);
    }
    this.#release(thread, fetch);
    const { fetchId } = fetch;
    thread.outbox.push({ type: 'fetchFailed', fetchId, errno, code: 'Simulated', status: 0, message: 'simulated' });
  }

  #release(thread: NetThread, fetch: FetchCommand): void {
    thread.transfers.delete(fetch.fetchId);
    for (const slot of fetch.slots) {
      const left = (this.#writers.get(slot) ?? []).filter((other) => other !== fetch);
      if (left.length > 0) this.#writers.set(slot, left);
      else this.#writers.delete(slot);
    }
  }

  #missing(read: ParkedRead): ParkedRead['spans'] {
    return read.spans.filter((span) => !this.#deps.view.holds(span.slot, span.from, span.to));
  }

  /** Answers a parked read whose bytes are all there, or sends it away when the rest comes elsewhere. */
  #look(thread: NetThread, read: ParkedRead): void {
    const missing = this.#missing(read);
    if (missing.length === 0) this.#end(thread, read, 0);
    else if (!missing.some((span) => thread.transfers.has(span.fetchId))) this.#sendElsewhere(thread, read);
  }

  #sendElsewhere(thread: NetThread, read: ParkedRead): void {
    thread.parked.delete(read.readId);
    this.sentElsewhere++;
    thread.outbox.push({ type: 'readElsewhere', readId: read.readId });
  }

  #end(thread: NetThread, read: ParkedRead, errno: number): void {
    const { view } = this.#deps;
    thread.parked.delete(read.readId);
    if (read.ticket) {
      if (errno === 0)
        this.#deps.replyData(
          read.ticket,
          read.spans.map((span) => view.bytes(span.slot, span.from, span.to)),
        );
      else this.#deps.replyError(read.ticket, errno);
      for (const span of read.spans) view.unpin(span.slot);
    }
    thread.outbox.push({ type: 'readsOver', reads: [{ readId: read.readId, errno }] });
  }
}
