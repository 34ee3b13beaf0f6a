/** The pure parts: when to ask again, and which log lines pass. */
import fc from 'fast-check';
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { transportFailure, unreached, type Remedy } from '../../../src/engine/net/failure.js';
import { ResponseHead } from '../../../src/engine/net/http-head.js';
import {
  LOG_KINDS_MAX,
  LOG_LINES_PER_WINDOW,
  LOG_WINDOW_MS,
  RETRY_AFTER_MAX_MS,
  OUTAGE_FORGOTTEN_MS,
  UNREACHED_NEWCOMER_MS,
  UNREACHED_WAIT_MAX_MS,
} from '../../../src/engine/net/limits.js';
import { LogGate } from '../../../src/engine/net/log-gate.js';
import { failureFromAnswer, isSlowDown } from '../../../src/engine/net/response-check.js';
import { Outage, Unreached, attemptsTotalMax, decideRetry } from '../../../src/engine/net/retry-policy.js';
import { ASKED } from './harness.js';

const bounds = {
  maxAttempts: 4,
  totalMax: attemptsTotalMax(4, 8),
  patienceMs: 0,
  silenceMs: Infinity,
  backoffBaseMs: 50,
  backoffCapMs: 150,
};
const fresh = {
  fruitless: 1,
  total: 1,
  credentialWaits: 0,
  clockCorrections: 0,
  unreached: 0,
  unreachedMs: 0,
  outageMs: 0,
};
const failure = (remedy: Remedy) => transportFailure('X', 'x', remedy);

t.test('back-off doubles with full jitter up to the cap, then gives up', (t) => {
  const waits = [1, 2, 3].map((fruitless) =>
    decideRetry({ ...fresh, fruitless }, failure('backoff'), bounds, 0.999999),
  );
  t.match(waits, [
    { kind: 'again', waitMs: 49.99995 },
    { kind: 'again', waitMs: 99.9999 },
    { kind: 'again', waitMs: 149.99985 },
  ]);
  t.same(decideRetry({ ...fresh, fruitless: 4 }, failure('backoff'), bounds, 0.5), { kind: 'giveUp' });
  t.same(decideRetry({ ...fresh, fruitless: 3 }, failure('backoff'), bounds, 0), { kind: 'again', waitMs: 0 });
  t.same(decideRetry({ ...fresh, fruitless: 0, total: 9 }, failure('backoff'), bounds, 0.9), {
    kind: 'again',
    waitMs: 0,
  });
  t.same(decideRetry({ ...fresh, fruitless: 0, total: 40 }, failure('backoff'), bounds, 0.9), { kind: 'giveUp' });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.double({ min: 0, max: 0.99, noNaN: true }), (fruitless, random) => {
      const decision = decideRetry({ ...fresh, fruitless }, failure('backoff'), bounds, random);
      return decision.kind === 'again' && decision.waitMs >= 0 && decision.waitMs <= 150;
    }),
  );
  t.end();
});

t.test('who comes late to an outage waits less', (t) => {
  const patient = { ...bounds, patienceMs: 30_000 };
  const nobody = unreached(failure('backoff'));
  const decide = (outageMs: number, unreachedMs: number) =>
    decideRetry({ ...fresh, fruitless: 0, unreached: 1, outageMs, unreachedMs }, nobody, patient, 0.5).kind;
  t.equal(decide(29_999, 10_000), 'again', 'while the first still wait');
  t.equal(decide(30_000, UNREACHED_NEWCOMER_MS - 1), 'again');
  t.equal(decide(30_000, UNREACHED_NEWCOMER_MS), 'giveUp');
  const outage = new Outage();
  t.equal(outage.ms(500), 0);
  outage.failed(1000);
  outage.failed(2000);
  t.equal(outage.ms(3000), 2000);
  outage.answered(3000);
  t.equal(outage.ms(3000), 0);
  outage.failed(4000);
  outage.failed(4001 + OUTAGE_FORGOTTEN_MS);
  t.equal(outage.ms(4001 + OUTAGE_FORGOTTEN_MS), 0, 'nobody has looked meanwhile: another one');
  t.end();
});

t.test('who comes late to silence waits for one attempt', (t) => {
  const silent = { ...failure('backoff'), isSilent: true as const };
  const patient = { ...bounds, patienceMs: 30_000, silenceMs: 30_000 };
  const decide = (outageMs: number) => decideRetry({ ...fresh, outageMs }, silent, patient, 0.5).kind;
  t.equal(decide(29_999), 'again');
  t.equal(decide(30_000), 'giveUp');
  t.equal(
    decideRetry({ ...fresh, outageMs: 1e9 }, silent, bounds, 0.5).kind,
    'again',
    'an upload, or counted attempts',
  );
  const outage = new Outage();
  outage.judged(silent, 1000, 9000);
  t.equal(outage.ms(10_000), 1000, 'silence is an outage');
  outage.answered(10_000);
  outage.judged(silent, 9500, 17_500);
  t.equal(outage.ms(18_000), 0, 'not while others are answered');
  t.end();
});

t.test('while others are answered a request that nobody answers is an attempt', (t) => {
  const outage = new Outage();
  const nobody = unreached(failure('backoff'));
  t.same(outage.judged(nobody, 1000, 1001), nobody, 'nobody was ever answered');
  t.equal(outage.ms(1500), 499);
  outage.answered(2000);
  t.equal(outage.ms(2500), 0);
  t.same(outage.judged(nobody, 1999, 2001), failure('backoff'), 'it was sent before somebody was answered');
  t.equal(outage.ms(2500), 0);
  t.same(outage.judged(nobody, 2000, 2002), nobody, 'and this one after it');
  const said = { ...failure('backoff'), status: 500 };
  t.equal(outage.judged(said, 2000, 2003), said);
  t.equal(outage.ms(2500), 0, 'a store that says no is there');
  t.same(outage.judged(failure('backoff'), 1, 2004), failure('backoff'), 'silence says nothing of others');
  t.end();
});

t.test('while nobody is there time counts, and not attempts', (t) => {
  const patient = { ...bounds, patienceMs: 30_000 };
  const nobody = unreached(failure('backoff'));
  const counts = new Unreached();
  const decide = (nowMs: number) => {
    t.ok(counts.failed(nobody, patient.patienceMs, nowMs), 'it is not counted as an attempt');
    return decideRetry({ ...fresh, fruitless: 0, ...counts.record(nowMs) }, nobody, patient, 0.999999);
  };
  t.match(decide(1000), { kind: 'again', waitMs: 49.99995 }, 'soon at first');
  for (let at = 0; at < 40; at++) t.match(decide(1001 + at), { kind: 'again' }, 'however often');
  t.match(
    decide(30_999),
    { kind: 'again', waitMs: UNREACHED_WAIT_MAX_MS * 0.999999 },
    'never late to see that it is back',
  );
  t.match(decide(31_000), { kind: 'giveUp' });
  counts.reached();
  t.match(decide(31_001), { kind: 'again' }, 'a connection begins it anew');
  t.notOk(counts.failed(failure('backoff'), 30_000, 31_002), 'another failure does, too, and is an attempt');
  t.same(counts.record(31_002), { unreached: 0, unreachedMs: 0 });
  t.notOk(new Unreached().failed(nobody, 0, 0), 'who asked for a number of attempts gets that number');
  t.same(decideRetry({ ...fresh, fruitless: 4, unreached: 4 }, nobody, bounds, 0.5), { kind: 'giveUp' });
  t.match(unreached(Object.assign(new Error('why'), failure('backoff'), { message: 'why' })), { message: 'why' });
  t.notOk(unreached(failure('none')).isUnreached, 'a certificate that is not trusted does not come back');
  t.end();
});

t.test('a Retry-After is waited for, within bounds, with jitter beyond it', (t) => {
  const asked = (retryAfterMs: number) => ({ ...failure('backoff'), retryAfterMs });
  t.same(decideRetry(fresh, asked(2000), bounds, 0), { kind: 'again', waitMs: 2000 });
  t.same(decideRetry({ ...fresh, fruitless: 0 }, asked(2000), bounds, 0.5), { kind: 'again', waitMs: 2000 });
  t.same(decideRetry(fresh, asked(2000), bounds, 0.5), { kind: 'again', waitMs: 2025 });
  t.same(decideRetry(fresh, asked(3_600_000), bounds, 0), { kind: 'again', waitMs: RETRY_AFTER_MAX_MS });
  const head = (more: string): ResponseHead => new ResponseHead(`HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n${more}`);
  const none = { code: 'SlowDown', message: '', region: '', endpoint: '' };
  const given: [string, number | undefined][] = [
    ['Retry-After: 7\r\n', 7000],
    ['Date: Sun, 22 Nov 2026 10:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 10:00:03 GMT\r\n', 3000],
    ['Date: Sun, 22 Nov 2026 10:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 09:00:00 GMT\r\n', undefined],
    ['Retry-After: soon\r\n', undefined],
    ['Retry-After: -5\r\n', undefined],
    ['', undefined],
  ];
  for (const [more, wantMs] of given) {
    const made = failureFromAnswer(head(more), none, ASKED);
    t.equal(made.retryAfterMs, wantMs, more);
    t.ok(isSlowDown(made));
  }
  t.end();
});

t.test('other remedies', (t) => {
  t.same(decideRetry(fresh, failure('none'), bounds, 0), { kind: 'giveUp' });
  t.same(decideRetry(fresh, failure('now'), bounds, 0.9), { kind: 'again', waitMs: 0 });
  t.same(decideRetry(fresh, failure('credentials'), bounds, 0), { kind: 'credentials' });
  t.same(decideRetry({ ...fresh, credentialWaits: 1 }, failure('credentials'), bounds, 0), { kind: 'giveUp' });
  t.same(decideRetry(fresh, failure('clock'), bounds, 0), { kind: 'clock' });
  t.same(decideRetry({ ...fresh, clockCorrections: 1 }, failure('clock'), bounds, 0), { kind: 'giveUp' });
  t.end();
});

t.test('log lines of one kind: the first few, then a count', (t) => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const gate = new LogGate(clock, (level, _fields, message) => lines.push(`${level} ${message}`));
  for (let i = 0; i < 20; i++) gate.log('a', 'warn', {}, `a${i}`);
  gate.log('b', 'info', {}, 'b');
  t.equal(lines.length, LOG_LINES_PER_WINDOW + 1);
  clock.advance(LOG_WINDOW_MS);
  gate.log('a', 'warn', {}, 'later');
  t.same(lines.slice(-2), [`warn ${20 - LOG_LINES_PER_WINDOW} more lines like this one were left out`, 'warn later']);
  for (let i = 0; i < LOG_KINDS_MAX * 3; i++) gate.log(`kind ${i}`, 'info', {}, 'x');
  t.equal(lines.length, LOG_LINES_PER_WINDOW + 3 + LOG_KINDS_MAX * 3, 'kinds are bounded, lines still pass');
  t.end();
});
