/**
 * The connections of one net thread: never more than `connectionsMax` open or opening, the most recently used idle one
 * first (so that the others can time out; with several cards of --bind, in turn between the cards), and the queue of those who want one, by priority and then by age.
 * A few connections are kept from all but waiting readers: a part of a window occupies one for a hundred milliseconds,
 * and nobody who waits for 4 KiB should.
 * Connections end after a long life, so that new ones go to new addresses, and idle ones before the server ends them.
 * A waiter is not tied to the open that it caused: whichever connection is free first goes to the first in line.
 * Bounded: waiters by `waitersMax` (each is a fetch, which owns pool slots, so there cannot be more than slots).
 * Refuses to retry opens: a failed open fails the first waiter, whose retry policy decides.
 */
import type { Clock } from '../../base/clock.js';
import { invariant } from '../../base/invariant.js';
import { PRIORITY_SPECULATIVE, PRIORITY_STREAM, PRIORITY_UPLOAD, PRIORITY_WAITING, PRIORITY_WINDOW } from '../api.js';
import { BandwidthGate, type Held } from './bandwidth-gate.js';
import { Connection } from './connection.js';
import { ClosedTraffic, describeAddresses, type AddressState, type NetDescription } from './describe.js';
import { failureFromError, unreached, type Failure } from './failure.js';
import { Outage } from './retry-policy.js';
import {
  CONNECTION_AGE_MAX_MS,
  CONNECTION_REQUESTS_MAX,
  IDLE_LEARNED_MIN_MS,
  IDLE_LEARNED_SHARE,
  IDLE_RELEARN_MS,
  OPENED_AHEAD,
  RESERVED_BUSY_MAX,
  RESERVED_BUSY_SHARE,
  RESERVED_FADES,
  RESERVED_MAX,
  RESERVED_SHARE,
  UPLOADS_LEAST_SHARE,
  UPLOADS_SHARE,
  type NetTimeouts,
} from './limits.js';
import { LinkQueue } from './link-queue.js';
import { spreadChoice } from './local-addresses.js';
import { NetMeter, type SampledNow } from './sampling.js';
import type { OnRead, Opening } from './socket-opener.js';

/** Somebody in line. */
export interface Waiter {
  /** PRIORITY_*; may be lowered (made more urgent) with `reprioritise`. */
  priority: number;
  /** Only a connection that has not been used before will do. */
  readonly wantsFresh: boolean;
  /** It occupies the line for long (link-queue.ts). */
  readonly isBulk?: boolean;
  /** Idle and alone with the waiter until it starts a request or gives it back with `giveBack`. */
  got(connection: Connection): void;
  failed(failure: Failure): void;
}

export interface ConnectionPoolOptions {
  readonly connectionsMax: number;
  readonly waitersMax: number;
  readonly timeouts: NetTimeouts;
  /** Connections leave from several local addresses, which are to be kept evenly busy. */
  readonly isSpread?: boolean;
}

export interface ConnectionPoolDeps {
  readonly clock: Clock;
  open(onread: OnRead): Opening;
  /** An answer from this address was far slower than another. */
  slow?(address: string): void;
  readonly meter?: NetMeter;
  readonly gate?: BandwidthGate;
}

const UPLOADS_LATE = [PRIORITY_WAITING, PRIORITY_STREAM, PRIORITY_WINDOW, PRIORITY_UPLOAD, PRIORITY_SPECULATIVE];
const UPLOADS_SOON = [PRIORITY_WAITING, PRIORITY_UPLOAD, PRIORITY_STREAM, PRIORITY_WINDOW, PRIORITY_SPECULATIVE];
const UPLOADS_FIRST = [PRIORITY_UPLOAD, PRIORITY_WAITING, PRIORITY_STREAM, PRIORITY_WINDOW, PRIORITY_SPECULATIVE];

export class ConnectionPool {
  /** Ended by whoever gets an answer. */
  readonly outage = new Outage();
  readonly #timeouts: NetTimeouts;
  readonly #waitersMax: number;
  readonly #isSpread: boolean;
  readonly #deps: ConnectionPoolDeps;
  readonly #meter: NetMeter;
  readonly #gate: BandwidthGate;
  #connectionsMax: number;
  /** The scheduler's bound for those who do not wait. */
  #backgroundSet = Infinity;
  /** Idle time that the server has been seen not to grant, and when. */
  #idleSeen: { readonly idleMs: number; readonly atMs: number } | undefined;
  /** One queue a priority, oldest first. */
  readonly #waiters: Waiter[][] = Array.from({ length: PRIORITY_UPLOAD + 1 }, () => []);
  /** How many they are, and those of them that are bulk and that nobody waits for: counted, as a thousand may be in line. */
  #inLine = 0;
  #bulkInLine = 0;
  /** All that count against the bound, with the open in progress, if any. */
  readonly #connections = new Map<Connection, Opening | undefined>();
  /** Those of them with an open in progress. */
  #opening = 0;
  /** Those that work for somebody who does not wait. */
  readonly #background = new Set<Connection>();
  /** Those of them whose requests are bulk. */
  readonly #bulk = new Set<Connection>();
  /** Those of them that rest in the middle of a body, so that the line is short for who waits. */
  readonly #resting = new Map<Connection, Held>();
  readonly #line = new LinkQueue();
  /** Those of them that work for uploads. */
  readonly #uploads = new Set<Connection>();
  /** The last one served was an upload. */
  #wasUpload = false;
  readonly #closedTraffic = new ClosedTraffic();
  /** How many who wait were in line or served at a time, lately. */
  #readers = 0;
  /** Most recently used last. */
  readonly #idle: Connection[] = [];
  #isPumping = false;
  #isClosed = false;

  constructor(options: ConnectionPoolOptions, deps: ConnectionPoolDeps) {
    this.#timeouts = options.timeouts;
    this.#waitersMax = options.waitersMax;
    this.#isSpread = options.isSpread ?? false;
    this.#connectionsMax = Math.max(1, options.connectionsMax);
    this.#deps = deps;
    this.#meter = deps.meter ?? new NetMeter();
    this.#gate = deps.gate ?? new BandwidthGate(deps.clock);
  }

  /** What a sample says of the connections. */
  get sampled(): Omit<SampledNow, 'loopBusy'> {
    return {
      connections: this.#connections.size,
      busy: this.#connections.size - this.#idle.length - this.#opening,
      waiting: this.waiterCount,
      waitingReaders: this.#waiters[PRIORITY_WAITING]?.length ?? 0,
      connectionsMax: Math.min(this.#connectionsMax, this.#backgroundSet),
    };
  }

  /** What goes where, for who asks. `states`: what is thought of the addresses. */
  describe(states: readonly AddressState[]): Pick<NetDescription, 'addresses' | 'opening' | 'inLine'> {
    return {
      addresses: describeAddresses(this.#connections.keys(), this.#closedTraffic, states),
      opening: this.#opening,
      inLine: this.#waiters.map((queue) => queue.length),
    };
  }

  /** Connections open or opening. */
  get size(): number {
    return this.#connections.size;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  get waiterCount(): number {
    return this.#inLine;
  }

  /**
   * Opens connections that nobody has asked for yet, unless they are there: the first requests need not wait for handshakes.
   * Two: the first look at a name is a LIST and a HEAD at once.
   */
  openAhead(): void {
    if (this.#isClosed) return;
    while (this.#connections.size < Math.min(OPENED_AHEAD, this.#connectionsMax)) this.#open();
  }

  /** Gets in line; false when the line is full. `got` or `failed` may be called before this returns. */
  acquire(waiter: Waiter): boolean {
    invariant(!this.#isClosed, 'connection pool in use after close');
    if (this.waiterCount >= this.#waitersMax) return false;
    this.#join(waiter);
    if (waiter.priority === PRIORITY_WAITING) this.#readers = Math.max(this.#readers, this.#readersNow);
    this.#pump();
    return true;
  }

  /** Leaves the line; harmless when not in it. */
  withdraw(waiter: Waiter): void {
    this.#leave(waiter);
  }

  /** Moves a waiter to another priority, behind those already there. */
  reprioritise(waiter: Waiter, priority: number): void {
    if (priority === waiter.priority || !this.#leave(waiter)) return;
    waiter.priority = priority;
    this.#join(waiter);
  }

  /** The exchange on `connection` is over, or never began. Closed ones have removed themselves already. */
  giveBack(connection: Connection): void {
    this.#background.delete(connection);
    this.#bulk.delete(connection);
    this.#resting.delete(connection);
    this.#uploads.delete(connection);
    if (connection.isIdle && this.#isOld(connection)) connection.destroy();
    if (!connection.isIdle || !this.#connections.has(connection)) {
      this.#pump();
      return;
    }
    invariant(!this.#idle.includes(connection), 'a connection is given back once');
    this.#idle.push(connection);
    this.#pump();
  }

  /** A small read that somebody waits for goes out: see LinkQueue. */
  probeSent(): void {
    this.#line.probeSent(this.#bulkRunning, this.#deps.clock.nowMs());
  }

  /** The first byte of a request came after so long. `isProbe`: of one that `probeSent` told of. */
  answered(waitedMs: number, isProbe: boolean): void {
    const nowMs = this.#deps.clock.nowMs();
    this.#line.received(this.#meter.bytesInTotal, nowMs);
    if (isProbe) this.#line.probeAnswered(waitedMs, this.#bulkRunning, nowMs);
    else this.#line.answered(waitedMs, nowMs);
  }

  /** A READ waits for what comes over it. */
  wanted(connection: Connection): void {
    const held = this.#resting.get(connection);
    this.#resting.delete(connection);
    held?.goOn();
  }

  /** Somebody else's answer was quicker by far: its address is avoided for a while. */
  slow(connection: Connection): void {
    const { remoteAddress } = connection;
    if (remoteAddress !== undefined) this.#deps.slow?.(remoteAddress);
  }

  /** Those who wait: in line, and with a connection. */
  get #readersNow(): number {
    const working = this.#connections.size - this.#opening - this.#idle.length - this.#background.size;
    return working + (this.#waiters[PRIORITY_WAITING]?.length ?? 0);
  }

  /** How many of the connections may work for nobody who waits. */
  get #backgroundMax(): number {
    const limit = this.#connectionsMax;
    const least = Math.min(RESERVED_MAX, Math.floor(limit * RESERVED_SHARE));
    const most = Math.min(RESERVED_BUSY_MAX, Math.floor(limit * RESERVED_BUSY_SHARE));
    return Math.min(this.#backgroundSet, limit - Math.max(least, Math.min(most, Math.round(this.#readers))));
  }

  /** `backgroundMax`: of them for those who do not wait. */
  setLimit(connectionsMax: number, backgroundMax = Infinity): void {
    this.#connectionsMax = Math.max(1, connectionsMax);
    this.#backgroundSet = Math.max(1, backgroundMax);
    this.#pump();
  }

  /** Time-outs of everything open; called by the thread's one timer. */
  sweep(nowMs: number): void {
    for (const connection of [...this.#connections.keys()]) connection.sweep(nowMs);
    this.#readers = Math.max(this.#readersNow, this.#readers * RESERVED_FADES);
    this.#line.received(this.#meter.bytesInTotal, nowMs);
    // Nobody else looks when the last small read was long ago.
    this.#pump();
    const idleMs = this.#idleMs(nowMs);
    for (const connection of [...this.#idle]) {
      if (nowMs - connection.activeMs >= idleMs) connection.destroy();
    }
  }

  /** Closes everything; waiters hear nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#gate.close();
    for (const queue of this.#waiters) queue.length = 0;
    this.#inLine = 0;
    this.#bulkInLine = 0;
    for (const [connection, opening] of [...this.#connections]) {
      opening?.abort();
      connection.destroy();
    }
  }

  /** Decides who gets what; everything that changes the picture ends here. */
  #pump(): void {
    if (this.#isPumping || this.#isClosed) return;
    this.#isPumping = true;
    try {
      while (this.#idle.length > 0 && this.#connections.size > this.#connectionsMax) this.#idle[0]?.destroy();
      this.#keepLineShort();
      for (;;) {
        const match = this.#match();
        if (match === undefined) break;
        this.withdraw(match.waiter);
        if (match.waiter.priority !== PRIORITY_WAITING) {
          this.#background.add(match.connection);
          if (match.waiter.isBulk) this.#bulk.add(match.connection);
        }
        this.#wasUpload = match.waiter.priority === PRIORITY_UPLOAD;
        if (this.#wasUpload) this.#uploads.add(match.connection);
        match.waiter.got(match.connection);
      }
      this.#openMore();
    } finally {
      this.#isPumping = false;
    }
  }

  /** How many connections may work for nobody who waits now; one even when a limit of bandwidth holds up enough of them. */
  get #othersMax(): number {
    return this.#gate.isCrowded ? Math.min(1, this.#backgroundMax) : this.#backgroundMax;
  }

  /** First in line. */
  #first(): Waiter | undefined {
    for (const priority of this.#order) {
      const [first] = this.#queueOf(priority);
      if (first !== undefined) return first;
    }
    return undefined;
  }

  /** Who goes first: readers who wait, streams, uploads, guesses; uploads sooner while they have less than their shares. */
  get #order(): readonly number[] {
    const uploads = this.#uploads.size;
    if (this.#queueOf(PRIORITY_UPLOAD).length === 0) return UPLOADS_LATE;
    // Where nothing is left to keep for readers, an upload without end would have the only connection for ever.
    if (this.#connectionsMax === 1 && this.#wasUpload) return UPLOADS_LATE;
    const most = this.#backgroundMax;
    if (uploads < Math.max(1, Math.floor(most * UPLOADS_LEAST_SHARE))) return UPLOADS_FIRST;
    return uploads < Math.max(1, Math.floor(most * UPLOADS_SHARE)) ? UPLOADS_SOON : UPLOADS_LATE;
  }

  /** The first waiter that an idle connection can serve. One that wants a fresh connection does not hold up the rest. */
  #match(): { waiter: Waiter; connection: Connection } | undefined {
    for (const priority of this.#order) {
      const queue = this.#queueOf(priority);
      if (queue.length === 0) continue;
      if (priority !== PRIORITY_WAITING && this.#background.size >= this.#othersMax) continue;
      // When the bound was lowered, those that are busy beyond it finish first.
      if (this.#connections.size - this.#idle.length >= this.#connectionsMax) return undefined;
      for (const waiter of queue) {
        if (this.#idle.length === 0) return undefined;
        if (waiter.isBulk && priority !== PRIORITY_WAITING && this.#bulk.size >= this.#bulkMax) continue;
        const at = waiter.wantsFresh ? this.#idle.findLastIndex((idle) => idle.isFresh) : this.#nextIdle;
        const connection = this.#idle[at];
        if (connection === undefined) continue;
        this.#idle.splice(at, 1);
        return { waiter, connection };
      }
    }
    return undefined;
  }

  /** Of those that are idle, which works next. */
  get #nextIdle(): number {
    return this.#isSpread ? spreadChoice(this.#idle, this.#connections.keys()) : this.#idle.length - 1;
  }

  #openMore(): void {
    const waiting = this.#waiters[PRIORITY_WAITING]?.length ?? 0;
    const room = Math.max(0, this.#othersMax - this.#background.size);
    let wanted = waiting + Math.min(this.waiterCount - waiting - this.#bulkHeldBack, room) - this.#opening;
    // What is idle now serves nobody in line: somebody wants a fresh one, and at the bound it needs a used one's place.
    if (wanted > 0 && this.#connections.size >= this.#connectionsMax) this.#idle[0]?.destroy();
    while (wanted-- > 0 && this.#connections.size < this.#connectionsMax) this.#open();
  }

  /** How many bulk requests may be under way. */
  get #bulkMax(): number {
    return this.#line.bulkMax(this.#deps.clock.nowMs());
  }

  /** Bulk requests under way that do not rest. */
  get #bulkRunning(): number {
    return this.#bulk.size - this.#resting.size;
  }

  /**
   * A part under way would fill the line for another half second: those that came last and nobody waits for rest, and go on, the
   * oldest first, as soon as there is room. Their peers are held up by full windows.
   */
  #keepLineShort(): void {
    // Small files come and go by the thousand: not even the clock is looked at.
    if (this.#bulk.size === 0) return;
    let room = this.#bulkMax - this.#bulkRunning;
    if (room >= 0 && this.#resting.size === 0) return;
    for (const connection of this.#bulk) {
      if (room <= 0) break;
      if (!this.#resting.has(connection)) continue;
      this.wanted(connection);
      room--;
    }
    for (const connection of [...this.#bulk].reverse()) {
      if (room >= 0) break;
      const held = this.#resting.has(connection) ? undefined : connection.rest();
      if (held === undefined) continue;
      this.#resting.set(connection, held);
      room++;
    }
  }

  /** Those in line who are not to be served now, because the line to the store would be too long for who waits. */
  get #bulkHeldBack(): number {
    const room = this.#bulkMax - this.#bulk.size;
    if (room === Infinity) return 0;
    return Math.max(0, this.#bulkInLine - Math.max(0, room));
  }

  #open(): void {
    const connection = new Connection(this.#timeouts, {
      nowMs: () => this.#deps.clock.nowMs(),
      closed: () => this.#removed(connection),
      wasIdle: (idleMs) => this.#closedIdle(idleMs),
      meter: this.#meter,
      gate: this.#gate,
    });
    const opening = this.#deps.open(connection.onread);
    this.#connections.set(connection, opening);
    this.#opening++;
    opening.socket.then(
      (socket) => {
        if (!this.#connections.has(connection)) {
          socket.destroy();
          return;
        }
        this.#connections.set(connection, undefined);
        this.#opening--;
        const failure = connection.attach(socket);
        if (failure === undefined) {
          this.giveBack(connection);
        } else {
          if (failure.isUnreached === true) this.outage.failed(this.#deps.clock.nowMs());
          this.#failFirst(failure);
          connection.destroy();
        }
      },
      (error: unknown) => {
        const wasOurs = this.#connections.delete(connection);
        if (wasOurs) this.#opening--;
        // Before the place is free again, or another open would begin for the waiter that fails now.
        if (wasOurs) this.outage.failed(this.#deps.clock.nowMs());
        if (wasOurs && !this.#isClosed) this.#failFirst(unreached(failureFromError(error)));
        connection.destroy();
      },
    );
  }

  #isOld(connection: Connection): boolean {
    const aliveMs = this.#deps.clock.nowMs() - connection.openedMs;
    return connection.answered >= CONNECTION_REQUESTS_MAX || aliveMs >= CONNECTION_AGE_MAX_MS;
  }

  /** How long a connection may be idle: less than the server has been seen to close one after, lately. */
  #idleMs(nowMs: number): number {
    const seen = this.#idleSeen;
    if (seen === undefined) return this.#timeouts.idleMs;
    if (nowMs - seen.atMs < IDLE_RELEARN_MS) return Math.min(this.#timeouts.idleMs, seen.idleMs);
    this.#idleSeen = undefined;
    return this.#timeouts.idleMs;
  }

  /** The server closed a connection that had been idle for so long. */
  #closedIdle(idleMs: number): void {
    const nowMs = this.#deps.clock.nowMs();
    // A balancer that has nobody behind it ends them at once.
    if (this.outage.ms(nowMs) > 0) return;
    const shorter = Math.max(IDLE_LEARNED_MIN_MS, idleMs * IDLE_LEARNED_SHARE);
    if (shorter < this.#idleMs(nowMs)) this.#idleSeen = { idleMs: shorter, atMs: nowMs };
  }

  /** Somebody has to hear of it, or a line behind a dead endpoint would try for ever. */
  #failFirst(failure: Failure): void {
    const waiter = this.#first();
    if (waiter === undefined) return;
    this.withdraw(waiter);
    waiter.failed(failure);
  }

  #removed(connection: Connection): void {
    if (this.#connections.get(connection) !== undefined) this.#opening--;
    if (this.#connections.delete(connection)) this.#closedTraffic.add(connection);
    this.#background.delete(connection);
    this.#bulk.delete(connection);
    this.#resting.delete(connection);
    this.#uploads.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#pump();
  }

  #join(waiter: Waiter): void {
    this.#queueOf(waiter.priority).push(waiter);
    this.#inLine++;
    if (isHeldBack(waiter)) this.#bulkInLine++;
  }

  /** False when it was not in line. */
  #leave(waiter: Waiter): boolean {
    const queue = this.#queueOf(waiter.priority);
    const at = queue.indexOf(waiter);
    if (at < 0) return false;
    queue.splice(at, 1);
    this.#inLine--;
    if (isHeldBack(waiter)) this.#bulkInLine--;
    return true;
  }

  #queueOf(priority: number): Waiter[] {
    const queue = this.#waiters[Math.min(Math.max(0, Math.trunc(priority)), PRIORITY_UPLOAD)];
    invariant(queue !== undefined, `priority ${priority}`);
    return queue;
  }
}

/** It has to wait while the line to the store is kept short. */
function isHeldBack({ isBulk, priority }: Waiter): boolean {
  return isBulk === true && priority !== PRIORITY_WAITING && priority !== PRIORITY_UPLOAD;
}
