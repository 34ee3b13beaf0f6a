/**
 * Applies fault rules: counts matches, draws lots, and merges what fires into one decision for a request.
 *
 * All randomness is seeded, so a failing run can be repeated request by request. It changes nothing itself: dispatch
 * honours `error`, shaped-send.ts the shape.
 */
import type { Socket } from 'node:net';
import { codeOfStatus, describeCode } from '../errors.js';
import { checkFaultRules, type FaultRule } from './fault-rule.js';
import { Pacer } from './pacer.js';

/** What a request is, for matching. */
export interface FaultSubject {
  readonly operation: string;
  readonly bucket: string | null;
  readonly key: string | null;
  readonly socket: Socket;
}

/** An error to answer instead of the work. */
export interface InjectedError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** Everything that goes wrong with one request. */
export interface FaultDecision {
  readonly error: InjectedError | null;
  readonly firstByteMs: number;
  readonly pacers: readonly Pacer[];
  /** Effects that concern the answer's bytes, merged; first rule wins. */
  readonly effects: Readonly<Partial<FaultRule>>;
  readonly hangMs: number | null;
  readonly errorInBody: InjectedError | null;
}

/** Effects taken over as they are. */
const BODY_EFFECTS = [
  'stallAfterBytes',
  'stallMs',
  'resetBeforeHead',
  'closeBeforeHead',
  'garbageHead',
  'resetAfterBytes',
  'resetAfterReceivedBytes',
  'closeAfterBytes',
  'truncateBytes',
  'shortBodyBytes',
  'flipByteAt',
  'wrongEtag',
  'wrongContentRange',
] as const satisfies readonly (keyof FaultRule)[];

/** How long a Complete hangs that "times out after success": longer than any client waits. */
const COMPLETE_HANG_MS = 600_000;

interface ActiveRule {
  readonly rule: FaultRule;
  readonly operations: readonly string[] | null;
  readonly key: RegExp | null;
  readonly random: () => number;
  readonly shared: Pacer | null;
  readonly perConnection: WeakMap<Socket, Pacer>;
  matches: number;
  fired: number;
  /** Arrivals in the current second, for slowDownAbovePerSecond. */
  secondStartMs: number;
  inSecond: number;
}

/** The rules in force. */
export class FaultEngine {
  #rules: ActiveRule[] = [];

  constructor(rules: readonly FaultRule[]) {
    this.set(rules);
  }

  /** Replaces all rules and forgets their counters. Throws on malformed rules, and then keeps the old ones. */
  set(rules: readonly FaultRule[]): void {
    this.#rules = checkFaultRules(rules).map((rule, at) => ({
      rule,
      operations: rule.operation === undefined ? null : [rule.operation].flat(),
      key: rule.key === undefined ? null : new RegExp(rule.key, 'u'),
      random: seededRandom(rule.seed ?? at + 1),
      shared: rule.totalBytesPerSecond === undefined ? null : new Pacer(rule.totalBytesPerSecond),
      perConnection: new WeakMap(),
      matches: 0,
      fired: 0,
      secondStartMs: 0,
      inSecond: 0,
    }));
  }

  /** What happens to this request, or null when nothing does. */
  decide(subject: FaultSubject): FaultDecision | null {
    if (this.#rules.length === 0) return null;
    const fired = this.#rules.filter((active) => fires(active, subject));
    if (fired.length === 0) return null;
    const effects: Record<string, unknown> = {};
    const pacers: Pacer[] = [];
    let error: InjectedError | null = null;
    let errorInBody: InjectedError | null = null;
    let firstByteMs = 0;
    let hangMs: number | null = null;
    for (const active of fired) {
      const { rule } = active;
      for (const name of BODY_EFFECTS) if (rule[name] !== undefined) effects[name] ??= rule[name];
      if (active.shared !== null) pacers.push(active.shared);
      if (rule.bytesPerSecond !== undefined) pacers.push(connectionPacer(active, subject.socket, rule.bytesPerSecond));
      firstByteMs += delayOf(active);
      error ??= errorOf(active);
      if (rule.errorInBody !== undefined) errorInBody ??= injected(undefined, rule.errorInBody, rule.message);
      if (rule.hangAfterSuccessMs !== undefined) hangMs ??= rule.hangAfterSuccessMs;
      if (rule.completeTimesOutAfterSuccess === true && subject.operation === 'CompleteMultipartUpload') {
        hangMs ??= COMPLETE_HANG_MS;
      }
    }
    return { error, firstByteMs, pacers, effects, hangMs, errorInBody };
  }
}

function fires(active: ActiveRule, subject: FaultSubject): boolean {
  const { rule } = active;
  if (active.operations !== null && !active.operations.includes(subject.operation)) return false;
  if (rule.bucket !== undefined && rule.bucket !== subject.bucket) return false;
  if (active.key !== null && (subject.key === null || !active.key.test(subject.key))) return false;
  active.matches++;
  if (rule.nth !== undefined && active.matches !== rule.nth) return false;
  if (rule.skip !== undefined && active.matches <= rule.skip) return false;
  if (rule.every !== undefined && active.matches % rule.every !== 0) return false;
  if (rule.probability !== undefined && active.random() >= rule.probability) return false;
  if (rule.times !== undefined && active.fired >= rule.times) return false;
  active.fired++;
  return true;
}

function delayOf(active: ActiveRule): number {
  const { firstByteMs = 0, jitterMs = 0, longTail } = active.rule;
  const tailMs = longTail !== undefined && active.random() < longTail.probability ? longTail.ms : 0;
  return firstByteMs + (jitterMs > 0 ? active.random() * jitterMs : 0) + tailMs;
}

function errorOf(active: ActiveRule): InjectedError | null {
  const { status, code, message, slowDownAbovePerSecond } = active.rule;
  if (slowDownAbovePerSecond !== undefined) {
    const nowMs = performance.now();
    if (nowMs - active.secondStartMs >= 1000) {
      active.secondStartMs = nowMs;
      active.inSecond = 0;
    }
    active.inSecond++;
    return active.inSecond > slowDownAbovePerSecond ? injected(503, 'SlowDown', message) : null;
  }
  return status === undefined && code === undefined ? null : injected(status, code, message);
}

function injected(status: number | undefined, code: string | undefined, message: string | undefined): InjectedError {
  const name = code ?? codeOfStatus(status ?? 500);
  const known = describeCode(name);
  return {
    status: status ?? known?.status ?? 500,
    code: name,
    message: message ?? known?.message ?? 'Injected fault.',
  };
}

function connectionPacer(active: ActiveRule, socket: Socket, bytesPerSecond: number): Pacer {
  let pacer = active.perConnection.get(socket);
  if (pacer === undefined) {
    pacer = new Pacer(bytesPerSecond);
    active.perConnection.set(socket, pacer);
  }
  return pacer;
}

/** mulberry32: small, seeded, good enough for lots. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
