/**
 * Errands of one net thread: single requests (a LIST, a HEAD, a PUT), each driven through its attempts on the thread's
 * connections: in line, in transfer, waiting before the next try, or waiting for credentials. Decisions come from the
 * same retry policy as those of fetches; what a request is and what its answer means, the errand says.
 * Here and not on the main thread, because parsing pages and sending bodies there would be most of its CPU; here and not
 * in threads of their own, because connections, signer and credentials are here already.
 *
 * Thread: a net thread. Owns: its errands. Shared words: none. Blocks? Never.
 * Bounds: errandsMax jobs; attempts and waits by retry-policy.ts; an errand that makes no progress ends after its
 * deadlineMs, the time in line for its first connection not counted. Refuses to know directories, files or uploads.
 */
import { EACCES, EIO } from '../../base/errno.js';
import type { Clock, Timer } from '../../base/clock.js';
import { assertNever } from '../../base/invariant.js';
import { messageOf } from '../../base/thrown.js';
import { PRIORITY_WAITING } from '../api.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { Connection } from '../net/connection.js';
import type { ConnectionPool, Waiter } from '../net/connection-pool.js';
import type { CredentialGate } from '../net/credential-gate.js';
import type { Failure } from '../net/failure.js';
import { countPhases, type PhaseCounts } from '../net/describe.js';
import type { ResponseHead } from '../net/http-head.js';
import { DEFAULT_READ_DEADLINE_MS, type NetTimeouts } from '../net/limits.js';
import type { LogGate } from '../net/log-gate.js';
import { isSlowDown } from '../net/response-check.js';
import { Unreached, decideRetry } from '../net/retry-policy.js';
import { outcomeOf, type StoreOperation } from '../net/request-ledger.js';
import type { NetMeter } from '../net/sampling.js';
import type { RequestPacer } from '../scheduler/api.js';
import { prefixOf } from '../scheduler/prefix-of.js';

/** One attempt of an errand on one connection. */
export interface Attempt {
  readonly connection: Connection;
  /** Nothing more will be said about it. */
  readonly isOver: boolean;
  start(): void;
  /** Ends it without a word; closes the connection unless it is idle (the owner gives it back). */
  abort(): void;
}

/** How an attempt tells its end, once: undefined when the errand has what it wanted. */
export type AttemptEnded = (failure: Failure | undefined, head: ResponseHead | undefined) => void;

/** One request with everything that the runner does not know about it. */
export interface Errand {
  readonly id: number;
  /** PRIORITY_* */
  readonly priority: number;
  /** Ends it when it has made no progress for so long. */
  readonly deadlineMs: number;
  /** Its answer is read to the end when it is cancelled: a connection that is torn down costs more than a page. */
  readonly isDrained: boolean;
  /** What it is called in log lines, and about what. */
  readonly name: string;
  readonly fields: object;
  /** What it counts as. */
  readonly operation: StoreOperation;
  /** Whose prefix it counts for when the store asks for fewer requests. */
  readonly key: string;
  /** RetryBounds, where that is asked for. */
  readonly patienceMs: number;
  /** What is to be computed before the first attempt, in steps that each take about a millisecond; may throw. */
  prepare?(): Generator<void, void> | undefined;
  /** `progress` is called whenever it got further than before. */
  attempt(connection: Connection, ended: AttemptEnded, progress: () => void): Attempt;
  /** The attempt that ended last had what was wanted. */
  finished(): void;
  failed(failure: Failure): void;
}

export interface ErrandRunnerOptions {
  readonly errandsMax: number;
  readonly maxAttempts: number;
  /** Does time count, and not attempts, while nobody is there? */
  readonly isPatient: boolean;
  readonly timeouts: NetTimeouts;
}

export interface ErrandRunnerDeps {
  readonly connections: ConnectionPool;
  readonly gate: CredentialGate;
  readonly signer: RequestSigner;
  readonly clock: Clock;
  readonly log: LogGate;
  readonly meter: NetMeter;
  readonly pacer: RequestPacer;
  random(): number;
}

type Phase =
  | { readonly kind: 'new' }
  | { readonly kind: 'inLine'; readonly waiter: Waiter }
  | { readonly kind: 'transfer'; readonly attempt: Attempt; readonly generation: number; readonly startedMs: number }
  | { readonly kind: 'backoff'; readonly timer: Timer }
  | { readonly kind: 'credentials'; readonly untilMs: number; readonly failure: Failure };

interface Job {
  readonly errand: Errand;
  phase: Phase;
  attempts: number;
  credentialWaits: number;
  clockCorrections: number;
  readonly unreached: Unreached;
  wantsFresh: boolean;
  isCancelled: boolean;
  /** The pacer has let a request go that has no answer yet. */
  isLetGo: boolean;
  /** When it first had a connection or last got further; undefined before. */
  progressMs: number | undefined;
}

export class ErrandRunner {
  readonly #options: ErrandRunnerOptions;
  readonly #deps: ErrandRunnerDeps;
  readonly #jobs = new Map<number, Job>();
  #isClosed = false;

  constructor(options: ErrandRunnerOptions, deps: ErrandRunnerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get size(): number {
    return this.#jobs.size;
  }

  /** What the requests are waiting for. */
  get phases(): PhaseCounts {
    return countPhases(this.#jobs.values());
  }

  start(errand: Errand): void {
    if (this.#isClosed || this.#jobs.size >= this.#options.errandsMax) {
      const most = this.#options.errandsMax;
      errand.failed(this.#isClosed ? closed() : own('TooManyRequests', `more than ${most} requests of a kind at once`));
      return;
    }
    const job: Job = {
      errand,
      phase: { kind: 'new' },
      attempts: 0,
      credentialWaits: 0,
      clockCorrections: 0,
      unreached: new Unreached(),
      wantsFresh: false,
      isCancelled: false,
      isLetGo: false,
      progressMs: undefined,
    };
    this.#jobs.set(errand.id, job);
    const steps = errand.prepare?.();
    if (steps) this.#prepare(job, steps);
    else this.#ask(job);
  }

  /** One step a turn of the loop: sockets are served in between. */
  #prepare(job: Job, steps: Generator<void, void>): void {
    if (this.#jobs.get(job.errand.id) !== job) return;
    try {
      if (steps.next().done === true) this.#ask(job);
      else setImmediate(() => this.#prepare(job, steps));
    } catch (error) {
      this.#give(job, own('BodyUnreadable', messageOf(error)));
    }
  }

  /**
   * Ends it. One that is drained is forgotten without a word, for who cancels has answered already; any other one fails
   * as cancelled once nothing of its body is looked at any more.
   */
  cancel(id: number): void {
    const job = this.#jobs.get(id);
    if (!job) return;
    if (!job.errand.isDrained) this.#give(job, own('Cancelled', 'cancelled'));
    else if (job.phase.kind === 'transfer') job.isCancelled = true;
    else this.#drop(job);
  }

  /** The gate has new ones. */
  credentialsChanged(): void {
    for (const job of [...this.#jobs.values()]) if (job.phase.kind === 'credentials') this.#ask(job);
  }

  sweep(nowMs: number): void {
    for (const job of [...this.#jobs.values()]) {
      const { phase, progressMs, errand } = job;
      if (phase.kind === 'credentials' && nowMs >= phase.untilMs) this.#give(job, phase.failure);
      else if (phase.kind === 'transfer' && isBrief(errand) && nowMs - (progressMs ?? nowMs) >= errand.deadlineMs) {
        this.#give(job, own('Timeout', `no answer within ${errand.deadlineMs / 1000} s`));
      }
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const job of [...this.#jobs.values()]) this.#give(job, closed());
  }

  #ask(job: Job): void {
    if (!this.#deps.gate.isOpen) {
      const message = 'no credentials came in time; run `aws sts get-caller-identity` to see which are found';
      this.#waitForCredentials(job, { errno: EACCES, code: 'NoCredentials', status: 0, message, remedy: 'none' });
      return;
    }
    const { clock, pacer } = this.#deps;
    const nowMs = clock.nowMs();
    const { key, priority } = job.errand;
    const startMs = pacer.startAt(prefixOf(key), nowMs, priority === PRIORITY_WAITING);
    if (startMs > nowMs) {
      job.phase = { kind: 'backoff', timer: clock.after(startMs - nowMs, () => this.#ask(job)) };
      return;
    }
    job.isLetGo = true;
    const waiter: Waiter = {
      priority,
      wantsFresh: job.wantsFresh,
      got: (connection) => this.#transfer(job, connection),
      failed: (failure) => this.#attemptFailed(job, failure, undefined),
    };
    job.phase = { kind: 'inLine', waiter };
    if (!this.#deps.connections.acquire(waiter)) {
      this.#give(job, own('TooManyFetches', 'more requests wait for connections than there are slots'));
    }
  }

  #transfer(job: Job, connection: Connection): void {
    const { clock, connections, gate, meter } = this.#deps;
    job.wantsFresh = false;
    const startedMs = clock.nowMs();
    job.progressMs ??= startedMs;
    const attempt = job.errand.attempt(
      connection,
      (failure, head) => {
        const outcome = outcomeOf(head?.status ?? 0, failure === undefined);
        meter.ledger.ended(job.errand.operation, outcome, clock.nowMs() - startedMs);
        const { outage } = connections;
        if (failure === undefined) {
          outage.answered(clock.nowMs());
          this.#finish(job);
        } else {
          this.#attemptFailed(job, outage.judged(failure, startedMs, clock.nowMs()), head);
        }
        connections.giveBack(connection);
      },
      () => (job.progressMs = clock.nowMs()),
    );
    job.phase = { kind: 'transfer', attempt, generation: gate.generation, startedMs };
    attempt.start();
  }

  /** The request that was let go has an answer, or will have none. */
  #answered(job: Job): void {
    if (!job.isLetGo) return;
    job.isLetGo = false;
    this.#deps.pacer.answered(prefixOf(job.errand.key), this.#deps.clock.nowMs());
  }

  #finish(job: Job): void {
    this.#answered(job);
    this.#jobs.delete(job.errand.id);
    if (!job.isCancelled) job.errand.finished();
  }

  #attemptFailed(job: Job, failure: Failure, head: ResponseHead | undefined): void {
    if (job.isCancelled) {
      this.#drop(job);
      return;
    }
    const { maxAttempts, isPatient, timeouts } = this.#options;
    const { clock, log, meter, pacer, signer } = this.#deps;
    const { errand } = job;
    const patienceMs = isPatient ? errand.patienceMs : 0;
    const isTimed = job.unreached.failed(failure, patienceMs, clock.nowMs());
    if (!isTimed && (failure.remedy === 'backoff' || failure.remedy === 'none')) job.attempts++;
    if (isSlowDown(failure)) {
      job.isLetGo = false;
      meter.slowDown(prefixOf(errand.key));
      pacer.slowDown(prefixOf(errand.key), clock.nowMs());
    } else {
      this.#answered(job);
      if (failure.remedy === 'backoff') meter.retries++;
    }
    const record = {
      fruitless: job.attempts,
      total: job.attempts,
      credentialWaits: job.credentialWaits,
      clockCorrections: job.clockCorrections,
      ...job.unreached.record(clock.nowMs()),
      outageMs: this.#deps.connections.outage.ms(clock.nowMs()),
    };
    const silenceMs = isPatient && isBrief(errand) ? errand.deadlineMs : Infinity;
    const bounds = { maxAttempts, totalMax: maxAttempts, patienceMs, silenceMs, ...timeouts };
    const decision = decideRetry(record, failure, bounds, this.#deps.random());
    const { code, status } = failure;
    switch (decision.kind) {
      case 'giveUp':
        this.#give(job, failure);
        return;
      case 'again': {
        const nowMs = clock.nowMs();
        if (nowMs + decision.waitMs - (job.progressMs ?? nowMs) > errand.deadlineMs) {
          this.#give(job, failure);
          return;
        }
        log.log(
          `${errand.name}:${code}`,
          failure.remedy === 'now' ? 'debug' : 'warn',
          { ...errand.fields, attempt: job.attempts, code, status },
          `${errand.name} is asked again: ${failure.message}`,
        );
        job.wantsFresh = failure.remedy === 'now';
        if (decision.waitMs <= 0) this.#ask(job);
        else job.phase = { kind: 'backoff', timer: clock.after(decision.waitMs, () => this.#ask(job)) };
        return;
      }
      case 'credentials':
        this.#refused(job, failure);
        return;
      case 'clock':
        job.clockCorrections++;
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

  #refused(job: Job, failure: Failure): void {
    const { phase } = job;
    const { gate } = this.#deps;
    job.credentialWaits++;
    const generation = phase.kind === 'transfer' ? phase.generation : gate.generation;
    // First the wait, so that credentials which come within the call find who waits for them.
    this.#waitForCredentials(job, failure);
    if (!gate.refuse(generation, failure.code)) this.#ask(job);
  }

  #waitForCredentials(job: Job, failure: Failure): void {
    const untilMs = this.#deps.clock.nowMs() + this.#options.timeouts.credentialsWaitMs;
    job.phase = { kind: 'credentials', untilMs, failure };
  }

  #give(job: Job, failure: Failure): void {
    this.#drop(job);
    if (!job.isCancelled) job.errand.failed(failure);
  }

  #drop(job: Job): void {
    const { phase } = job;
    job.phase = { kind: 'new' };
    this.#answered(job);
    this.#jobs.delete(job.errand.id);
    if (phase.kind === 'inLine') this.#deps.connections.withdraw(phase.waiter);
    else if (phase.kind === 'backoff') phase.timer.cancel();
    else if (phase.kind === 'transfer' && !phase.attempt.isOver) {
      phase.attempt.abort();
      const { clock, meter } = this.#deps;
      meter.ledger.ended(job.errand.operation, 'cancelled', clock.nowMs() - phase.startedMs);
      this.#deps.connections.giveBack(phase.attempt.connection);
    }
  }
}

/** It ends in the middle of an attempt, too. What is sent again, or copied, may get nowhere new for longer than that and succeed. */
function isBrief({ deadlineMs }: Errand): boolean {
  return deadlineMs <= DEFAULT_READ_DEADLINE_MS;
}

function closed(): Failure {
  return own('Closed', 'the net thread is closed');
}

function own(code: string, message: string): Failure {
  return { errno: EIO, code, status: 0, message, remedy: 'none' };
}
