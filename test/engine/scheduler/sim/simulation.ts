/**
 * A world in motion: streams with windows ask for parts, parts wait for connections of a net thread, connections carry them
 * at what the store, the flow's start, the cards and the cores leave. A fluid model in steps of TICK_MS: inside a step each
 * connection moves at one rate; parts that end in a step hand the rest of it to the next one.
 *
 * What it takes over from the daemon: windows grow 1, 8, 32, 64 MiB as their reader waits (src/prefetch/access-pattern.ts),
 * parts are a quarter of a window at most (block-fetcher.ts), half of the pool is divided between the streams
 * (pool-prefetcher.ts), fetches go to the thread with the least bytes outstanding (data-plane.ts), connections are opened
 * when somebody waits, and each thread has its share of them.
 * What it leaves out: hedges other than their effect on the tail, failures other than 503, writes, blocks (bytes of a part can be read as they arrive).
 *
 * Deterministic: all randomness comes from the world's seed. State is in arrays by index, because a search for the best
 * setting runs this hundreds of times (about 20 ms of one core for four seconds with 100 connections).
 */
import { MIB } from '../../../../src/base/units.js';
import { FIRST_BYTES_MAX, SAMPLE_MS } from '../../../../src/engine/scheduler/api.js';
import type { NetSample, RequestPacer, Setting } from '../../../../src/engine/scheduler/api.js';
import { Random } from '../../../support/simulated-net-random.js';
import type { Conditions, World } from './world.js';

export const TICK_MS = 5;

/** As in src/prefetch. */
const WINDOW_FIRST_BYTES = MIB;
const WINDOW_SECOND_BYTES = 8 * MIB;
const WINDOW_GROWTH = 4;
const WINDOW_BYTES_MAX = 64 * MIB;
const WINDOW_LOOKS = 8;

/** Ten segments of 1,460 bytes: what a new flow may send in its first round trip (RFC 6928). */
const FLOW_START_BYTES = 14_600;
/** Back-off of a refused request: full jitter, as in src/engine/net/retry-policy.ts. */
const BACKOFF_BASE_MS = 50;
const BACKOFF_CAP_MS = 5_000;
/** A store's patience is counted in a bucket of so much time. */
const STORE_BURST_MS = 100;

const CLOSED = 0;
const IDLE = 1;
const CONNECTING = 2;
const WAITING = 3;
const FLOWING = 4;

interface Part {
  readonly stream: Stream;
  readonly bytes: number;
  got: number;
  used: number;
  failures: number;
  /** Asked for at; for the longest wait. */
  readonly askedMs: number;
}

interface Stream {
  /** Parts in file order; those before `head` are consumed. */
  parts: Part[];
  head: number;
  position: number;
  issuedEnd: number;
  windowBytes: number;
  growAt: number;
  lookAt: number;
  waited: boolean;
  consumed: number;
}

interface Delayed {
  readonly atMs: number;
  readonly part: Part;
  readonly thread: number;
}

interface Thread {
  readonly queue: Part[];
  queueHead: number;
  outstanding: number;
  open: number;
  idle: number[];
  readonly pacer: RequestPacer | undefined;
  /** Of the sample that is being made. */
  bytes: number;
  requests: number;
  slowDowns: number;
  cpuMs: number;
  firstBytes: number[];
}

export interface SimulationOptions {
  /** One for each net thread; without it requests go out as they come. */
  readonly pacer?: () => RequestPacer;
}

export class Simulation {
  readonly world: World;
  nowMs = 0;
  /** Sums since the beginning. */
  bytes = 0;
  requests = 0;
  refused = 0;
  readonly #random: Random;
  readonly #streams: Stream[] = [];
  readonly #threads: Thread[] = [];
  #conditions: Conditions;
  #readerRate: number;
  #setting: Setting;
  /** Requests that the main thread has not sent to a net thread yet. */
  #issue: Part[] = [];
  #delayed: Delayed[] = [];
  #allocated = 0;
  #mainCpuMs = 0;
  #consumeCpuMs = 0;
  #blockedMs = 0;
  #mainShare = 1;
  #netShare = 1;
  #storeTokens = 0;
  #storeRate: number;
  #storeRefusedMs = -Infinity;
  #storeScaledMs = 0;
  #nextChange = 0;
  // Connections, by index.
  readonly #state: Uint8Array;
  readonly #threadOf: Uint8Array;
  readonly #timer: Float64Array;
  readonly #flowRate: Float64Array;
  readonly #rate: Float64Array;
  readonly #want: Float64Array;
  readonly #part: (Part | undefined)[];
  readonly #isRefused: Uint8Array;
  #connections = 0;
  readonly #free: number[] = [];
  readonly #nicOf: Uint8Array;
  readonly #nicQueueMs: Float64Array;
  readonly #nicBusy: number[];

  constructor(world: World, setting: Setting, options: SimulationOptions = {}) {
    this.world = world;
    this.#random = new Random(world.seed);
    this.#conditions = world.conditions;
    this.#setting = setting;
    this.#readerRate = world.readers.rate;
    this.#storeRate = world.conditions.requestsPerSecond;
    // Threads that were left with their fetches keep connections beside those of the others.
    const most = 3 * Math.max(world.bounds.most.connections, setting.connections) + world.bounds.most.netThreads;
    this.#state = new Uint8Array(most);
    this.#threadOf = new Uint8Array(most);
    this.#timer = new Float64Array(most);
    this.#flowRate = new Float64Array(most);
    this.#rate = new Float64Array(most);
    this.#want = new Float64Array(most);
    this.#part = new Array<Part | undefined>(most).fill(undefined);
    this.#isRefused = new Uint8Array(most);
    this.#nicOf = new Uint8Array(most);
    this.#nicQueueMs = new Float64Array(world.conditions.nics.length);
    this.#nicBusy = world.conditions.nics.map(() => 0);
    const threads = Math.max(world.bounds.most.netThreads, setting.netThreads);
    for (let at = 0; at < threads; at++) {
      this.#threads.push({
        queue: [],
        queueHead: 0,
        outstanding: 0,
        open: 0,
        idle: [],
        pacer: options.pacer?.(),
        bytes: 0,
        requests: 0,
        slowDowns: 0,
        cpuMs: 0,
        firstBytes: [],
      });
    }
    this.#setStreams(world.readers.streams);
  }

  /** Open connections. */
  get connections(): number {
    return this.#connections - this.#free.length;
  }

  /** Bytes that each stream consumed since the beginning. */
  get consumed(): number[] {
    return this.#streams.map((stream) => stream.consumed);
  }

  /** Requests that are asked for and not sent, or under way. */
  get outstanding(): { queued: number; bytes: number; oldestMs: number } {
    let queued = this.#issue.length + this.#delayed.length;
    let oldestMs = 0;
    for (const thread of this.#threads) {
      queued += thread.queue.length - thread.queueHead;
      const first = thread.queue[thread.queueHead];
      if (first) oldestMs = Math.max(oldestMs, this.nowMs - first.askedMs);
    }
    return { queued, bytes: this.#allocated, oldestMs };
  }

  set setting(setting: Setting) {
    this.#setting = setting;
    // Idle connections above the bound are closed at once, busy ones when they are done.
    for (let thread = 0; thread < this.#threads.length; thread++) this.#closeExtra(thread);
  }

  /** Runs for `forMs`. */
  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    while (this.nowMs < endMs - 1e-9) this.#tick();
  }

  /** What the daemon would say of the time since this was called last. */
  sample(): { threads: NetSample[]; mainLoopBusy: number; poolPressure: number; hasDemand: boolean } {
    const busy = this.#threads.map(() => 0);
    const ready = this.#threads.map(() => 0);
    for (let at = 0; at < this.#connections; at++) {
      const thread = this.#threadOf[at] ?? 0;
      if (this.#state[at] === WAITING || this.#state[at] === FLOWING) busy[thread] = (busy[thread] ?? 0) + 1;
      if (this.#state[at] !== CONNECTING) ready[thread] = (ready[thread] ?? 0) + 1;
    }
    const threads = this.#threads.map((thread, index): NetSample => {
      const sample: NetSample = {
        spanMs: SAMPLE_MS,
        bytesIn: thread.bytes,
        bytesOut: 0,
        requests: thread.requests,
        hedges: 0,
        hedgesWon: 0,
        retries: 0,
        slowDowns: thread.slowDowns > 0 ? [{ prefix: 'a/', count: thread.slowDowns }] : [],
        firstByteMs: thread.firstBytes,
        connections: thread.open,
        busy: busy[index] ?? 0,
        waiting: thread.queue.length - thread.queueHead,
        waitingReaders: 0,
        connectionsMax: this.#limitOf(index),
        loopBusy: Math.min(1, thread.cpuMs / SAMPLE_MS),
      };
      thread.bytes = 0;
      thread.requests = 0;
      thread.slowDowns = 0;
      thread.cpuMs = 0;
      thread.firstBytes = [];
      return sample;
    });
    const seen = {
      threads,
      mainLoopBusy: Math.min(1, this.#mainCpuMs / SAMPLE_MS),
      poolPressure: Math.min(1, this.#allocated / this.world.machine.poolBytes),
      hasDemand: this.#blockedMs > 0,
    };
    this.#mainCpuMs = 0;
    this.#blockedMs = 0;
    return seen;
  }

  #tick(): void {
    this.nowMs += TICK_MS;
    this.#applyChanges();
    this.#refill();
    this.#consume();
    this.#send();
    if (this.#delayed.length > 0) this.#undelay();
    for (let thread = 0; thread < this.#threads.length; thread++) this.#dispatch(thread, 0);
    this.#flow();
  }

  #applyChanges(): void {
    for (;;) {
      const change = this.world.changes[this.#nextChange];
      if (!change || change.atMs > this.nowMs) return;
      this.#nextChange++;
      if ('readers' in change) {
        this.#readerRate = change.readers.rate;
        this.#setStreams(change.readers.streams);
      } else {
        this.#conditions = { ...this.#conditions, ...change.conditions };
        this.#storeRate = this.#conditions.requestsPerSecond;
      }
    }
  }

  #setStreams(count: number): void {
    while (this.#streams.length < count) {
      this.#streams.push({
        parts: [],
        head: 0,
        position: 0,
        issuedEnd: 0,
        windowBytes: WINDOW_FIRST_BYTES,
        growAt: WINDOW_FIRST_BYTES / 2,
        lookAt: 0,
        waited: true,
        consumed: 0,
      });
    }
    // Streams that stopped keep their place, and their bytes.
    this.#streams.length = Math.max(count, 0);
  }

  #refill(): void {
    if (this.#storeRate === Infinity) return;
    const { scaleUp } = this.#conditions;
    if (scaleUp > 1 && this.nowMs - this.#storeRefusedMs < 1000 && this.nowMs - this.#storeScaledMs >= 1000) {
      this.#storeScaledMs = this.nowMs;
      this.#storeRate *= scaleUp;
    }
    const most = Math.max(1, (this.#storeRate * STORE_BURST_MS) / 1000);
    this.#storeTokens = Math.min(most, this.#storeTokens + (this.#storeRate * TICK_MS) / 1000);
  }

  /** Readers take what is there, windows move, and what they lack is asked for. */
  #consume(): void {
    const { poolBytes, consumeMsPerMib } = this.world.machine;
    const windowMost = Math.min(WINDOW_BYTES_MAX, Math.floor(poolBytes / 2 / this.#streams.length / MIB) * MIB);
    const most = this.#readerRate * TICK_MS * this.#mainShare;
    let isBlocked = false;
    for (const stream of this.#streams) {
      let left = most;
      for (;;) {
        const part = stream.parts[stream.head];
        if (!part || left <= 0) break;
        const take = Math.min(left, part.got - part.used);
        if (take <= 0) break;
        part.used += take;
        left -= take;
        stream.position += take;
        if (part.used >= part.bytes - 1e-6) {
          stream.head++;
          if (stream.head > 64) {
            stream.parts.splice(0, stream.head);
            stream.head = 0;
          }
        } else if (part.used >= part.got) break;
      }
      const taken = most - left;
      stream.consumed += taken;
      this.#allocated -= taken;
      this.#consumeCpuMs += (taken / MIB) * consumeMsPerMib;
      if (left > 0.01 * most) {
        isBlocked = true;
        stream.waited = true;
      }
      this.#window(stream, Math.max(windowMost, MIB));
    }
    if (isBlocked) this.#blockedMs += TICK_MS;
  }

  #window(stream: Stream, windowMost: number): void {
    if (stream.position >= stream.growAt) {
      if (stream.waited) stream.windowBytes = Math.max(WINDOW_SECOND_BYTES, stream.windowBytes * WINDOW_GROWTH);
      stream.waited = false;
      stream.growAt = stream.position + Math.min(stream.windowBytes, windowMost) / 2;
      stream.lookAt = stream.position;
    }
    stream.windowBytes = Math.min(stream.windowBytes, windowMost);
    if (stream.position < stream.lookAt) return;
    stream.lookAt = stream.position + stream.windowBytes / WINDOW_LOOKS;
    const quarter = Math.max(MIB, Math.floor(stream.windowBytes / 4 / MIB) * MIB);
    const chunk = Math.min(this.#setting.partBytes, quarter);
    const wantEnd = stream.position + stream.windowBytes;
    while (stream.issuedEnd < wantEnd) {
      let bytes = Math.min(chunk, Math.ceil((wantEnd - stream.issuedEnd) / MIB) * MIB);
      // A rest waits to become a whole part, unless its reader is near.
      if (bytes < chunk && stream.issuedEnd - stream.position > stream.windowBytes / 2) break;
      const room = Math.floor((this.world.machine.poolBytes - this.#allocated) / MIB) * MIB;
      bytes = Math.min(bytes, room);
      if (bytes < MIB) {
        stream.lookAt = stream.position;
        break;
      }
      const part: Part = { stream, bytes, got: 0, used: 0, failures: 0, askedMs: this.nowMs };
      stream.parts.push(part);
      stream.issuedEnd += bytes;
      this.#allocated += bytes;
      this.#issue.push(part);
    }
  }

  /** The main thread sends requests, as many as its core allows. */
  #send(): void {
    const { mainMsPerRequest, mainMsPerMib } = this.world.machine;
    let leftMs = TICK_MS * this.#mainShare;
    let sent = 0;
    for (const part of this.#issue) {
      if (leftMs <= 0) break;
      const costMs = mainMsPerRequest + (part.bytes / MIB) * mainMsPerMib;
      leftMs -= costMs;
      this.#mainCpuMs += costMs;
      let least = 0;
      for (let at = 1; at < this.#setting.netThreads; at++) {
        if ((this.#threads[at]?.outstanding ?? 0) < (this.#threads[least]?.outstanding ?? 0)) least = at;
      }
      const thread = this.#threads[least];
      if (!thread) break;
      thread.outstanding += part.bytes;
      thread.queue.push(part);
      sent++;
    }
    if (sent > 0) this.#issue.splice(0, sent);
    else if (this.#issue.length > 0) this.#mainCpuMs += TICK_MS;
  }

  #undelay(): void {
    const due = this.#delayed.filter(({ atMs }) => atMs <= this.nowMs);
    if (due.length === 0) return;
    this.#delayed = this.#delayed.filter(({ atMs }) => atMs > this.nowMs);
    due.sort((one, other) => one.atMs - other.atMs);
    for (const { part, thread } of due) this.#threads[thread]?.queue.push(part);
  }

  #limitOf(thread: number): number {
    const { connections, netThreads } = this.#setting;
    // A thread that gets no more fetches finishes those that it has.
    if (thread >= netThreads)
      return (this.#threads[thread]?.outstanding ?? 0) > 1 ? Math.ceil(connections / netThreads) : 0;
    return Math.max(1, Math.floor(connections / netThreads) + (thread < connections % netThreads ? 1 : 0));
  }

  /** The next part of a thread that may go out now; those that the pacer holds come again later. */
  #take(index: number, thread: Thread): Part | undefined {
    for (;;) {
      const part = thread.queue[thread.queueHead];
      if (!part) return undefined;
      thread.queueHead++;
      if (thread.queueHead > 256) {
        thread.queue.splice(0, thread.queueHead);
        thread.queueHead = 0;
      }
      if (!thread.pacer) return part;
      const isUrgent = part.stream.parts[part.stream.head] === part;
      const atMs = thread.pacer.startAt('a/', this.nowMs, isUrgent);
      if (atMs <= this.nowMs) return part;
      this.#delayed.push({ atMs, part, thread: index });
    }
  }

  /** Gives waiting parts to idle connections, and opens more up to the thread's bound. */
  #dispatch(index: number, leftMs: number): void {
    const thread = this.#threads[index];
    if (!thread) return;
    const limit = this.#limitOf(index);
    while (thread.idle.length > 0 && thread.queueHead < thread.queue.length) {
      const part = this.#take(index, thread);
      if (!part) break;
      const at = this.#popIdle(thread);
      if (at !== undefined) this.#ask(at, thread, part, leftMs);
    }
    const opening = Math.min(thread.queue.length - thread.queueHead, limit - thread.open);
    for (let more = 0; more < opening; more++) {
      const at = this.#free.pop() ?? this.#connections++;
      if (at >= this.#state.length)
        throw new Error(`more connections than the ${this.#state.length} there is room for`);
      thread.open++;
      this.#nicOf[at] = this.#leastUsedNic();
      this.#state[at] = CONNECTING;
      this.#threadOf[at] = index;
      this.#timer[at] = 2 * this.#conditions.rttMs;
      this.#flowRate[at] = FLOW_START_BYTES / this.#conditions.rttMs;
    }
  }

  /** The most recently used one, of the card that has least to do. */
  #popIdle(thread: Thread): number | undefined {
    if (this.#conditions.nics.length > 1) {
      const least = this.#nicBusy.indexOf(Math.min(...this.#nicBusy));
      const at = thread.idle.findLastIndex((idle) => this.#nicOf[idle] === least);
      if (at >= 0) return thread.idle.splice(at, 1)[0];
    }
    return thread.idle.pop();
  }

  #openByNic(): number[] {
    const counts = this.#conditions.nics.map(() => 0);
    for (let at = 0; at < this.#connections; at++) {
      const nic = this.#nicOf[at] ?? 0;
      if (this.#state[at] !== CLOSED) counts[nic] = (counts[nic] ?? 0) + 1;
    }
    return counts;
  }

  /** As src/engine/net spreads connections over cards. */
  #leastUsedNic(): number {
    const counts = this.#openByNic();
    return counts.indexOf(Math.min(...counts));
  }

  /** Its card has fewer connections than another. */
  #isScarce(at: number): boolean {
    if (this.#conditions.nics.length < 2) return false;
    const counts = this.#openByNic();
    return (counts[this.#nicOf[at] ?? 0] ?? 0) < Math.max(...counts);
  }

  #ask(at: number, thread: Thread, part: Part, leftMs: number): void {
    const { firstByteMs, firstByteSpread, tailPerMille, tailMs, connectionRate, connectionSpread } = this.#conditions;
    const random = this.#random;
    const nic = this.#nicOf[at] ?? 0;
    let waitMs = firstByteMs * Math.exp(firstByteSpread * this.#normal());
    if (random.next() * 1000 < tailPerMille) {
      // A GET that is late is asked again after twice the 95th percentile (src/engine/net/hedge-policy.ts).
      const lateMs = 2 * firstByteMs * Math.exp(1.65 * firstByteSpread);
      waitMs = Math.min(waitMs + tailMs, lateMs + firstByteMs * Math.exp(firstByteSpread * this.#normal()));
    }
    waitMs += this.#nicQueueMs[nic] ?? 0;
    this.requests++;
    thread.requests++;
    thread.cpuMs += this.world.machine.netMsPerRequest / this.#netShare;
    this.#state[at] = WAITING;
    this.#nicBusy[nic] = (this.#nicBusy[nic] ?? 0) + 1;
    this.#part[at] = part;
    this.#timer[at] = waitMs - leftMs;
    this.#rate[at] = connectionRate * Math.exp(connectionSpread * this.#normal());
    this.#isRefused[at] = 0;
    if (this.#storeRate !== Infinity) {
      if (this.#storeTokens >= 1) this.#storeTokens--;
      else {
        this.#isRefused[at] = 1;
        this.#storeRefusedMs = this.nowMs;
      }
    }
    if (thread.firstBytes.length < FIRST_BYTES_MAX) thread.firstBytes.push(waitMs);
  }

  /** Roughly normal, cheap: the sum of three uniforms. */
  #normal(): number {
    return 2 * (this.#random.next() + this.#random.next() + this.#random.next() - 1.5);
  }

  #refuse(at: number, thread: Thread, index: number): void {
    const part = this.#part[at];
    this.refused++;
    thread.slowDowns++;
    thread.pacer?.slowDown('a/', this.nowMs);
    if (!part) return;
    part.failures++;
    const capMs = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** (part.failures - 1));
    this.#delayed.push({ atMs: this.nowMs + this.#random.next() * capMs, part, thread: index });
  }

  #closeExtra(index: number): void {
    const thread = this.#threads[index];
    if (!thread) return;
    const limit = this.#limitOf(index);
    while (thread.open > limit) {
      const at = thread.idle.pop();
      if (at === undefined) return;
      this.#state[at] = CLOSED;
      this.#free.push(at);
      thread.open--;
    }
  }

  #release(at: number, index: number, thread: Thread, leftMs: number): void {
    if ((this.#state[at] ?? 0) >= WAITING) {
      const nic = this.#nicOf[at] ?? 0;
      this.#nicBusy[nic] = (this.#nicBusy[nic] ?? 1) - 1;
    }
    this.#state[at] = IDLE;
    this.#part[at] = undefined;
    thread.idle.push(at);
    // The connections of the card that has fewer end sooner: were they closed first, that card would end up with none.
    if (thread.open > this.#limitOf(index) && !this.#isScarce(at)) this.#closeExtra(index);
    else if (thread.queueHead < thread.queue.length) this.#dispatch(index, leftMs);
  }

  /** Moves bytes for one tick. */
  #flow(): void {
    const { nics, rttMs, overloadLoss, queueMs } = this.#conditions;
    const { machine } = this.world;
    const state = this.#state;
    const count = this.#connections;
    const nicWant = nics.map(() => 0);
    const threadWant = this.#threads.map(() => 0);
    const threadBusy = this.#threads.map(() => 0);
    const growth = 2 ** (TICK_MS / rttMs);
    for (let at = 0; at < count; at++) {
      this.#want[at] = 0;
      const now = state[at] ?? IDLE;
      if (now <= IDLE) continue;
      let flowMs = TICK_MS;
      if (now !== FLOWING) {
        const timer = (this.#timer[at] ?? 0) - TICK_MS;
        this.#timer[at] = timer;
        if (timer > 0) continue;
        flowMs = Math.min(TICK_MS, -timer);
        const index = this.#threadOf[at] ?? 0;
        const thread = this.#threads[index];
        if (!thread) continue;
        if (now === CONNECTING) {
          this.#release(at, index, thread, 0);
          continue;
        }
        if (this.#isRefused[at] === 1) {
          this.#refuse(at, thread, index);
          this.#release(at, index, thread, 0);
          continue;
        }
        thread.pacer?.answered('a/', this.nowMs);
        state[at] = FLOWING;
      }
      const rate = Math.min(this.#rate[at] ?? 0, this.#flowRate[at] ?? 0);
      if ((this.#flowRate[at] ?? 0) < (this.#rate[at] ?? 0)) this.#flowRate[at] = (this.#flowRate[at] ?? 0) * growth;
      const part = this.#part[at];
      const want = Math.min(rate * flowMs, part ? part.bytes - part.got : 0);
      this.#want[at] = want;
      const nic = this.#nicOf[at] ?? 0;
      const index = this.#threadOf[at] ?? 0;
      nicWant[nic] = (nicWant[nic] ?? 0) + want;
      threadBusy[index] = (threadBusy[index] ?? 0) + 1;
    }
    const nicScale = nics.map((rate, nic) => {
      const over = (nicWant[nic] ?? 0) / Math.max(1e-9, rate * TICK_MS);
      const times = over > 1 ? Math.log2(over) : 0;
      this.#nicQueueMs[nic] = queueMs * times;
      return over > 1 ? (1 - overloadLoss * times) / over : 1;
    });
    for (let at = 0; at < count; at++) {
      const want = this.#want[at] ?? 0;
      if (want > 0) {
        const index = this.#threadOf[at] ?? 0;
        const scaled = want * (nicScale[this.#nicOf[at] ?? 0] ?? 1);
        this.#want[at] = scaled;
        threadWant[index] = (threadWant[index] ?? 0) + scaled;
      }
    }
    const threadScale = this.#cpu(threadWant, threadBusy, machine);
    for (let at = 0; at < count; at++) {
      const want = this.#want[at] ?? 0;
      if (want <= 0) continue;
      const index = this.#threadOf[at] ?? 0;
      const thread = this.#threads[index];
      const part = this.#part[at];
      if (!thread || !part) continue;
      const moved = want * (threadScale[index] ?? 1);
      part.got += moved;
      thread.bytes += moved;
      thread.outstanding -= moved;
      this.bytes += moved;
      const rest = part.bytes - part.got;
      if (rest > 1) continue;
      part.got = part.bytes;
      thread.outstanding -= rest;
      const rate = Math.min(this.#rate[at] ?? 1, this.#flowRate[at] ?? 1);
      const flowedMs = Math.min(
        TICK_MS,
        moved / Math.max(1e-9, rate * (threadScale[index] ?? 1) * (nicScale[this.#nicOf[at] ?? 0] ?? 1)),
      );
      this.#release(at, index, thread, TICK_MS - flowedMs);
    }
  }

  /** What the cores leave of each thread's bytes; the shares of the next tick's main thread and requests. */
  #cpu(threadWant: readonly number[], threadBusy: readonly number[], machine: World['machine']): number[] {
    const costs = this.#threads.map((_thread, index) => {
      const perMib = machine.netMsPerMib * (1 + machine.netShareOfConnection * (threadBusy[index] ?? 0));
      return ((threadWant[index] ?? 0) / MIB) * perMib;
    });
    let wantedMs = this.#consumeCpuMs + Math.min(TICK_MS, this.#issue.length > 0 ? TICK_MS : 0);
    for (const cost of costs) wantedMs += Math.min(cost, TICK_MS);
    this.#consumeCpuMs = 0;
    const share = Math.min(1, (machine.cores * TICK_MS) / Math.max(1e-9, wantedMs));
    this.#netShare = share;
    this.#mainShare = share;
    return costs.map((cost, index) => {
      const thread = this.#threads[index];
      const scale = cost > 0 ? Math.min(1, (TICK_MS * share) / cost) : 1;
      if (thread) thread.cpuMs += Math.min(TICK_MS, cost / Math.max(share, 1e-9));
      return scale;
    });
  }
}
