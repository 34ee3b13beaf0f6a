/** Another daemon or the end: deaths in, decisions out. */
import t from 'tap';
import {
  CrashPolicy,
  SAME_REASON_MAX,
  STARTS_KILLED_MAX,
  STARTS_MAX,
  type Death,
} from '../../../src/main/supervisor/crash-policy.js';

const killed: Death = {
  nowMs: 0,
  served: true,
  how: 'signal SIGKILL',
  wasKilled: true,
  reason: undefined,
  atHand: undefined,
  inService: [],
};
const request = { lo: 77, hi: 3 };

t.test('killed from outside every two seconds for an hour: another daemon each time', (t) => {
  const policy = new CrashPolicy();
  for (let nowMs = 0; nowMs < 3_600_000; nowMs += 2000) {
    const how = nowMs % 4000 === 0 ? 'signal SIGKILL' : 'signal SIGABRT';
    const decision = policy.died({ ...killed, nowMs, how, atHand: request });
    if (decision.type !== 'restart' || decision.waitMs !== 0) t.fail('it gave up', decision);
  }
  t.same(policy.refused, [], 'no request is blamed for it');
  t.end();
});

t.test('lives that never served', (t) => {
  const policy = new CrashPolicy();
  const stillborn = { ...killed, served: false, wasKilled: false, how: 'exit code 1: no credentials' };
  for (let round = 1; round < STARTS_MAX; round++) {
    const decision = policy.died(stillborn);
    t.equal(decision.type, 'restart');
    t.ok(decision.type === 'restart' && decision.waitMs > 0, 'not at once');
  }
  t.match(policy.died(stillborn), { type: 'end', reason: /3 daemons in a row died .*no credentials/ });
  t.end();
});

t.test('killed on the way up: a few times is bad luck, always is a limit that is too low', (t) => {
  const policy = new CrashPolicy();
  const onTheWay = { ...killed, served: false };
  for (let round = 1; round < STARTS_KILLED_MAX; round++) {
    const decision = policy.died(onTheWay);
    t.equal(decision.type, 'restart', `${round} in a row`);
    if (round <= STARTS_KILLED_MAX / 2) t.match(decision, { waitMs: 0 }, 'at once: readers wait');
  }
  t.match(policy.died(onTheWay), { type: 'end', reason: /12 daemons in a row died .*SIGKILL/ });
  t.end();
});

t.test('one that served begins the count of stillborn ones anew', (t) => {
  const policy = new CrashPolicy();
  for (let round = 0; round < 20; round++) {
    for (let each = 1; each < STARTS_MAX; each++) t.equal(policy.died({ ...killed, served: false }).type, 'restart');
    t.equal(policy.died(killed).type, 'restart');
  }
  t.end();
});

t.test('the same reason again and again', (t): void => {
  const own = { ...killed, wasKilled: false, reason: 'invariant: the block is pinned' };
  const policy = new CrashPolicy();
  for (let nowMs = 1; nowMs < SAME_REASON_MAX; nowMs++) t.equal(policy.died({ ...own, nowMs }).type, 'restart');
  t.match(policy.died({ ...own, nowMs: 59_000 }), { type: 'end', reason: /5 daemons .*the block is pinned/ });

  const slow = new CrashPolicy();
  for (let nowMs = 0; nowMs < 3_600_000; nowMs += 15_000) {
    if (slow.died({ ...own, nowMs }).type !== 'restart') t.fail('four a minute are survived');
  }
  const many = new CrashPolicy();
  for (let nowMs = 0; nowMs < 20_000; nowMs += 1000) {
    if (many.died({ ...own, nowMs, reason: `reason ${nowMs % 7000}` }).type !== 'restart') t.fail('reasons mixed');
  }
  t.end();
});

t.test('a request that was at hand in two deaths of the daemon itself is refused', (t) => {
  const policy = new CrashPolicy();
  const own = { ...killed, wasKilled: false, reason: 'uncaught exception' };
  t.match(policy.died({ ...own, atHand: { lo: 1, hi: 0 } }), { refuses: undefined });
  t.match(policy.died({ ...own, nowMs: 1, atHand: request, reason: 'a' }), { refuses: undefined });
  t.match(policy.died({ ...killed, nowMs: 2, atHand: request }), { refuses: undefined }, 'a kill is not its fault');
  t.match(policy.died({ ...own, nowMs: 3, atHand: { ...request }, reason: 'b' }), { refuses: request });
  t.same(policy.refused, [request]);
  t.match(policy.died({ ...own, nowMs: 4, atHand: request, reason: 'c' }), { refuses: undefined }, 'said once');
  t.same(policy.refused, [request]);
  t.end();
});

t.test('deaths that no request was at hand in: a trial, and who is alone in service when it ends is refused', (t) => {
  const policy = new CrashPolicy();
  const later = { ...killed, wasKilled: false, reason: 'uncaught exception' };
  const [one, other] = [
    { lo: 5, hi: 0 },
    { lo: 7, hi: 0 },
  ];
  policy.died({ ...later, nowMs: 0 });
  t.equal(policy.trial, undefined, 'once may be bad luck');
  policy.died({ ...later, nowMs: 1000 });
  t.same(policy.trial, []);
  t.match(
    policy.died({ ...killed, nowMs: 1500, inService: [other] }),
    { refuses: undefined },
    'a kill is nobodys fault',
  );
  t.same(policy.trial, [], 'the trial goes on');
  t.match(policy.died({ ...later, nowMs: 2000, inService: [one, other] }), { refuses: undefined }, 'it may be either');
  t.same(policy.trial, [other, one]);
  t.match(policy.died({ ...later, nowMs: 3000, inService: [other] }), { type: 'restart', refuses: other });
  t.same(policy.refused, [other]);
  policy.died({ ...killed, nowMs: 70_000 });
  t.equal(policy.trial, undefined, 'a minute later it is forgotten');
  t.end();
});
