/**
 * One net thread of the data plane: commands in, events out; in between, ranged GETs into the shared pool and answers to
 * the READs that wait for them. It runs wherever there is an event loop (a worker in the daemon, the test itself).
 *
 * Thread: its own. Owns: its sockets; the slots of its fetches until fetchDone / fetchFailed is posted; the READs parked
 * with it. Shared words: ARRIVED_END of those slots (writes), GATE (unpins). Order: bytes are published before the READs
 * that want them are answered, and both before fetchDone; fetchFailed comes before the READs that it fails. Blocks? Only in the replier's writev.
 * Refuses to know files, windows or blocks' value: what to fetch, and what for, is the main thread's business.
 * Bounds and the argument against deadlock: limits.ts.
 */
import type { Clock, Timer } from '../../base/clock.js';
import { ECANCELED } from '../../base/errno.js';
import { assertNever } from '../../base/invariant.js';
import { BLOCK_BYTES, slotNumbers, type PoolMemory } from '../../base/pool/layout.js';
import { PoolView } from '../../base/pool/pool-view.js';
import type { DataTarget, NetCommand, NetEvent, VerifyMode } from '../api.js';
import { CallErrand, CALLS_MAX } from '../calls/call-errand.js';
import { ErrandRunner } from '../calls/errand-runner.js';
import { LISTS_MAX, ListErrand } from '../listing/list-errand.js';
import { SAMPLE_MS } from '../scheduler/api.js';
import { PrefixPacer } from '../scheduler/request-pacer.js';
import { RequestSigner } from '../signing/request-signer.js';
import type { KernelReplier } from '../ticket.js';
import { BandwidthGate } from './bandwidth-gate.js';
import { ConnectionPool } from './connection-pool.js';
import { CredentialGate } from './credential-gate.js';
import { heapBytes, type NetDescription } from './describe.js';
import type { Failure } from './failure.js';
import type { Fetch } from './fetch.js';
import { FetchRunner } from './fetch-runner.js';
import { DEFAULT_READ_DEADLINE_MS, DEFAULT_TIMEOUTS, type NetTimeouts } from './limits.js';
import { LogGate } from './log-gate.js';
import { ParkedReads } from './parked-reads.js';
import { NetMeter } from './sampling.js';
import { absolutePrefix, parseProxyUrl } from './proxy.js';
import { SocketOpener, type Network } from './socket-opener.js';
import { Units } from './units.js';

export interface NetThreadOptions {
  readonly target: DataTarget;
  readonly pool: PoolMemory;
  /** Upper bound of open connections of this thread, until a `limits` command. */
  readonly connectionsMax: number;
  /** No parked READ waits longer; it is answered EIO then. Default DEFAULT_READ_DEADLINE_MS. */
  readonly readDeadlineMs?: number;
  readonly timeouts?: Partial<NetTimeouts>;
  /** Default 'auto'. */
  readonly verify?: VerifyMode;
  /** Ask a second time when an answer is late; default true. */
  readonly hedge?: boolean;
  /** Start at once, unsigned. Otherwise fetches wait for the first `credentials` command. */
  readonly anonymous?: boolean;
}

export interface NetThreadDeps {
  post(event: NetEvent): void;
  readonly replier: KernelReplier;
  readonly clock: Clock;
  /** In [0, 1). */
  random(): number;
  readonly network: Network;
  /** Runs once the current turn of the event loop is over; setImmediate unless a test says otherwise. */
  defer?(run: () => void): void;
  /** For how long, in all, this thread's event loop has been busy, ms; without it samples say 0. */
  loopBusyMs?(): number;
}

/** What a READ may have to wait for: two blocks. When our own limit makes that slow, it is no failure of the store. */
const READ_BYTES_MAX = 2 * BLOCK_BYTES;

/** A sweep may come a little early: the sample is due then all the same. */
const SAMPLE_EARLY_MS = 10;

export class NetThread {
  readonly #deps: NetThreadDeps;
  readonly #timeouts: NetTimeouts;
  readonly #connections: ConnectionPool;
  readonly #opener: SocketOpener;
  readonly #runner: FetchRunner;
  readonly #lists: ErrandRunner;
  readonly #calls: ErrandRunner;
  readonly #signer: RequestSigner;
  readonly #gate: CredentialGate;
  readonly #pool: PoolView;
  readonly #target: DataTarget;
  readonly #parked: ParkedReads;
  readonly #meter = new NetMeter();
  readonly #bandwidth: BandwidthGate;
  #sampledMs = 0;
  #sampledBusyMs = 0;
  /** The last sample said that something is under way. */
  #isSampling = false;
  #over: { readId: number; errno: number }[] = [];
  #isFlushDue = false;
  #sweepTimer: Timer | undefined;
  #isClosed = false;

  /** Throws an Error with a clear message for a target that cannot be used (a bad proxy URL or CA bundle). */
  constructor(options: NetThreadOptions, deps: NetThreadDeps) {
    this.#deps = deps;
    const { target } = options;
    const { clock } = deps;
    const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
    const deadlineMs = options.readDeadlineMs ?? DEFAULT_READ_DEADLINE_MS;
    const pool = new PoolView(options.pool);
    this.#timeouts = timeouts;
    this.#bandwidth = new BandwidthGate(clock);
    this.#pool = pool;
    this.#target = target;
    const opener = (this.#opener = new SocketOpener(
      { target, connectMs: timeouts.connectMs },
      { clock, network: deps.network },
    ));
    const isAbsolute = target.proxyUrl !== undefined && !target.tls;
    const authorization = isAbsolute ? parseProxyUrl(target.proxyUrl).authorization : undefined;
    const signer = (this.#signer = new RequestSigner(
      {
        target,
        absolutePrefix: isAbsolute ? absolutePrefix(target) : '',
        hopHeaders: authorization === undefined ? {} : { 'proxy-authorization': authorization },
      },
      { wallMs: () => clock.wallMs() },
    ));
    this.#connections = new ConnectionPool(
      {
        connectionsMax: options.connectionsMax,
        waitersMax: slotNumbers(options.pool.slotCount),
        timeouts,
        isSpread: target.localAddresses.length > 1,
      },
      {
        clock,
        open: (onread) => opener.open(onread),
        slow: (address) => opener.slow(address),
        meter: this.#meter,
        gate: this.#bandwidth,
      },
    );
    const log = new LogGate(clock, (level, fields, message) => this.#post({ type: 'log', level, fields, message }));
    this.#parked = new ParkedReads(
      { deadlineMs: (reads) => deadlineMs + (reads * READ_BYTES_MAX) / this.#bandwidth.bytesPerMs },
      {
        pool,
        replier: deps.replier,
        nowMs: () => clock.nowMs(),
        isFetching: (fetchId) => this.#runner.has(fetchId),
        wanted: (fetchId) => this.#runner.wanted(fetchId),
        refused: ({ readId, spans }, because) => {
          const keys = spans.flatMap(({ fetchId }) => this.#runner.keyOf(fetchId) ?? []);
          const of = keys.length > 0 ? ` of '${keys.at(-1)}'` : '';
          log.log('refused', 'error', { readId, key: keys.at(-1) }, `a READ${of} is answered EIO: ${because}`);
        },
        over: (readId, errno) => this.#readOver(readId, errno),
        elsewhere: (readId) => this.#post({ type: 'readElsewhere', readId }),
      },
    );
    const gate = (this.#gate = new CredentialGate(options.anonymous ?? false, {
      refused: (code) => this.#post({ type: 'credentialsRefused', code }),
    }));
    const maxAttempts = Math.max(1, target.maxAttempts);
    const isPatient = target.isPatient === true;
    const pacer = new PrefixPacer();
    this.#runner = new FetchRunner(
      {
        maxAttempts,
        patienceMs: isPatient ? deadlineMs : 0,
        timeouts,
        deadlineMs,
        // Directory buckets have ETags of their own making.
        units: new Units(options.verify ?? 'auto', { hasMd5Etags: target.signingService !== 's3express' }),
        hedge: options.hedge ?? true,
      },
      {
        pool,
        connections: this.#connections,
        gate,
        signer,
        clock,
        log,
        meter: this.#meter,
        pacer,
        random: () => deps.random(),
        defer: (run) => this.#defer(run),
        arrived: (fetchId) => this.#parked.arrived(fetchId),
        done: (fetch) => this.#fetchDone(fetch),
        failed: (fetchId, failure) => this.#fetchFailed(fetchId, failure),
      },
    );
    const random = (): number => deps.random();
    const errands = { connections: this.#connections, gate, signer, clock, log, meter: this.#meter, pacer, random };
    this.#lists = new ErrandRunner({ errandsMax: LISTS_MAX, maxAttempts, isPatient, timeouts }, errands);
    this.#calls = new ErrandRunner({ errandsMax: CALLS_MAX, maxAttempts, isPatient, timeouts }, errands);
    this.#post({ type: 'ready' });
  }

  /** Carries out one command of the main thread. After `close`, READs are answered EIO and all else is ignored. */
  handle(command: NetCommand): void {
    switch (command.type) {
      case 'fetch':
        if (this.#isClosed) this.#fetchFailed(command.fetch.fetchId, closedFailure);
        else this.#runner.start(command.fetch);
        break;
      case 'cancelFetch':
        this.#runner.cancel(command.fetchId);
        break;
      case 'park':
        this.#parked.park(command.read);
        break;
      case 'interruptRead':
        this.#parked.interrupt(command.readId);
        break;
      case 'list':
        this.#lists.start(
          new ListErrand(command.list, {
            signer: this.#signer,
            target: this.#target,
            post: (event) => this.#post(event),
          }),
        );
        break;
      case 'cancelList':
        this.#lists.cancel(command.listId);
        break;
      case 'call':
        this.#calls.start(
          new CallErrand(command.call, {
            signer: this.#signer,
            target: this.#target,
            pool: this.#pool,
            post: (event) => this.#post(event),
          }),
        );
        break;
      case 'cancelCall':
        this.#calls.cancel(command.callId);
        break;
      case 'credentials':
        this.#signer.setCredentials(command.credentials);
        this.#gate.changed();
        this.#runner.credentialsChanged();
        this.#lists.credentialsChanged();
        this.#calls.credentialsChanged();
        break;
      case 'limits':
        if (this.#isClosed) break;
        this.#bandwidth.setRate(command.bytesPerMs ?? Infinity);
        this.#connections.setLimit(command.connectionsMax, command.backgroundMax);
        break;
      case 'describe':
        this.#post({ type: 'described', describeId: command.describeId, description: this.#describe() });
        break;
      case 'close':
        this.#close();
        break;
      default:
        assertNever(command);
    }
    this.#armSweep();
  }

  /** Requests are about to come: the first finds a connection. */
  openAhead(): void {
    if (this.#isClosed) return;
    this.#connections.openAhead();
    this.#armSweep();
  }

  /** What is open and under way, for tests and debug lines. */
  get counts(): { connections: number; idle: number; fetches: number; parkedReads: number } {
    return {
      connections: this.#connections.size,
      idle: this.#connections.idleCount,
      fetches: this.#runner.size,
      parkedReads: this.#parked.size,
    };
  }

  /** Requests that were asked twice, and how many of the second ones were quicker. */
  get hedges(): { asked: number; won: number } {
    return this.#runner.hedges;
  }

  /** Stalled bodies whose rest was asked for elsewhere. */
  get resumed(): number {
    return this.#runner.resumed;
  }

  #describe(): NetDescription {
    return {
      ...this.#connections.describe(this.#opener.addressStates),
      fetches: this.#runner.phases,
      lists: this.#lists.phases,
      calls: this.#calls.phases,
      parkedReads: this.#parked.size,
      resumed: this.#runner.resumed,
      ledger: this.#meter.ledger.state,
      heapBytes: heapBytes(),
    };
  }

  #fetchDone(fetch: Fetch): void {
    const { fetchId } = fetch.command;
    this.#parked.fetchOver(fetchId, 0);
    const nowMs = this.#deps.clock.nowMs();
    const totalMs = nowMs - (fetch.startedMs ?? nowMs);
    this.#post({ type: 'fetchDone', fetchId, firstByteMs: fetch.firstByteMs ?? 0, totalMs });
  }

  #fetchFailed(fetchId: number, failure: Failure): void {
    const { errno, code, status, message } = failure;
    // First the fetch, so that main knows of its end when a READ of it comes back to be placed again.
    this.#post({ type: 'fetchFailed', fetchId, errno, code, status, message });
    this.#parked.fetchOver(fetchId, errno === ECANCELED ? 'elsewhere' : errno);
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#parked.close();
    this.#runner.close();
    this.#lists.close();
    this.#calls.close();
    this.#connections.close();
    this.#sweepTimer?.cancel();
    this.#sweepTimer = undefined;
    this.#post({ type: 'closed' });
  }

  /** READs that end in one turn of the loop travel in one event. */
  #readOver(readId: number, errno: number): void {
    this.#over.push({ readId, errno });
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#defer(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#over.length === 0) return;
    const reads = this.#over;
    this.#over = [];
    this.#deps.post({ type: 'readsOver', reads });
  }

  /** Events leave in the order in which things happened. */
  #post(event: NetEvent): void {
    this.#flush();
    this.#deps.post(event);
  }

  /** One timer looks at every deadline of the thread, and only while there is something to look at. */
  #armSweep(): void {
    if (this.#sweepTimer !== undefined || this.#isClosed) return;
    if (this.#connections.size + this.#underWay === 0 && !this.#isSampling) return;
    if (!this.#isSampling && this.#underWay > 0 && !this.#meter.hasNews) {
      // The first interval begins with the first command.
      this.#sampledMs = this.#deps.clock.nowMs();
      this.#sampledBusyMs = this.#deps.loopBusyMs?.() ?? 0;
    }
    this.#sweepTimer = this.#deps.clock.after(this.#timeouts.sweepMs, () => {
      // After this turn's reads: a process that was stopped or starved for a while finds its bytes in the sockets, and
      // must not call their senders dead first.
      this.#defer(() => this.#sweep());
    });
  }

  #sweep(): void {
    this.#sweepTimer = undefined;
    if (this.#isClosed) return;
    const nowMs = this.#deps.clock.nowMs();
    this.#connections.sweep(nowMs);
    this.#runner.sweep(nowMs);
    this.#lists.sweep(nowMs);
    this.#calls.sweep(nowMs);
    this.#parked.sweep(nowMs);
    this.#sample(nowMs);
    this.#armSweep();
  }

  /** Fetches, requests and READs that are not over. */
  get #underWay(): number {
    return this.#runner.size + this.#lists.size + this.#calls.size + this.#parked.size;
  }

  /** Says what was seen, once in SAMPLE_MS while something is under way, and once more at its end. */
  #sample(nowMs: number): void {
    const spanMs = nowMs - this.#sampledMs;
    if (spanMs < SAMPLE_MS - SAMPLE_EARLY_MS) return;
    const isBusy = this.#underWay > 0 || this.#meter.hasNews;
    const busyMs = this.#deps.loopBusyMs?.() ?? 0;
    if (isBusy || this.#isSampling) {
      const loopBusy = Math.min(1, Math.max(0, (busyMs - this.#sampledBusyMs) / spanMs));
      const sample = this.#meter.take(spanMs, { ...this.#connections.sampled, loopBusy });
      this.#post({ type: 'sample', sample });
    }
    this.#isSampling = isBusy;
    this.#sampledMs = nowMs;
    this.#sampledBusyMs = busyMs;
  }

  #defer(run: () => void): void {
    if (this.#deps.defer) this.#deps.defer(run);
    else setImmediate(run);
  }
}

const closedFailure: Failure = {
  errno: ECANCELED,
  code: 'Closed',
  status: 0,
  message: 'the net thread is closed',
  remedy: 'none',
};
