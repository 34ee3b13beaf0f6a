/**
 * All fetches of one net thread, each driven through its attempts: in line for a connection, in transfer, waiting before
 * the next try, or waiting for credentials. What to do after a failure is decided by the pure retry policy; this file
 * carries the decision out.
 * Bounded: fetches by the slots of the pool (each owns at least one), attempts and waits by retry-policy.ts and limits.ts.
 * Refuses to give an answer to READs: it reports what arrived and what is over.
 */
import { EACCES, ECANCELED, EIO } from '../../base/errno.js';
import type { Clock, Timer } from '../../base/clock.js';
import { assertNever, invariant } from '../../base/invariant.js';
import type { PoolView } from '../../base/pool/pool-view.js';
import type { DataCredentials, FetchCommand } from '../api.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { Connection } from './connection.js';
import type { ConnectionPool, Waiter } from './connection-pool.js';
import type { Failure } from './failure.js';
import { Fetch } from './fetch.js';
import type { ResponseHead } from './http-head.js';
import { DRAIN_BYTES_MAX, type NetTimeouts } from './limits.js';
import type { LogGate } from './log-gate.js';
import { attemptsTotalMax, decideRetry } from './retry-policy.js';
import { Transfer } from './transfer.js';

export interface FetchRunnerOptions {
  readonly maxAttempts: number;
  readonly timeouts: NetTimeouts;
  /** A fetch that has brought nothing for so long gives up, whatever attempts it has left. */
  readonly deadlineMs: number;
  /** Requests go out unsigned until credentials come; otherwise fetches wait for the first ones. */
  readonly anonymous: boolean;
}

export interface FetchRunnerDeps {
  readonly pool: PoolView;
  readonly connections: ConnectionPool;
  readonly signer: RequestSigner;
  readonly clock: Clock;
  readonly log: LogGate;
  random(): number;
  arrived(fetchId: number): void;
  /** The fetch is over and forgotten; all its bytes are there. */
  done(fetch: Fetch): void;
  /** The fetch is over and forgotten. */
  failed(fetchId: number, failure: Failure): void;
  credentialsRefused(code: string): void;
}

type Phase =
  | { readonly kind: 'new' }
  | { readonly kind: 'inLine'; readonly waiter: Waiter }
  | { readonly kind: 'transfer'; readonly transfer: Transfer; readonly generation: number }
  | { readonly kind: 'backoff'; readonly timer: Timer }
  | { readonly kind: 'credentials'; readonly untilMs: number; readonly failure: Failure };

interface Job {
  readonly fetch: Fetch;
  priority: number;
  phase: Phase;
  /** When it first had a connection or last brought a byte; before that, when it was accepted. */
  progressMs: number;
  /** It has had a connection: time in line does not count against it. */
  hasBegun: boolean;
}

export class FetchRunner {
  readonly #options: FetchRunnerOptions;
  readonly #deps: FetchRunnerDeps;
  readonly #jobs = new Map<number, Job>();
  #hasCredentials: boolean;
  /** Counts credentials, so that a refusal of old ones is not taken for a refusal of the new. */
  #generation = 0;
  #refusedGeneration = -1;

  constructor(options: FetchRunnerOptions, deps: FetchRunnerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#hasCredentials = options.anonymous;
  }

  get size(): number {
    return this.#jobs.size;
  }

  has(fetchId: number): boolean {
    return this.#jobs.has(fetchId);
  }

  start(command: FetchCommand): void {
    invariant(!this.#jobs.has(command.fetchId), `fetch ${command.fetchId} was started twice`);
    const fetch = new Fetch(command, this.#deps.pool);
    const progressMs = this.#deps.clock.nowMs();
    const job: Job = { fetch, priority: command.priority, phase: { kind: 'new' }, progressMs, hasBegun: false };
    this.#jobs.set(command.fetchId, job);
    if (command.etag === '') {
      // Without a version to pin, bytes of two versions could be mixed in one file.
      const message = `${command.key} has no ETag; reading it safely is not possible`;
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
    if (job.phase.kind === 'inLine') this.#deps.connections.reprioritise(job.phase.waiter, 0);
  }

  setCredentials(credentials: DataCredentials | undefined): void {
    this.#deps.signer.setCredentials(credentials);
    this.#hasCredentials = true;
    this.#generation++;
    for (const job of [...this.#jobs.values()]) if (job.phase.kind === 'credentials') this.#ask(job);
  }

  sweep(nowMs: number): void {
    for (const job of [...this.#jobs.values()]) {
      if (job.phase.kind === 'credentials' && nowMs >= job.phase.untilMs) this.#give(job, job.phase.failure);
    }
  }

  close(): void {
    for (const job of [...this.#jobs.values()]) this.#give(job, cancelled());
  }

  #ask(job: Job): void {
    if (!this.#hasCredentials) {
      const message = 'no credentials came in time; run `aws sts get-caller-identity` to see which are found';
      this.#waitForCredentials(job, { errno: EACCES, code: 'NoCredentials', status: 0, message, remedy: 'none' });
      return;
    }
    const waiter: Waiter = {
      priority: job.priority,
      wantsFresh: job.fetch.wantsFresh,
      got: (connection) => this.#transfer(job, connection),
      failed: (failure) => this.#attemptFailed(job, failure, undefined),
    };
    job.phase = { kind: 'inLine', waiter };
    if (this.#deps.connections.acquire(waiter)) return;
    const message = 'more fetches than the pool has slots';
    this.#give(job, { errno: EIO, code: 'TooManyFetches', status: 0, message, remedy: 'none' });
  }

  #transfer(job: Job, connection: Connection): void {
    const { signer, clock, connections } = this.#deps;
    job.fetch.wantsFresh = false;
    if (!job.hasBegun) {
      job.hasBegun = true;
      job.progressMs = clock.nowMs();
    }
    const transfer = new Transfer(job.fetch, connection, {
      signer,
      nowMs: () => clock.nowMs(),
      arrived: (fetch) => {
        job.progressMs = clock.nowMs();
        this.#deps.arrived(fetch.command.fetchId);
      },
      ended: (_transfer, failure, head) => {
        if (failure === undefined) this.#finish(job);
        else this.#attemptFailed(job, failure, head);
        connections.giveBack(connection);
      },
    });
    job.phase = { kind: 'transfer', transfer, generation: this.#generation };
    transfer.start();
  }

  #finish(job: Job): void {
    invariant(job.fetch.isComplete, 'a fetch is done when nothing is missing');
    this.#jobs.delete(job.fetch.command.fetchId);
    this.#deps.done(job.fetch);
  }

  #attemptFailed(job: Job, failure: Failure, head: ResponseHead | undefined): void {
    const { fetch } = job;
    const { clock, log, signer } = this.#deps;
    const counts = failure.remedy === 'backoff' || failure.remedy === 'none';
    fetch.failAttempt(counts);
    if (fetch.isCancelled) {
      this.#give(job, cancelled());
      return;
    }
    const { maxAttempts, timeouts, deadlineMs } = this.#options;
    const blocks = fetch.command.slots.length;
    const bounds = { maxAttempts, totalMax: attemptsTotalMax(maxAttempts, blocks), ...timeouts };
    const decision = decideRetry(fetch.record, failure, bounds, this.#deps.random());
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
        if (clock.nowMs() + decision.waitMs - job.progressMs > deadlineMs) {
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

  #askAfter(job: Job, waitMs: number): void {
    if (waitMs <= 0) {
      this.#ask(job);
      return;
    }
    job.phase = { kind: 'backoff', timer: this.#deps.clock.after(waitMs, () => this.#ask(job)) };
  }

  #refused(job: Job, failure: Failure): void {
    const { phase, fetch } = job;
    fetch.credentialWaits++;
    const isOld = phase.kind === 'transfer' && phase.generation !== this.#generation;
    if (isOld) {
      this.#ask(job);
      return;
    }
    this.#waitForCredentials(job, failure);
    if (this.#refusedGeneration === this.#generation) return;
    this.#refusedGeneration = this.#generation;
    this.#deps.credentialsRefused(failure.code);
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
    if (phase.kind === 'inLine') this.#deps.connections.withdraw(phase.waiter);
    else if (phase.kind === 'backoff') phase.timer.cancel();
    else if (phase.kind === 'transfer' && !phase.transfer.isOver) {
      phase.transfer.abort();
      this.#deps.connections.giveBack(phase.transfer.connection);
    }
    this.#deps.failed(fetch.command.fetchId, failure);
  }
}

function cancelled(): Failure {
  return { errno: ECANCELED, code: 'Cancelled', status: 0, message: 'the fetch was cancelled', remedy: 'none' };
}
