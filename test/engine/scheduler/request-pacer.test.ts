/** The pacer by itself: when it says nothing, how it cuts, whom it tells what, what it forgets. */
import fc from 'fast-check';
import t from 'tap';
import { prefixOf } from '../../../src/engine/scheduler/prefix-of.js';
import { PREFIXES_MAX, PrefixPacer } from '../../../src/engine/scheduler/request-pacer.js';

t.test('the first name below the mount is the prefix', (t) => {
  t.equal(prefixOf('train/n01/x.jpg'), 'train/');
  t.equal(prefixOf('x.jpg'), '');
  t.equal(prefixOf('data/train/x.jpg', 'data/'.length), 'data/train/');
  t.equal(prefixOf('data/x.jpg', 'data/'.length), 'data/');
  t.equal(prefixOf(''), '');
  t.end();
});

/** Sends as the pacer allows, `perSecond` at most; refuses what is over `limit` in each second. */
function drive(pacer: PrefixPacer, limit: number, fromMs: number, toMs: number, perSecond = 1_000): [number, number] {
  let taken = 0;
  let refused = 0;
  let second = -1;
  let room = 0;
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 1000 / perSecond) {
    if (Math.floor(nowMs / 1000) !== second) {
      second = Math.floor(nowMs / 1000);
      room = limit;
    }
    if (pacer.startAt('a/', nowMs, true) > nowMs) continue;
    if (room > 0) {
      room--;
      taken++;
      pacer.answered('a/', nowMs);
    } else {
      refused++;
      pacer.slowDown('a/', nowMs);
    }
  }
  return [taken, refused];
}

t.test('nothing is held before the first refusal', (t) => {
  const pacer = new PrefixPacer();
  for (let request = 0; request < 10_000; request++)
    t.equal(pacer.startAt('a/', 1 + request / 1000), 1 + request / 1000);
  t.strictSame(pacer.paced, []);
  t.end();
});

t.test('settles at what is taken, with few refusals', (t) => {
  for (const limit of [5, 50, 400]) {
    const pacer = new PrefixPacer();
    drive(pacer, limit, 0, 5_000);
    const [taken, refused] = drive(pacer, limit, 5_000, 35_000);
    t.comment(
      `${limit} a second: ${(taken / 30).toFixed(1)} taken, ${((100 * refused) / (taken + refused)).toFixed(1)} % refused`,
    );
    t.ok(taken >= 0.85 * 30 * limit);
    t.ok(refused < 0.1 * (taken + refused));
  }
  t.end();
});

t.test('another prefix is not held', (t) => {
  const pacer = new PrefixPacer();
  drive(pacer, 10, 0, 3_000);
  t.strictSame(
    pacer.paced.map(({ prefix }) => prefix),
    ['a/'],
  );
  for (let request = 0; request < 100; request++) t.equal(pacer.startAt('b/', 3_000), 3_000);
  t.end();
});

t.test('those that are held are told one time after another, who is urgent the next', (t) => {
  const pacer = new PrefixPacer();
  drive(pacer, 10, 0, 3_000);
  let nowMs = 3_000;
  while (pacer.startAt('a/', nowMs) <= nowMs) nowMs += 0.1;
  const told = Array.from({ length: 5 }, () => pacer.startAt('a/', nowMs));
  t.strictSame(
    [...new Set(told)],
    told.sort((one, other) => one - other),
    'times of their own',
  );
  t.ok(pacer.startAt('a/', nowMs, true) <= Math.min(...told), 'the urgent one comes first');
  t.end();
});

t.test('a minute without need, and it is forgotten', (t) => {
  const pacer = new PrefixPacer();
  drive(pacer, 10, 0, 3_000);
  t.equal(pacer.paced.length, 1);
  for (let nowMs = 4_000; nowMs < 80_000; nowMs += 1_000) {
    pacer.startAt('a/', nowMs);
    pacer.answered('a/', nowMs);
  }
  t.strictSame(pacer.paced, []);
  t.end();
});

t.test('no more prefixes are kept than there is room for, and those that are paced longest', (t) => {
  const pacer = new PrefixPacer();
  drive(pacer, 10, 0, 3_000);
  for (let prefix = 0; prefix < 10 * PREFIXES_MAX; prefix++) pacer.startAt(`p${prefix}/`, 3_000 + prefix);
  t.equal(pacer.paced.length, 1, 'the paced one outlives those that are not');
  for (let prefix = 0; prefix < 10 * PREFIXES_MAX; prefix++) pacer.slowDown(`q${prefix}/`, 10_000 + prefix);
  t.ok(pacer.paced.length <= PREFIXES_MAX);
  t.end();
});

t.test('whatever is said when: times are finite, and who keeps asking gets through', (t) => {
  const event = fc.record({
    what: fc.constantFrom('start', 'slow', 'answered'),
    prefix: fc.constantFrom('', 'a/', 'b/'),
    waitMs: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 5_000, noNaN: true })),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), (events) => {
      const pacer = new PrefixPacer();
      let nowMs = 0;
      for (const { what, prefix, waitMs } of events) {
        nowMs += waitMs;
        if (what === 'slow') pacer.slowDown(prefix, nowMs);
        else if (what === 'answered') pacer.answered(prefix, nowMs);
        else if (!(pacer.startAt(prefix, nowMs) <= nowMs + 2_000)) return false;
      }
      for (const prefix of ['', 'a/', 'b/']) {
        let atMs = nowMs;
        for (let tries = 0; ; tries++) {
          const startMs = pacer.startAt(prefix, atMs, true);
          if (startMs <= atMs) break;
          if (tries > 100) return false;
          atMs = startMs;
        }
        if (atMs > nowMs + 3_000) return false;
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.end();
});
