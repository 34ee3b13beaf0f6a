/**
 * All fetches of one net thread, each driven through its attempts: in line for a connection, in transfer, waiting before
 * the next try, or waiting for credentials. What to do after a failure is decided by the pure retry policy, when to ask
 * a second time beside a late answer (a hedge) late-watch.ts; this file carries the decisions out.
 * A hedge never writes beside the first attempt: whoever gets a good head first leads, and the other is gone before the
 * leader gets its first view. A body that has become slow is led by its first attempt until the hedge's head is there.
 * Bounded: fetches by the slots of the pool (each owns at least one), attempts and waits by retry-policy.ts and limits.ts.
 * Refuses to give an answer to READs: it reports what arrived and what is over.
 */
import { EACCES, ECANCELED, EIO, errnoName, ESTALE } from '../../base/errno.js';
import type { Clock, Timer } from '../../base/clock.js';
import { assertNever, invariant } from '../../base/invariant.js';
import type { PoolView } from '../../base/pool/pool-view.js';
import { PRIORITY_WAITING, PRIORITY_WINDOW, type FetchCommand } from '../api.js';
import { isStrongEtag } from '../etag.js';
import type { RequestPacer } from '../scheduler/api.js';
import { prefixOf } from '../scheduler/prefix-of.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { Connection } from './connection.js';
import type { ConnectionPool, Waiter } from './connection-pool.js';
import type { CredentialGate } from './credential-gate.js';
import { countPhases, type PhaseCounts } from './describe.js';
import type { Failure } from './failure.js';
import { Fetch } from './fetch.js';
import { HedgePolicy } from './hedge-policy.js';
import type { ResponseHead } from './http-head.js';
import { DRAIN_BYTES_MAX, HEDGE_RATE_BYTES_MIN, type NetTimeouts } from './limits.js';
import { LateWatch, type Lateness } from './late-watch.js';
import { BULK_BYTES } from './link-queue.js';
import type { LogGate } from './log-gate.js';
import { outcomeOf } from './request-ledger.js';
import type { NetMeter } from './sampling.js';
import { isSlowDown } from './response-check.js';
import { Unreached, attemptsTotalMax, decideRetry } from './retry-policy.js';
import { Transfer } from './transfer.js';
import type { Units } from './units.js';

export interface FetchRunnerOptions {
  readonly maxAttempts: number;
  /** RetryBounds. */
  readonly patienceMs: number;
  readonly timeouts: NetTimeouts;
  /** A fetch that has brought nothing for so long gives up, whatever attempts it has left. */
  readonly deadlineMs: number;
  /** In which pieces bytes are asked for. */
  readonly units: Units;
  readonly hedge: boolean;
}

export interface FetchRunnerDeps {
  readonly pool: PoolView;
  readonly connections: ConnectionPool;
  readonly gate: CredentialGate;
  readonly signer: RequestSigner;
  readonly clock: Clock;
  readonly log: LogGate;
  readonly meter: NetMeter;
  readonly pacer: RequestPacer;
  random(): number;
  /** Runs it after the present turn of the event loop. */
  defer(run: () => void): void;
  arrived(fetchId: number): void;
  /** The fetch is over and forgotten; all its bytes are there. */
  done(fetch: Fetch): void;
  /** The fetch is over and forgotten. */
  failed(fetchId: number, failure: Failure): void;
}

type Phase =
  | { readonly kind: 'new' }
  | { readonly kind: 'inLine'; readonly waiter: Waiter }
  | { readonly kind: 'transfer'; readonly transfer: Transfer; readonly generation: number }
  /** `isPaced`: the store wants fewer requests, and it is not its turn yet. */
  | { readonly kind: 'backoff'; readonly timer: Timer; readonly isPaced: boolean }
  | { readonly kind: 'credentials'; readonly untilMs: number; readonly failure: Failure };

/** The second attempt beside that of the phase 'transfer'. */
type Hedge =
  | { readonly kind: 'inLine'; readonly waiter: Waiter }
  /** `isResumed`: it brings what a stalled body does not, and is no hedge. */
  | { readonly kind: 'transfer'; readonly transfer: Transfer; readonly isResumed: boolean };

interface Job {
  readonly fetch: Fetch;
  priority: number;
  phase: Phase;
  hedge: Hedge | undefined;
  /** The pacer has let a request go that has no answer yet. */
  isLetGo: boolean;
  /** When it first had a connection or last brought a byte; before that, when it was accepted. */
  progressMs: number;
  readonly unreached: Unreached;
  /** It has had a connection: time in line does not count against it. */
  hasBegun: boolean;
}

export class FetchRunner {
  readonly #options: FetchRunnerOptions;
  readonly #deps: FetchRunnerDeps;
  readonly #jobs = new Map<number, Job>();
  readonly #policy = new HedgePolicy();
  /** Absent without hedges. */
  readonly #watch: LateWatch<Job> | undefined;
  #hedges = 0;
  #hedgesWon = 0;
  #resumed = 0;

  constructor(options: FetchRunnerOptions, deps: FetchRunnerDeps) {
    this.#options = options;
    this.#deps = deps;
    if (!options.hedge) return;
    this.#watch = new LateWatch<Job>({
      clock: deps.clock,
      policy: this.#policy,
      sweepMs: options.timeouts.sweepMs,
      jobs: () => this.#jobs.values(),
      attemptOf: ({ phase }) => (phase.kind === 'transfer' ? phase.transfer : undefined),
      unansweredOf: (job) => unansweredOf(job),
      mayBeAskedTwice: ({ hedge, priority }) => hedge === undefined && priority <= PRIORITY_WINDOW,
      askTwice: (job, why) => this.#askTwice(job, why),
      defer: (run) => deps.defer(run),
    });
  }

  get size(): number {
    return this.#jobs.size;
  }

  /** Requests that were asked a second time, and how many of those were quicker. */
  get hedges(): { asked: number; won: number } {
    return { asked: this.#hedges, won: this.#hedgesWon };
  }

  /** Stalled bodies whose rest was asked for elsewhere. */
  get resumed(): number {
    return this.#resumed;
  }

  /** What the fetches are waiting for. */
  get phases(): PhaseCounts {
    return countPhases(this.#jobs.values());
  }

  has(fetchId: number): boolean {
    return this.#jobs.has(fetchId);
  }

  /** The object that a fetch under way is of. */
  keyOf(fetchId: number): string | undefined {
    return this.#jobs.get(fetchId)?.fetch.command.key;
  }

  start(command: FetchCommand): void {
    invariant(!this.#jobs.has(command.fetchId), `fetch ${command.fetchId} was started twice`);
    const fetch = new Fetch(command, this.#deps.pool, this.#options.units);
    const progressMs = this.#deps.clock.nowMs();
    const job: Job = {
      fetch,
      priority: command.priority,
      phase: { kind: 'new' },
      hedge: undefined,
      isLetGo: false,
      progressMs,
      unreached: new Unreached(),
      hasBegun: false,
    };
    this.#jobs.set(command.fetchId, job);
    if (!isStrongEtag(command.etag)) {
      // Without a version to pin, bytes of two versions could be mixed in one file.
      const message = `${command.key} has no strong ETag (${command.etag || 'none'}); reading it safely is not possible`;
      this.#give(job, { errno: EIO, code: 'NoETag', status: 0, message, remedy: 'none' });
      return;
    }
    this.#ask(job);
  }

  /** Stops it, unless so little is missing that the rest may as well come. Unknown ids are over already. */
  cancel(fetchId: number): void {
    const job = this.#jobs.get(fetchId);
    if (job === undefined) return;
    job.fetch.isCancelled = true;
    const { phase } = job;
    if (phase.kind === 'transfer' && phase.transfer.connection.remainingBytes <= DRAIN_BYTES_MAX) return;
    this.#give(job, cancelled());
  }

  /** Somebody waits for its bytes now: ahead of guesses. */
  wanted(fetchId: number): void {
    const job = this.#jobs.get(fetchId);
    if (job === undefined || job.priority === 0) return;
    job.priority = 0;
    const { phase } = job;
    if (phase.kind === 'inLine') this.#deps.connections.reprioritise(phase.waiter, 0);
    if (phase.kind === 'transfer') this.#deps.connections.wanted(phase.transfer.connection);
    if (phase.kind !== 'backoff' || !phase.isPaced) return;
    phase.timer.cancel();
    this.#ask(job);
  }

  /** The gate has new ones. */
  credentialsChanged(): void {
    for (const job of [...this.#jobs.values()]) if (job.phase.kind === 'credentials') this.#ask(job);
  }

  sweep(nowMs: number): void {
    for (const job of [...this.#jobs.values()]) {
      if (job.phase.kind === 'credentials' && nowMs >= job.phase.untilMs) this.#give(job, job.phase.failure);
    }
    this.#watch?.sweep(nowMs);
  }

  close(): void {
    for (const job of [...this.#jobs.values()]) this.#give(job, cancelled());
    this.#watch?.close();
  }

  #ask(job: Job): void {
    if (!this.#deps.gate.isOpen) {
      const message = 'no credentials came in time; run `aws sts get-caller-identity` to see which are found';
      this.#waitForCredentials(job, { errno: EACCES, code: 'NoCredentials', status: 0, message, remedy: 'none' });
      return;
    }
    const asked = job.fetch.asked();
    if ('errno' in asked) {
      this.#give(job, asked);
      return;
    }
    const nowMs = this.#deps.clock.nowMs();
    const startMs = this.#deps.pacer.startAt(prefixOf(job.fetch.command.key), nowMs, job.priority === PRIORITY_WAITING);
    if (startMs > nowMs) {
      const timer = this.#deps.clock.after(startMs - nowMs, () => this.#ask(job));
      job.phase = { kind: 'backoff', timer, isPaced: true };
      return;
    }
    job.isLetGo = true;
    const waiter: Waiter = {
      priority: job.priority,
      wantsFresh: job.fetch.wantsFresh,
      isBulk: asked.endOffset - asked.startOffset >= BULK_BYTES,
      got: (connection) => this.#transfer(job, connection),
      failed: (failure) => this.#attemptFailed(job, failure, undefined),
    };
    job.phase = { kind: 'inLine', waiter };
    if (this.#deps.connections.acquire(waiter)) return;
    const message = 'more fetches than the pool has slots';
    this.#give(job, { errno: EIO, code: 'TooManyFetches', status: 0, message, remedy: 'none' });
  }

  #transfer(job: Job, connection: Connection): void {
    const { clock, connections } = this.#deps;
    job.fetch.wantsFresh = false;
    if (!job.hasBegun) {
      job.hasBegun = true;
      job.progressMs = clock.nowMs();
    }
    const transfer = this.#newTransfer(job, connection);
    if (transfer === undefined) {
      connections.giveBack(connection);
      return;
    }
    job.phase = { kind: 'transfer', transfer, generation: this.#deps.gate.generation };
    job.fetch.beginAttempt();
    this.#policy.asked();
    transfer.isProbe = job.priority === PRIORITY_WAITING && transfer.bodyBytes < BULK_BYTES;
    if (transfer.isProbe) connections.probeSent();
    transfer.start();
    this.#watch?.sent();
  }

  /** An attempt at what the fetch lacks now; undefined when that cannot be had, and then the fetch is over. */
  #newTransfer(job: Job, connection: Connection): Transfer | undefined {
    const { signer, clock, connections, meter } = this.#deps;
    const asked = job.fetch.asked();
    if ('errno' in asked) {
      this.#give(job, asked);
      return undefined;
    }
    return new Transfer(job.fetch, asked, connection, {
      signer,
      nowMs: () => clock.nowMs(),
      isUrgent: () => job.priority === PRIORITY_WAITING,
      leads: (transfer) => this.#leads(job, transfer),
      arrived: (_transfer, isPublished) => {
        job.progressMs = connection.activeMs;
        this.#watch?.arrived(connection.activeMs);
        if (isPublished) this.#deps.arrived(job.fetch.command.fetchId);
      },
      ended: (transfer, failure, head) => {
        const outcome = outcomeOf(head?.status ?? 0, failure === undefined);
        meter.ledger.ended(transfer.operation, outcome, clock.nowMs() - transfer.sentMs);
        const judged = failure && connections.outage.judged(failure, transfer.sentMs, clock.nowMs());
        this.#ended(job, transfer, judged, head);
        connections.giveBack(connection);
      },
    });
  }

  #ended(job: Job, transfer: Transfer, failure: Failure | undefined, head: ResponseHead | undefined): void {
    const { hedge } = job;
    if (hedge?.kind === 'transfer' && hedge.transfer === transfer) {
      // The first attempt goes on; whatever was wrong with this one it will meet itself.
      job.hedge = undefined;
      return;
    }
    if (failure === undefined) {
      this.#dropHedge(job);
      if (transfer.bodyBytes >= HEDGE_RATE_BYTES_MIN && transfer.headMs !== undefined) {
        const tookMs = this.#deps.clock.nowMs() - transfer.headMs;
        this.#policy.body(transfer.bodyBytes, tookMs, transfer.connection.pauseMs);
      }
      if (job.fetch.isComplete) this.#finish(job);
      else this.#ask(job);
      return;
    }
    const mayPass = failure.remedy === 'backoff' || failure.remedy === 'now';
    if (mayPass && hedge?.kind === 'transfer') {
      // The second attempt is under way already.
      if (isSlowDown(failure)) this.#slowDown(job);
      else this.#answered(job);
      job.fetch.failAttempt(failure.remedy === 'backoff');
      job.hedge = undefined;
      job.phase = { kind: 'transfer', transfer: hedge.transfer, generation: this.#deps.gate.generation };
      return;
    }
    this.#dropHedge(job);
    this.#attemptFailed(job, failure, head);
  }

  #finish(job: Job): void {
    invariant(job.fetch.isComplete, 'a fetch is done when nothing is missing');
    this.#jobs.delete(job.fetch.command.fetchId);
    this.#deps.done(job.fetch);
  }

  #attemptFailed(job: Job, failure: Failure, head: ResponseHead | undefined): void {
    const { fetch } = job;
    const { clock, log, signer } = this.#deps;
    const nowMs = clock.nowMs();
    const { maxAttempts, timeouts, deadlineMs, patienceMs } = this.#options;
    const isTimed = job.unreached.failed(failure, patienceMs, nowMs);
    const counts = !isTimed && (failure.remedy === 'backoff' || failure.remedy === 'none');
    fetch.failAttempt(counts);
    if (isSlowDown(failure)) {
      this.#slowDown(job);
    } else {
      this.#answered(job);
      if (counts) this.#deps.meter.retries++;
    }
    if (fetch.isCancelled) {
      this.#give(job, cancelled());
      return;
    }
    const blocks = fetch.command.slots.length;
    const totalMax = attemptsTotalMax(maxAttempts, blocks);
    const bounds = { maxAttempts, totalMax, patienceMs, silenceMs: patienceMs || Infinity, ...timeouts };
    const record = {
      ...fetch.record,
      ...job.unreached.record(nowMs),
      outageMs: this.#deps.connections.outage.ms(nowMs),
    };
    const decision = decideRetry(record, failure, bounds, this.#deps.random());
    const fields = {
      key: fetch.command.key,
      offset: fetch.nextOffset,
      missingBytes: fetch.missingBytes,
      attempt: fetch.record.total,
      code: failure.code,
      status: failure.status,
    };
    switch (decision.kind) {
      case 'giveUp':
        this.#give(job, failure);
        return;
      case 'again':
        if (nowMs + decision.waitMs - job.progressMs > deadlineMs) {
          this.#give(job, failure);
          return;
        }
        log.log(
          `retry:${failure.code}`,
          failure.remedy === 'now' ? 'debug' : 'warn',
          fields,
          `asked again: ${failure.message}`,
        );
        fetch.wantsFresh = failure.remedy === 'now';
        this.#askAfter(job, decision.waitMs);
        return;
      case 'credentials':
        this.#refused(job, failure);
        return;
      case 'clock':
        fetch.clockCorrections++;
        if (signer.correctClock(head?.get('date'))) {
          const offsetMs = Math.round(signer.clockOffsetMs);
          log.log('clock', 'warn', { offsetMs }, "this machine's clock is wrong; signing with the store's time");
        }
        this.#ask(job);
        return;
      default:
        assertNever(decision);
    }
  }

  /** The store asked for fewer requests. */
  #slowDown(job: Job): void {
    const prefix = prefixOf(job.fetch.command.key);
    this.#deps.meter.slowDown(prefix);
    this.#deps.pacer.slowDown(prefix, this.#deps.clock.nowMs());
    job.isLetGo = false;
  }

  /** The request that was let go has an answer, or will have none. */
  #answered(job: Job): void {
    if (!job.isLetGo) return;
    job.isLetGo = false;
    this.#deps.pacer.answered(prefixOf(job.fetch.command.key), this.#deps.clock.nowMs());
  }

  #askAfter(job: Job, waitMs: number): void {
    if (waitMs <= 0) {
      this.#ask(job);
      return;
    }
    job.phase = { kind: 'backoff', timer: this.#deps.clock.after(waitMs, () => this.#ask(job)), isPaced: false };
  }

  #refused(job: Job, failure: Failure): void {
    const { phase, fetch } = job;
    const { gate } = this.#deps;
    fetch.credentialWaits++;
    const generation = phase.kind === 'transfer' ? phase.generation : gate.generation;
    // First the wait, so that credentials which come within the call find who waits for them.
    this.#waitForCredentials(job, failure);
    if (!gate.refuse(generation, failure.code)) this.#ask(job);
  }

  #waitForCredentials(job: Job, failure: Failure): void {
    const untilMs = this.#deps.clock.nowMs() + this.#options.timeouts.credentialsWaitMs;
    job.phase = { kind: 'credentials', untilMs, failure };
  }

  /** The fetch ends without its bytes. */
  #give(job: Job, failure: Failure): void {
    const { phase, fetch } = job;
    job.phase = { kind: 'new' };
    this.#jobs.delete(fetch.command.fetchId);
    this.#answered(job);
    this.#dropHedge(job);
    // Whoever reads sees an errno only. A version that is gone is told by the file system, once for all its readers.
    if (failure.errno !== ECANCELED && failure.errno !== ESTALE) {
      const { key } = fetch.command;
      const { nextOffset, missingBytes } = fetch;
      const fields = { key, offset: nextOffset, missingBytes, attempts: fetch.record.total, code: failure.code };
      const sentence = `'${key}' cannot be read (${errnoName(failure.errno)}): ${failure.message}`;
      this.#deps.log.log(`failed:${failure.code}`, 'error', { ...fields, status: failure.status }, sentence);
    }
    if (phase.kind === 'inLine') this.#deps.connections.withdraw(phase.waiter);
    else if (phase.kind === 'backoff') phase.timer.cancel();
    else if (phase.kind === 'transfer' && !phase.transfer.isOver) {
      this.#abort(phase.transfer);
      this.#deps.connections.giveBack(phase.transfer.connection);
    }
    this.#deps.failed(fetch.command.fetchId, failure);
  }

  /** The head of a good answer: from now on only this attempt may write. */
  #leads(job: Job, transfer: Transfer): void {
    const nowMs = this.#deps.clock.nowMs();
    job.unreached.reached();
    this.#deps.connections.outage.answered(nowMs);
    this.#policy.firstByte(nowMs - transfer.sentMs);
    this.#deps.meter.firstByte(nowMs - transfer.sentMs);
    this.#deps.connections.answered(nowMs - transfer.sentMs, transfer.isProbe);
    this.#answered(job);
    this.#watch?.began(nowMs, transfer.sentMs);
    const { phase, hedge } = job;
    if (hedge?.kind !== 'transfer' || hedge.transfer !== transfer) {
      this.#dropHedge(job);
      return;
    }
    invariant(phase.kind === 'transfer', 'a hedge has a first attempt beside it');
    const { transfer: first } = phase;
    if (!hedge.isResumed) {
      this.#hedgesWon++;
      this.#deps.meter.hedgesWon++;
    }
    job.hedge = undefined;
    job.phase = { kind: 'transfer', transfer, generation: phase.generation };
    this.#deps.connections.slow(first.connection);
    this.#abort(first);
    this.#deps.connections.giveBack(first.connection);
  }

  #dropHedge(job: Job): void {
    const { hedge } = job;
    job.hedge = undefined;
    if (hedge?.kind === 'inLine') {
      this.#deps.connections.withdraw(hedge.waiter);
    } else if (hedge?.kind === 'transfer' && !hedge.transfer.isOver) {
      this.#abort(hedge.transfer);
      this.#deps.connections.giveBack(hedge.transfer.connection);
    }
  }

  #abort(transfer: Transfer): void {
    const { clock, meter } = this.#deps;
    if (!transfer.isOver) meter.ledger.ended(transfer.operation, 'cancelled', clock.nowMs() - transfer.sentMs);
    transfer.abort();
  }

  #askTwice(job: Job, why: Lateness): void {
    const { clock, connections, log, pacer } = this.#deps;
    const isResumed = why === 'stalled';
    // Before the pacer is asked: it counts whoever it lets go, and a late job is looked at again and again.
    if (!(isResumed ? this.#policy.mayResume : this.#policy.maySpend)) return;
    const prefix = prefixOf(job.fetch.command.key);
    if (pacer.startAt(prefix, clock.nowMs(), true) > clock.nowMs()) return;
    pacer.answered(prefix, clock.nowMs());
    if (isResumed) this.#policy.tryResume();
    else this.#policy.trySpend();
    // A second request that is late as well gives way to a third.
    if (job.hedge?.kind === 'transfer') connections.slow(job.hedge.transfer.connection);
    this.#dropHedge(job);
    const waiter: Waiter = {
      priority: PRIORITY_WAITING,
      wantsFresh: false,
      got: (connection) => {
        const transfer = job.hedge?.kind === 'inLine' ? this.#newTransfer(job, connection) : undefined;
        if (transfer === undefined) {
          connections.giveBack(connection);
          return;
        }
        if (isResumed) {
          this.#resumed++;
        } else {
          this.#hedges++;
          this.#deps.meter.hedges++;
        }
        job.hedge = { kind: 'transfer', transfer, isResumed };
        transfer.start();
        this.#watch?.sent();
      },
      failed: () => {
        job.hedge = undefined;
      },
    };
    const { key } = job.fetch.command;
    log.log(`hedge:${why}`, 'debug', { key, offset: job.fetch.nextOffset }, `an answer is ${why}: asked twice`);
    job.hedge = { kind: 'inLine', waiter };
    if (!connections.acquire(waiter)) job.hedge = undefined;
  }
}

/** The attempt that was sent last, if nothing came of it yet and somebody reads on soon. */
function unansweredOf({ phase, hedge, priority }: Job): Transfer | undefined {
  if (phase.kind !== 'transfer' || hedge?.kind === 'inLine' || priority > PRIORITY_WINDOW) return undefined;
  // A second attempt that has an answer is the first from then on.
  if (hedge !== undefined) return hedge.transfer;
  return phase.transfer.headMs === undefined ? phase.transfer : undefined;
}

function cancelled(): Failure {
  return { errno: ECANCELED, code: 'Cancelled', status: 0, message: 'the fetch was cancelled', remedy: 'none' };
}
