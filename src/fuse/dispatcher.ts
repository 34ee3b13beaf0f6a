/**
 * From messages to handlers and back to replies, on the main thread. A message is decoded at once (its bytes are
 * borrowed), its handler is called, and the result, now or later, becomes exactly one reply. What can go wrong in between
 * becomes an errno and at most one log line (failures.ts); only a broken invariant gets out.
 *
 * Bounded: `room` says how many more requests may be dispatched before the ones in flight are answered; the pump leaves
 * the rest in the rings, whose being full stops the reader threads, and then the kernel's own queue holds the callers.
 * That cannot deadlock: what is in flight is answered by the store or by its timeouts, never by a later request.
 * Refuses to read the kernel's messages (reader-loop.ts), and to know opcodes one by one (operations.ts).
 */
import { systemClock, type Clock } from '../base/clock.js';
import { EACCES, EINTR, EINVAL, EIO, ENAMETOOLONG, ENOSYS, ERANGE, ESTALE } from '../base/errno.js';
import { invariant, InvariantError } from '../base/invariant.js';
import type { HistogramState } from '../base/latency-histogram.js';
import type { Log } from '../base/log.js';
import { MIB } from '../base/units.js';
import * as abi from './abi.js';
import { BufferPool } from './buffer-pool.js';
import { OUT_OF_RANGE } from './decode.js';
import { PackingSink } from './directory-sink.js';
import { DoomedRequests } from './doomed.js';
import type {
  DispatcherDeps,
  DispatcherOptions,
  DispatcherStats,
  DispatchWitness,
  UnansweredRequest,
} from './dispatcher-api.js';
import * as encode from './encode.js';
import { Failures } from './failures.js';
import type {
  AttributesReply,
  Entry,
  FileSystemStatistics,
  FuseHandlers,
  MaybePromise,
  OpenReply,
  RequestTicket,
} from './handlers.js';
import { InterruptTable } from './interrupts.js';
import { Message } from './message.js';
import type { Negotiated } from './negotiate.js';
import { REQUEST_BYTES_MAX } from './negotiate.js';
import { opcodeRow } from './opcodes.js';
import { serveOf, type Desk } from './operations.js';
import { PendingRead, type ReadDesk } from './read-reply.js';
import { Replier, type ReplyOutcome } from './reply.js';
import { RequestCounts } from './request-counts.js';
import { BOUNDED, NAMES_NODE, OPEN_ALREADY } from './request-kinds.js';
import { isSentAgain, PendingRequest, requestId } from './request.js';
import { SlowReads } from './slow-reads.js';
import { LENT_HEAD_BYTES } from './ring-records.js';
import { LOAN_BYTES_MIN, type SlotLender } from './slot-loans.js';
import { SlotLoan } from './slot-loan.js';
import { Trial } from './trial.js';

/**
 * Requests that wait for their handlers. The kernel bounds the asynchronous ones (max_background) but not the threads
 * that each wait for one; guessed as more than a machine's worth of DataLoader workers, at about 1 KiB each.
 */
export const IN_FLIGHT_MAX = 4096;

/** Payload of WRITEs whose handler has not finished: as many as the kernel has in flight for one fast writer. */
export const WRITE_BYTES_IN_FLIGHT_MAX = 64 * MIB;

/** Reply and payload buffers kept for reuse. */
const BUFFERS_KEPT_BYTES_MAX = 16 * MIB;

export type { DispatcherDeps, DispatcherOptions, DispatcherStats } from './dispatcher-api.js';

/** Who wants to know of each request that was answered here, and how long that took (`mount-s3x top`). */
export type RequestObserver = (request: Readonly<PendingRequest>, tookMs: number) => void;

export class FuseDispatcher implements Desk, ReadDesk {
  /** Undefined, which costs nothing, while nobody looks. */
  observer: RequestObserver | undefined;
  readonly handlers: FuseHandlers;
  readonly negotiated: Negotiated;
  readonly replier: Replier;
  readonly #log: Log;
  readonly #failures: Failures;
  readonly #onRoom: () => void;
  readonly #inFlightMax: number;
  readonly #writeBytesMax: number;
  readonly #ownerUid: number | undefined;
  readonly #interrupts = new InterruptTable();
  readonly #slowReads: SlowReads | undefined;
  readonly #doomed: DoomedRequests | undefined;
  readonly #buffers = new BufferPool(BUFFERS_KEPT_BYTES_MAX);
  readonly #message = new Message();
  readonly #counts = new RequestCounts();
  readonly #clock: Clock;
  #inFlightPeak = 0;
  #writeBytesInFlight = 0;
  #destroyed = false;
  readonly #lender: SlotLender | undefined;
  readonly #witness: DispatchWitness | undefined;
  readonly #prepare: DispatcherDeps['prepare'];
  /** Numbers of requests. */
  readonly #refused: ReadonlySet<number>;
  /** Undefined but for a while after daemons died of a request that nobody knows. */
  #trial: Trial | undefined;
  /** What everything is answered from the mount's end on. */
  #refusal = 0;
  /** Of the message that is being dispatched. */
  #loan: SlotLoan | undefined;

  constructor(options: DispatcherOptions, deps: DispatcherDeps) {
    this.handlers = deps.handlers;
    this.negotiated = deps.negotiated;
    this.#log = deps.log;
    this.#failures = new Failures(deps.log, deps.clock ?? systemClock);
    const { clock = systemClock, isToldToEnd, isBeingKilled } = deps;
    this.#clock = clock;
    const waiting = (): Iterable<PendingRequest> => this.#interrupts.waiting();
    this.#slowReads = isToldToEnd && new SlowReads({ clock, isToldToEnd, waiting });
    const leave = (request: PendingRequest): void => this.answerError(request, EINTR);
    this.#doomed = isBeingKilled && new DoomedRequests({ clock, isBeingKilled, isToldToEnd, leave });
    this.#lender = deps.lender;
    this.#witness = deps.witness;
    this.#prepare = deps.prepare;
    this.#refused = new Set((options.refused ?? []).map(({ lo, hi }) => requestId(lo, hi)));
    this.#onRoom = deps.onRoom ?? (() => undefined);
    this.#inFlightMax = options.inFlightMax ?? IN_FLIGHT_MAX;
    this.#writeBytesMax = options.writeBytesInFlightMax ?? WRITE_BYTES_IN_FLIGHT_MAX;
    this.#ownerUid = options.ownerUid;
    this.replier = new Replier(deps.writer, (message) => deps.log.error({}, message));
    this.#trial = options.trial && this.#tryOneByOne(options.trial, clock);
  }

  /** How many more messages may be dispatched now; 0 = wait for onRoom. */
  get room(): number {
    if (this.#writeBytesInFlight >= this.#writeBytesMax) return 0;
    return Math.max(0, this.#inFlightMax - this.#interrupts.size);
  }

  /**
   * Serves one message of the kernel. `@borrows` the bytes until return. Never throws for what the message holds or the
   * handler does; throws InvariantError for what we ourselves did wrong. `lent`: the rest of the message, in a slot.
   */
  dispatch(bytes: Uint8Array, lent?: Uint8Array, isPrepared = false): void {
    const message = this.#message;
    if (!message.take(bytes, lent)) {
      // Not even an id to answer to.
      this.#counts.malformed++;
      return;
    }
    const { header } = message;
    if (this.#trial !== undefined && !isPrepared && isSentAgain(header)) {
      const { uniqueLo: lo, uniqueHi: hi } = header;
      if (this.#trial.hold({ lo, hi }, bytes, lent)) return;
    }
    if (this.#prepare !== undefined && !isPrepared && NAMES_NODE.has(header.opcode)) {
      const prepared = this.#prepare(header.nodeId);
      if (prepared) {
        // The bytes are borrowed.
        const copy = Buffer.from(bytes);
        void prepared.then(() => this.dispatch(copy, undefined, true));
        return;
      }
    }
    const row = opcodeRow(header.opcode);
    const serve = serveOf(header.opcode);
    if (row === undefined || serve === undefined) {
      this.#counts.unknown();
      // ENOSYS is how a server says that a request is newer than itself.
      this.replier.error({ lo: header.uniqueLo, hi: header.uniqueHi }, ENOSYS);
      return;
    }
    this.#counts.came(header.opcode);
    const request = new PendingRequest(row, header);
    request.startedMs = this.#clock.nowMs();
    const answered = row.reply !== 'none';
    if (message.bodyBytes < row.bodyBytes || requestId(request.lo, request.hi) < 0) {
      this.#counts.malformed++;
      if (answered) this.answerError(request, EIO);
      return;
    }
    if (this.#log.level === 'trace') {
      this.#log.trace(
        { operation: row.name, nodeId: request.nodeId, pid: request.pid, unique: request.id },
        'fuse request',
      );
    }
    if (answered) {
      if (this.#refusal !== 0 || header.nodeId === OUT_OF_RANGE) {
        this.answerError(request, this.#refusal || ESTALE);
        return;
      }
      const { uid } = header;
      if (this.#ownerUid !== undefined && uid !== this.#ownerUid && uid !== 0 && !OPEN_ALREADY.has(row.opcode)) {
        this.answerError(request, EACCES);
        return;
      }
      if (this.#refused.size > 0 && this.#refused.has(request.id)) {
        this.#failures.refused(request);
        this.answerError(request, EIO);
        return;
      }
      if (this.#interrupts.takeEarly(request.lo, request.hi)) {
        // Kernel fact 7, docs/KERNEL.md: the caller is stuck until this is answered.
        const isHeld = this.#doomed?.holds(request) === true;
        request.cameInterrupted(isHeld);
        if (row.pure && !isHeld) {
          this.answerError(request, EINTR);
          return;
        }
      }
    }
    this.#witness?.atHand(row.opcode, request.lo, request.hi);
    try {
      serve(this, request, message);
    } catch (error) {
      // A broken invariant gets out of here, and the request stays at hand.
      if (answered) this.#fail(request, error);
      else this.#failures.note(error, { operation: row.name }, `${row.name} failed`);
    }
    this.#witness?.atHand(0, 0, 0);
    if (answered && !request.wasParked) this.#took(request);
  }

  /** Serves a WRITE whose bytes came in a lent slot; `head` is what comes before them. `@owns` the slot. */
  dispatchLent(head: Uint8Array, slot: number): void {
    const lender = this.#lenderOfSlots();
    lender.arrived();
    const loan = new SlotLoan(slot, lender);
    const lengthBytes = new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(abi.IN_LEN, true);
    this.#loan = loan;
    try {
      this.dispatch(head, lender.payload(slot, lengthBytes - LENT_HEAD_BYTES));
    } finally {
      this.#loan = undefined;
      // Refused before it got to a handler.
      if (!loan.isHeld) loan.end();
    }
  }

  /** A reader thread has no use for a slot any more. */
  slotBack(slot: number): void {
    const lender = this.#lenderOfSlots();
    lender.arrived();
    lender.done(slot);
  }

  #lenderOfSlots(): SlotLender {
    if (this.#lender === undefined) invariant(false, 'slots come only from a lender');
    return this.#lender;
  }

  /** The mount is gone: waiting handlers are interrupted, and the file system is told, once. */
  ended(): void {
    this.#interrupts.interruptAll();
    this.destroy();
  }

  /** The mount is over: whoever waits or comes is answered `errno`, and so lets go of the kernel's locks. */
  refuseAll(errno: number): void {
    this.#refusal = errno;
    this.#interrupts.interruptAll();
    // READs have answered themselves.
    const others = [...this.#interrupts.waiting()].filter(({ row }) => row.opcode !== abi.FUSE_READ);
    for (const request of others) this.answerError(request, errno);
  }

  /** How long the oldest request waits of those that the engine's deadlines bound; 0: none. */
  oldestBoundedMs(): number {
    return this.#interrupts.oldestMs(BOUNDED, this.#clock.nowMs());
  }

  /** Requests that were not answered yet, oldest first. */
  unanswered(): Iterable<UnansweredRequest> {
    return this.#interrupts.unanswered(this.#clock.nowMs());
  }

  /** How long requests took that were answered, by name; those that were refused unread are left out. */
  durations(): Readonly<Record<string, HistogramState>> {
    return this.#counts.durations();
  }

  stats(): DispatcherStats {
    return {
      ...this.#counts.totals(),
      inFlight: this.#interrupts.size,
      inFlightPeak: this.#inFlightPeak,
      writeBytesInFlight: this.#writeBytesInFlight,
      interrupts: this.#interrupts.interrupts,
      earlyInterrupts: this.#interrupts.early,
    };
  }

  // What operations.ts asks for.

  answerStatus(request: PendingRequest, result: MaybePromise<void>): void {
    this.#settle(request, result, () => this.#sent(this.replier.ok(request)));
  }

  answerEntry(request: PendingRequest, result: MaybePromise<Entry>): void {
    this.#settle(request, result, (entry) => {
      const end = encode.encodeEntry(this.replier.scratchView, abi.OUT_HEADER_BYTES, entry);
      this.#sendEntry(request, end, entry);
    });
  }

  answerAttributes(request: PendingRequest, result: MaybePromise<AttributesReply>): void {
    this.#settle(request, result, ({ attributes, ttlMs }) => {
      const view = this.replier.scratchView;
      this.#sendScratch(request, encode.encodeAttributesReply(view, abi.OUT_HEADER_BYTES, attributes, ttlMs));
    });
  }

  answerOpen(request: PendingRequest, flags: number, result: MaybePromise<OpenReply>): void {
    this.#settle(request, result, (open) => {
      const end = encode.encodeOpen(this.replier.scratchView, abi.OUT_HEADER_BYTES, open);
      if (this.#sendScratch(request, end) !== 'sent') this.#releaseUnused(request, request.nodeId, open.handle, flags);
    });
  }

  answerCreate(request: PendingRequest, flags: number, result: MaybePromise<{ entry: Entry; open: OpenReply }>): void {
    this.#settle(request, result, ({ entry, open }) => {
      const view = this.replier.scratchView;
      const end = encode.encodeOpen(view, encode.encodeEntry(view, abi.OUT_HEADER_BYTES, entry), open);
      if (this.#sendEntry(request, end, entry) !== 'sent') {
        this.#releaseUnused(request, entry.nodeId, open.handle, flags);
      }
    });
  }

  answerStatistics(request: PendingRequest, result: MaybePromise<FileSystemStatistics>): void {
    this.#settle(request, result, (statistics) => {
      this.#sendScratch(request, encode.encodeStatistics(this.replier.scratchView, abi.OUT_HEADER_BYTES, statistics));
    });
  }

  answerText(request: PendingRequest, result: MaybePromise<string>): void {
    this.#settle(request, result, (text) => {
      const bytes = Buffer.from(text);
      if (bytes.length > abi.SYMLINK_BYTES_MAX) this.#sendError(request, ENAMETOOLONG);
      else this.#sent(this.replier.data(request, [bytes]));
    });
  }

  answerXattr(request: PendingRequest, sizeBytes: number, result: MaybePromise<Uint8Array>): void {
    this.#settle(request, result, (value) => {
      if (sizeBytes === 0) {
        this.#sendScratch(request, encode.encodeSize(this.replier.scratchView, abi.OUT_HEADER_BYTES, value.length));
      } else if (value.length > sizeBytes) this.#sendError(request, ERANGE);
      else this.#sent(this.replier.data(request, [value]));
    });
  }

  answerOffset(request: PendingRequest, result: MaybePromise<number>): void {
    this.#settle(request, result, (offset) => {
      this.#sendScratch(request, encode.encodeOffset(this.replier.scratchView, abi.OUT_HEADER_BYTES, offset));
    });
  }

  answerError(request: PendingRequest, errno: number): void {
    this.#finished(request);
    this.#sendError(request, errno);
  }

  read(request: PendingRequest, handle: number, offset: number, sizeBytes: number): void {
    request.payloadBytes = Math.min(sizeBytes, REQUEST_BYTES_MAX);
    const reply = new PendingRead(request, request.payloadBytes, this);
    // Beyond 2^53 there is no byte of any object, and a READ at or after the end is an empty one.
    if (offset === OUT_OF_RANGE || sizeBytes === 0) {
      reply.data([]);
      return;
    }
    try {
      this.handlers.read(request, request.nodeId, handle, offset, request.payloadBytes, reply);
    } catch (error) {
      const errno = this.#errnoFor(request, error);
      if (reply.open) reply.error(errno);
      return;
    }
    // The handler answers later, itself.
    if (reply.open) this.park(request);
  }

  readDirectory(request: PendingRequest, handle: number, offset: number, sizeBytes: number, plus: boolean): void {
    const bytesMax = Math.min(sizeBytes, REQUEST_BYTES_MAX);
    const buffer = this.#buffers.take(bytesMax);
    const sink = new PackingSink(plus, buffer, bytesMax);
    const undo = (): void => {
      for (const nodeId of sink.nodeIds) this.forget(nodeId, 1);
    };
    const failed = (error: unknown): void => {
      this.#buffers.give(buffer);
      undo();
      this.#fail(request, error);
    };
    let result: MaybePromise<void>;
    try {
      result = this.handlers.readdir(request, request.nodeId, handle, offset, sink);
    } catch (error) {
      failed(error);
      return;
    }
    const send = (): void => {
      if (request.answered) return;
      let bytes: Uint8Array;
      try {
        bytes = sink.close();
      } catch (error) {
        failed(error);
        return;
      }
      this.#finished(request);
      const outcome = this.#sent(this.replier.data(request, [bytes]));
      this.#buffers.give(buffer);
      if (outcome !== 'sent') undo();
    };
    if (result instanceof Promise) {
      this.park(request);
      void result.then(send, failed);
    } else send();
  }

  write(request: PendingRequest, handle: number, offset: number, data: Uint8Array, writeFlags: number): void {
    const { handlers } = this;
    if (handlers.write === undefined) {
      this.answerError(request, ENOSYS);
      return;
    }
    const bytes = data.length;
    request.payloadBytes = bytes;
    const loan = this.#loan;
    // The handler may keep the bytes until its promise settles; a slot's stay, the ring's are gone when we return.
    const buffer = loan ? undefined : this.#buffers.take(bytes);
    buffer?.set(data);
    loan?.hold();
    this.#writeBytesInFlight += bytes;
    this.#counts.writeBytes += bytes;
    const over = (): void => {
      const full = this.room === 0;
      this.#writeBytesInFlight -= bytes;
      if (buffer) this.#buffers.give(buffer);
      loan?.end();
      if (full && this.room > 0) this.#onRoom();
    };
    let result: MaybePromise<number>;
    try {
      result = handlers.write(
        request,
        request.nodeId,
        handle,
        offset,
        buffer?.subarray(0, bytes) ?? data,
        writeFlags,
        loan,
      );
    } catch (error) {
      over();
      this.#fail(request, error);
      return;
    }
    if (result instanceof Promise) void result.then(over, over);
    else over();
    // The handler's own needs come first.
    if (bytes >= LOAN_BYTES_MIN) this.#lender?.wanted();
    this.#settle(request, result, (written) => {
      // More than was given would make the kernel fail the write with EIO after it was done.
      if (written < 0 || written > bytes) this.#sendError(request, EINVAL);
      else this.#sendScratch(request, encode.encodeSize(this.replier.scratchView, abi.OUT_HEADER_BYTES, written));
    });
  }

  forget(nodeId: number, count: number): void {
    if (nodeId === OUT_OF_RANGE || count === 0) return;
    this.handlers.forget(nodeId, count);
  }

  malformed(): void {
    this.#counts.malformed++;
  }

  interrupt(lo: number, hi: number): void {
    const waiting = this.#interrupts.interrupt(lo, hi);
    if (waiting && this.#doomed?.interrupted(waiting) !== true) waiting.interrupt();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.handlers.destroy?.();
  }

  // What read-reply.ts asks for.

  park(request: PendingRequest): void {
    request.wasParked = true;
    this.#interrupts.add(request);
    this.#trial?.began(request);
    this.#slowReads?.parked(request);
    if (request.interrupted || request.isInterruptHeld) this.#doomed?.interrupted(request);
    this.#inFlightPeak = Math.max(this.#inFlightPeak, this.#interrupts.size);
  }

  finish(request: PendingRequest, errno: number): void {
    if (errno !== 0) this.#counts.errors++;
    this.#finished(request);
  }

  /** Answers with what `result` is, or will be. `send` answers, and is called with the request no longer in flight. */
  #settle<T>(request: PendingRequest, result: MaybePromise<T>, send: (value: T) => void): void {
    if (!(result instanceof Promise)) {
      send(result);
      return;
    }
    this.park(request);
    // What still throws in here is a broken invariant: an unhandled rejection, which ends the daemon.
    void result.then(
      (value) => {
        if (request.answered) return;
        this.#finished(request);
        try {
          send(value);
        } catch (error) {
          this.#fail(request, error, false);
        }
      },
      (error: unknown) => this.#fail(request, error),
    );
  }

  /** Also of one that was left, and of one whose result could not be encoded. */
  #fail(request: PendingRequest, error: unknown, wasSent = request.answered): void {
    const errno = this.#errnoFor(request, error);
    if (!wasSent) this.answerError(request, errno);
  }

  /** Throws a broken invariant on, and leaves the request at hand, also when its handler comes to that in a later turn. */
  #errnoFor(request: PendingRequest, error: unknown): number {
    if (error instanceof InvariantError) this.#witness?.atHand(request.row.opcode, request.lo, request.hi);
    return this.#failures.errnoFor(request, error);
  }

  #tryOneByOne(first: readonly RequestTicket[], clock: Clock): Trial {
    return new Trial(first, {
      clock,
      serve: (bytes, lent) => this.dispatch(bytes, lent),
      note: (requests) => this.#witness?.inService(requests),
      onOver: () => (this.#trial = undefined),
    });
  }

  #finished(request: PendingRequest): void {
    request.answered = true;
    if (request.wasParked) {
      this.#took(request);
      this.#trial?.answered(request);
    }
    const full = this.room === 0;
    this.#interrupts.remove(request);
    if (full && this.room > 0) this.#onRoom();
  }

  #took(request: PendingRequest): void {
    const tookMs = this.#clock.nowMs() - request.startedMs;
    this.#counts.took(request.row.opcode, tookMs);
    this.observer?.(request, tookMs);
  }

  #sendError(request: PendingRequest, errno: number): void {
    this.#counts.errors++;
    this.#sent(this.replier.error(request, errno));
  }

  #sendScratch(request: PendingRequest, endOffset: number): ReplyOutcome {
    return this.#sent(this.replier.scratch(request, endOffset));
  }

  /** A reply that carries a lookup. One that the kernel did not take must be forgotten again, for nobody else will. */
  #sendEntry(request: PendingRequest, endOffset: number, entry: Entry): ReplyOutcome {
    const outcome = this.#sendScratch(request, endOffset);
    if (outcome !== 'sent' && entry.nodeId !== 0) this.forget(entry.nodeId, 1);
    return outcome;
  }

  #sent(outcome: ReplyOutcome): ReplyOutcome {
    if (outcome === 'gone') this.#counts.gone++;
    return outcome;
  }

  /** The kernel never heard of this handle, so it will never release it. */
  #releaseUnused(request: PendingRequest, nodeId: number, handle: number, flags: number): void {
    const failed = (error: unknown): void =>
      this.#failures.note(error, { nodeId }, 'releasing an unused handle failed');
    try {
      const result =
        request.row.opcode === abi.FUSE_OPENDIR
          ? this.handlers.releasedir(request, nodeId, handle)
          : this.handlers.release(request, nodeId, handle, flags);
      if (result instanceof Promise) void result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
