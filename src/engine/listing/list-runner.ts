/**
 * All LISTs of one net thread, each driven through its attempts on the thread's connections: in line, in transfer, waiting
 * before the next try, or waiting for credentials. Decisions come from the same retry policy as those of fetches.
 * Here and not on the main thread, because parsing pages there was most of the CPU of listing a directory; here and not in
 * a thread of its own, because connections, signer and credentials are here already.
 *
 * Thread: a net thread. Owns: its jobs. Shared words: none. Blocks? Never.
 * Bounds: LISTS_MAX jobs; the main thread's deadline ends each (it sends cancelList). Refuses to know directories.
 */
import { EACCES, EIO } from '../../base/errno.js';
import type { Clock, Timer } from '../../base/clock.js';
import { assertNever } from '../../base/invariant.js';
import { PRIORITY_WAITING, type DataTarget, type ListCommand, type NetEvent } from '../api.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { Connection } from '../net/connection.js';
import type { ConnectionPool, Waiter } from '../net/connection-pool.js';
import type { Failure } from '../net/failure.js';
import type { ResponseHead } from '../net/http-head.js';
import type { NetTimeouts } from '../net/limits.js';
import type { LogGate } from '../net/log-gate.js';
import { decideRetry } from '../net/retry-policy.js';
import type { ListColumns } from './columns.js';
import { ListTransfer } from './list-transfer.js';

/** LISTs of one thread at a time: the file system asks for a few at once for each directory that is being read. */
const LISTS_MAX = 1024;

export interface ListRunnerOptions {
  readonly target: DataTarget;
  readonly maxAttempts: number;
  readonly timeouts: NetTimeouts;
  /** Requests go out unsigned until credentials come; otherwise LISTs wait for the first ones. */
  readonly anonymous: boolean;
}

export interface ListRunnerDeps {
  readonly connections: ConnectionPool;
  readonly signer: RequestSigner;
  readonly clock: Clock;
  readonly log: LogGate;
  random(): number;
  post(event: NetEvent): void;
}

type Phase =
  | { readonly kind: 'new' }
  | { readonly kind: 'inLine'; readonly waiter: Waiter }
  | { readonly kind: 'transfer'; readonly transfer: ListTransfer; readonly generation: number }
  | { readonly kind: 'backoff'; readonly timer: Timer }
  | { readonly kind: 'credentials'; readonly untilMs: number; readonly failure: Failure };

interface Job {
  readonly command: ListCommand;
  phase: Phase;
  attempts: number;
  credentialWaits: number;
  clockCorrections: number;
  wantsFresh: boolean;
  isCancelled: boolean;
}

export class ListRunner {
  readonly #options: ListRunnerOptions;
  readonly #deps: ListRunnerDeps;
  readonly #jobs = new Map<number, Job>();
  #hasCredentials: boolean;
  #isClosed = false;
  /** Counts credentials, so that a refusal of old ones is not taken for a refusal of the new. */
  #generation = 0;
  #refusedGeneration = -1;

  constructor(options: ListRunnerOptions, deps: ListRunnerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#hasCredentials = options.anonymous;
  }

  get size(): number {
    return this.#jobs.size;
  }

  start(command: ListCommand): void {
    const job: Job = {
      command,
      phase: { kind: 'new' },
      attempts: 0,
      credentialWaits: 0,
      clockCorrections: 0,
      wantsFresh: false,
      isCancelled: false,
    };
    if (this.#isClosed || this.#jobs.size >= LISTS_MAX) {
      this.#give(job, this.#isClosed ? closed() : own('TooManyLists', `more than ${LISTS_MAX} listings at once`));
      return;
    }
    this.#jobs.set(command.listId, job);
    this.#ask(job);
  }

  /**
   * Forgets it without a word: who cancels has answered already. An answer on its way is read to its end, for a connection
   * that is torn down costs more than a page (the time-outs of connections bound it).
   */
  cancel(listId: number): void {
    const job = this.#jobs.get(listId);
    if (!job) return;
    if (job.phase.kind === 'transfer') job.isCancelled = true;
    else this.#drop(job);
  }

  /** The signer has new ones. */
  credentialsChanged(): void {
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
    this.#isClosed = true;
    for (const job of [...this.#jobs.values()]) this.#give(job, closed());
  }

  #ask(job: Job): void {
    if (!this.#hasCredentials) {
      const message = 'no credentials came in time; run `aws sts get-caller-identity` to see which are found';
      this.#waitForCredentials(job, { errno: EACCES, code: 'NoCredentials', status: 0, message, remedy: 'none' });
      return;
    }
    const waiter: Waiter = {
      priority: PRIORITY_WAITING,
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
    job.wantsFresh = false;
    const transfer = new ListTransfer(job.command, connection, {
      signer: this.#deps.signer,
      target: this.#options.target,
      ended: (result, head) => {
        if ('rows' in result) this.#finish(job, result);
        else this.#attemptFailed(job, result, head);
        this.#deps.connections.giveBack(connection);
      },
    });
    job.phase = { kind: 'transfer', transfer, generation: this.#generation };
    transfer.start();
  }

  #finish(job: Job, columns: ListColumns): void {
    const { listId } = job.command;
    this.#jobs.delete(listId);
    if (!job.isCancelled) this.#deps.post({ type: 'listed', listId, columns });
  }

  #attemptFailed(job: Job, failure: Failure, head: ResponseHead | undefined): void {
    if (job.isCancelled) {
      this.#drop(job);
      return;
    }
    const { maxAttempts, timeouts } = this.#options;
    const { clock, log, signer } = this.#deps;
    if (failure.remedy === 'backoff' || failure.remedy === 'none') job.attempts++;
    const record = {
      fruitless: job.attempts,
      total: job.attempts,
      credentialWaits: job.credentialWaits,
      clockCorrections: job.clockCorrections,
    };
    const bounds = { maxAttempts, totalMax: maxAttempts, ...timeouts };
    const decision = decideRetry(record, failure, bounds, this.#deps.random());
    const { code, status } = failure;
    switch (decision.kind) {
      case 'giveUp':
        this.#give(job, failure);
        return;
      case 'again':
        log.log(
          `list:${code}`,
          failure.remedy === 'now' ? 'debug' : 'warn',
          { prefix: job.command.request.prefix, attempt: job.attempts, code, status },
          `a listing is asked for again: ${failure.message}`,
        );
        job.wantsFresh = failure.remedy === 'now';
        if (decision.waitMs <= 0) this.#ask(job);
        else job.phase = { kind: 'backoff', timer: clock.after(decision.waitMs, () => this.#ask(job)) };
        return;
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
    job.credentialWaits++;
    if (phase.kind === 'transfer' && phase.generation !== this.#generation) {
      this.#ask(job);
      return;
    }
    this.#waitForCredentials(job, failure);
    if (this.#refusedGeneration === this.#generation) return;
    this.#refusedGeneration = this.#generation;
    this.#deps.post({ type: 'credentialsRefused', code: failure.code });
  }

  #waitForCredentials(job: Job, failure: Failure): void {
    const untilMs = this.#deps.clock.nowMs() + this.#options.timeouts.credentialsWaitMs;
    job.phase = { kind: 'credentials', untilMs, failure };
  }

  #give(job: Job, failure: Failure): void {
    this.#drop(job);
    if (job.isCancelled) return;
    const { errno, code, status, message } = failure;
    this.#deps.post({ type: 'listFailed', listId: job.command.listId, errno, code, status, message });
  }

  #drop(job: Job): void {
    const { phase } = job;
    job.phase = { kind: 'new' };
    this.#jobs.delete(job.command.listId);
    if (phase.kind === 'inLine') this.#deps.connections.withdraw(phase.waiter);
    else if (phase.kind === 'backoff') phase.timer.cancel();
    else if (phase.kind === 'transfer' && !phase.transfer.isOver) {
      phase.transfer.abort();
      this.#deps.connections.giveBack(phase.transfer.connection);
    }
  }
}

function closed(): Failure {
  return own('Closed', 'the net thread is closed');
}

function own(code: string, message: string): Failure {
  return { errno: EIO, code, status: 0, message, remedy: 'none' };
}
