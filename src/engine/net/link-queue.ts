/**
 * Keeps the line to the store short while somebody waits for a small read. Streams fill whatever queue lies in between
 * (a switch, the host's traffic shaper, the store's own rate): goodput is the same with 6 connections as with 30, but the
 * 256 KiB of a random read then wait behind all of them. So while small reads are waited for, their first bytes are the
 * measure: when these come later than they do on an idle line, fewer bulk requests (parts of streams) are let go, as long as
 * the goodput stays; when they come early, or goodput was lost, one by one more. Without small reads nothing is limited. Parts
 * that are under way beyond the bound rest (ConnectionPool): 25 of them would fill the line for half a second more.
 * Measured, latency-proxy of 20 ms and 400 MB/s for all, 8 threads of 256 KiB reads beside 4 streams: docs/BENCHMARKS.md, sched-mixed.
 *
 * The first bytes of an idle line are the least that was seen in the last half minute, of any request, so a line that became
 * longer is believed in after that. Otherwise only small reads count that were sent because somebody waits: what a stream
 * waits for is part of the queue.
 *
 * Thread: a net thread. Sans I/O: times are given. Refuses to choose requests: ConnectionPool asks `bulkMax`.
 */
import { MIB } from '../../base/units.js';

/** A read that is waited for and no longer than this is a probe of the line; a background transfer of this and more is bulk. */
export const BULK_BYTES = MIB;

/** Small reads that came so long ago say nothing of now. */
const PROBES_LAST_MS = 1_000;
/** Of the idle line: kept in two halves. */
const LEAST_HALF_MS = 15_000;
/** What may lie in the queue: a share of the idle line's first byte, and what a busy machine adds by itself (guessed). */
const QUEUE_SHARE = 0.2;
const QUEUE_MS_MIN = 3;
/** What other requests met lately tells of the queue before the first small read has an answer: so many of them, no older than PROBES_LAST_MS. */
const OTHERS_KEPT = 9;
const OTHERS_MIN = 3;
/** A decision takes as many probes, and as long, as show what the last one did. */
const PROBES_MIN = 3;
const DECISION_MS_MIN = 20;
/**
 * When the first small reads come, so many bulk requests are left as fill the idle line (first bytes that come in twice the
 * time are behind twice as many), but so many at least. Half of them, and half of those, took a second to get there: what is
 * under way is finished first.
 */
const BULK_FIRST = 6;
/** The least ever, and the least share of it that one later decision leaves. */
const BULK_LEAST = 2;
const CUT_MOST = 0.5;
const GROWTH = 1.15;
/** Above this share of the best goodput a cut may follow a cut; below the second, one is taken back. */
const GOODPUT_GOOD = 0.9;
const GOODPUT_KEPT = 0.86;
/** Goodput is taken over so long at least. */
const GOODPUT_MS = 200;
/** A longer time says nothing of what the line can carry: nobody may have wanted anything. */
const GOODPUT_MS_MAX = 1_000;
/** What was best is believed for so long, and for as long again where nothing better came. */
const BEST_LASTS_MS = 10_000;

/** The best value of the last one or two spans. */
class Best {
  readonly #spanMs: number;
  readonly #isBetter: (one: number, other: number) => boolean;
  #current: number | undefined;
  #before: number | undefined;
  #sinceMs = -Infinity;

  constructor(spanMs: number, isBetter: (one: number, other: number) => boolean) {
    this.#spanMs = spanMs;
    this.#isBetter = isBetter;
  }

  add(value: number, nowMs: number): void {
    if (nowMs - this.#sinceMs >= this.#spanMs) {
      this.#before = nowMs - this.#sinceMs < 2 * this.#spanMs ? this.#current : undefined;
      this.#current = undefined;
      this.#sinceMs = nowMs;
    }
    if (this.#current === undefined || this.#isBetter(value, this.#current)) this.#current = value;
  }

  get value(): number | undefined {
    if (this.#before === undefined || this.#current === undefined) return this.#current ?? this.#before;
    return this.#isBetter(this.#before, this.#current) ? this.#before : this.#current;
  }
}

export class LinkQueue {
  readonly #least = new Best(LEAST_HALF_MS, (one, other) => one < other);
  readonly #bestBytesPerMs = new Best(BEST_LASTS_MS, (one, other) => one > other);
  #bulkMax = Infinity;
  /** First bytes of others, the latest last. */
  #others: { readonly waitedMs: number; readonly atMs: number }[] = [];
  #probes: number[] = [];
  #decidedMs = -Infinity;
  #probedMs = -Infinity;
  #cutMs = -Infinity;
  /** When the first of these small reads came. */
  #beganMs = -Infinity;
  /** Goodput of the last span, and when that began. */
  #recent: { readonly bytesPerMs: number; readonly sinceMs: number } | undefined;
  #receivedBytes = 0;
  #receivedMs = -Infinity;

  /** A small read that somebody waits for goes out, while `bulk` bulk requests are under way. */
  probeSent(bulk: number, nowMs: number): void {
    if (nowMs - this.#probedMs >= PROBES_LAST_MS) {
      this.#bulkMax = Math.max(BULK_FIRST, bulk);
      this.#probes = [];
      this.#decidedMs = nowMs;
      this.#beganMs = nowMs;
      this.#cutAtFirst(nowMs);
    }
    this.#probedMs = nowMs;
  }

  /** The first byte of any other request came after so long: an idle line is no slower than that. */
  answered(waitedMs: number, nowMs: number): void {
    this.#least.add(waitedMs, nowMs);
    this.#others.push({ waitedMs, atMs: nowMs });
    if (this.#others.length > OTHERS_KEPT) this.#others.shift();
  }

  /** Its first byte came after so long; `bulk` bulk requests are under way. */
  probeAnswered(waitedMs: number, bulk: number, nowMs: number): void {
    this.#least.add(waitedMs, nowMs);
    if (this.#bulkMax === Infinity) return;
    this.#probes.push(waitedMs);
    const least = this.#least.value ?? waitedMs;
    if (this.#probes.length < PROBES_MIN || nowMs - this.#decidedMs < Math.max(DECISION_MS_MIN, least)) return;
    const queueMs = median(this.#probes) - least;
    this.#probes = [];
    this.#decidedMs = nowMs;
    this.#decide(queueMs, least, bulk, nowMs);
  }

  /** Payload of all kinds that came since the beginning; to be told often, also when there are no small reads. */
  received(totalBytes: number, nowMs: number): void {
    const spanMs = nowMs - this.#receivedMs;
    if (spanMs < GOODPUT_MS) return;
    if (spanMs <= GOODPUT_MS_MAX && totalBytes > this.#receivedBytes) {
      const bytesPerMs = (totalBytes - this.#receivedBytes) / spanMs;
      this.#recent = { bytesPerMs, sinceMs: this.#receivedMs };
      this.#bestBytesPerMs.add(bytesPerMs, nowMs);
    } else {
      this.#recent = undefined;
    }
    this.#receivedBytes = totalBytes;
    this.#receivedMs = nowMs;
  }

  /** So many bulk requests may be under way; Infinity while nobody waits for a small read. */
  bulkMax(nowMs: number): number {
    if (nowMs - this.#probedMs >= PROBES_LAST_MS) this.#bulkMax = Infinity;
    return this.#bulkMax;
  }

  /** The first small read comes: what the others under way met is known. */
  #cutAtFirst(nowMs: number): void {
    const waits = this.#others.filter(({ atMs }) => nowMs - atMs < PROBES_LAST_MS).map(({ waitedMs }) => waitedMs);
    const least = this.#least.value;
    if (waits.length < OTHERS_MIN || least === undefined) return;
    const queueMs = median(waits) - least;
    if (queueMs > targetOf(least)) this.#cut(fittingBulk(this.#bulkMax, queueMs, least), nowMs);
  }

  #decide(queueMs: number, leastMs: number, bulk: number, nowMs: number): void {
    const targetMs = targetOf(leastMs);
    // What was allowed before is still under way: until it is not, nothing shows what the last decision did.
    if (bulk > this.#bulkMax) return;
    const best = this.#bestBytesPerMs.value;
    const share = best === undefined || this.#recent === undefined ? undefined : this.#recent.bytesPerMs / best;
    if (queueMs > targetMs) {
      const isTold = this.#recent !== undefined && this.#recent.sinceMs >= this.#cutMs;
      if (this.#cutMs < this.#beganMs) {
        this.#cut(fittingBulk(this.#bulkMax, queueMs, leastMs), nowMs);
      } else if (isTold && share !== undefined && share >= GOODPUT_GOOD) {
        const kept = Math.max(CUT_MOST, targetMs / queueMs);
        this.#cut(Math.max(BULK_LEAST, Math.floor(this.#bulkMax * kept)), nowMs);
      } else if (isTold && share !== undefined && share < GOODPUT_KEPT && bulk >= this.#bulkMax) {
        this.#grow();
      }
    } else if (queueMs < targetMs / 2 && bulk >= this.#bulkMax) {
      this.#grow();
    }
  }

  #cut(bulkMax: number, nowMs: number): void {
    this.#bulkMax = Math.min(this.#bulkMax, bulkMax);
    this.#cutMs = nowMs;
  }

  #grow(): void {
    this.#bulkMax = Math.ceil(this.#bulkMax * GROWTH);
  }
}

/** How long the queue may be. */
function targetOf(leastMs: number): number {
  return Math.max(QUEUE_MS_MIN, QUEUE_SHARE * leastMs);
}

/** As many of `bulk` as fill the idle line. */
function fittingBulk(bulk: number, queueMs: number, leastMs: number): number {
  return Math.max(BULK_FIRST, Math.floor((bulk * leastMs) / (leastMs + queueMs)));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[sorted.length >> 1] ?? 0;
}
