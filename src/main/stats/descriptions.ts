/**
 * Asks all net threads to describe themselves and waits for their words: one question at a time, whoever asks meanwhile
 * gets the same answer. A thread that is too busy to answer in time is left out, and the answer says so.
 *
 * Thread: main. Bounds: ANSWER_WAIT_MS. Refuses to be asked by itself: only `stats` does.
 */
import type { Clock, Timer } from '../../base/clock.js';
import type { NetEvent } from '../../engine/api.js';
import type { NetPort } from '../../engine/data-plane.js';
import type { NetDescription } from '../../engine/net/describe.js';

/** A thread's turn of its loop is milliseconds long, seconds on a machine that is starved. */
const ANSWER_WAIT_MS = 1_000;

/** By thread; undefined for one that did not answer in time. */
export type NetDescriptions = readonly (NetDescription | undefined)[];

interface Question {
  readonly describeId: number;
  readonly answers: (NetDescription | undefined)[];
  left: number;
  readonly promise: Promise<NetDescriptions>;
  readonly resolve: (answers: NetDescriptions) => void;
  readonly timer: Timer;
}

export class Descriptions {
  readonly #ports: readonly NetPort[];
  readonly #clock: Clock;
  #nextId = 1;
  /** What each thread said last, ever: running totals must not shrink because one is busy. */
  readonly #last: (NetDescription | undefined)[] = [];
  #question: Question | undefined;

  constructor(ports: readonly NetPort[], clock: Clock) {
    this.#ports = ports;
    this.#clock = clock;
  }

  ask(): Promise<NetDescriptions> {
    if (this.#question) return this.#question.promise;
    const describeId = this.#nextId++;
    let resolve: (answers: NetDescriptions) => void = () => undefined;
    const promise = new Promise<NetDescriptions>((settle) => (resolve = settle));
    const answers = this.#ports.map(() => undefined);
    const timer = this.#clock.after(ANSWER_WAIT_MS, () => this.#end());
    this.#question = { describeId, answers, left: answers.length, promise, resolve, timer };
    for (const port of this.#ports) port.post({ type: 'describe', describeId });
    return promise;
  }

  /** The last word of each thread that ever answered. */
  get last(): readonly NetDescription[] {
    return this.#last.filter((each) => each !== undefined);
  }

  /** An event of thread `thread`; false when it is none of ours. */
  handle(thread: number, event: NetEvent): boolean {
    if (event.type !== 'described') return false;
    const question = this.#question;
    // An answer that came too late belongs to nobody.
    if (question?.describeId !== event.describeId || question.answers[thread] !== undefined) return true;
    question.answers[thread] = event.description;
    this.#last[thread] = event.description;
    if (--question.left === 0) this.#end();
    return true;
  }

  #end(): void {
    const question = this.#question;
    if (!question) return;
    this.#question = undefined;
    question.timer.cancel();
    question.resolve(question.answers);
  }
}
