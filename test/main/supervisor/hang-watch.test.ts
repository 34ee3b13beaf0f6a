/** When a daemon counts as hanging: looks in, verdicts out, no process and no clock. */
import t from 'tap';
import {
  EXITING_MS,
  HangWatch,
  OVERDUE_MS,
  REQUEST_DEADLINE_MS,
  TICK_MS,
  type Look,
  type Verdict,
} from '../../../src/main/supervisor/hang-watch.js';

/** Looks every TICK_MS, `change` over a daemon that beats with each, until something is wrong or `looks` have passed. */
function watch(silentMsMax: number) {
  const hangs = new HangWatch(silentMsMax);
  let nowMs = 1000;
  let beat = 1;
  return {
    passes: (ms: number): void => void (nowMs += ms),
    looks: (count: number, change: Partial<Look> & { readonly beats?: boolean } = {}): Verdict => {
      let verdict: Verdict = { type: 'well' };
      for (let look = 0; look < count && verdict.type !== 'hangs' && verdict.type !== 'unreaped'; look++) {
        nowMs += TICK_MS;
        const { beats = true, ...rest } = change;
        if (beats) beat++;
        verdict = hangs.look({ nowMs, process: 'running', beat, oldestRequestMs: 0, ...rest });
      }
      return verdict;
    },
  };
}

t.test('a daemon that beats is well for ever', (t) => {
  t.same(watch(5000).looks(10_000), { type: 'well' });
  t.end();
});

t.test('silence is quiet first, then a hang, and not before its time', (t) => {
  const { looks } = watch(5000);
  looks(3);
  t.equal(looks(5000 / TICK_MS - 1, { beats: false }).type, 'quiet');
  t.match(looks(1, { beats: false }), { type: 'hangs', reason: /silent for 5 s/ });
  t.end();
});

t.test('a beat begins the count anew', (t) => {
  const { looks } = watch(5000);
  for (let round = 0; round < 20; round++) {
    t.not(looks(9, { beats: false }).type, 'hangs');
    t.equal(looks(1).type, 'well');
  }
  t.end();
});

t.test('a daemon that never beat hangs as well', (t) => {
  t.equal(watch(5000).looks(12, { beats: false, beat: 0 }).type, 'hangs');
  t.end();
});

t.test('watchdog off: silence does not matter, nor a request that nobody answers', (t) => {
  const { looks } = watch(Infinity);
  t.not(looks(100_000, { beats: false }).type, 'hangs');
  t.equal(looks(100_000, { oldestRequestMs: 1e9 }).type, 'well');
  t.end();
});

t.test('stopped by a debugger for a day: no hang, then or when it goes on', (t) => {
  const { looks } = watch(5000);
  t.equal(looks(172_800, { beats: false, process: 'stopped' }).type, 'quiet');
  t.not(looks(9, { beats: false }).type, 'hangs', 'it has its whole time from then on');
  t.equal(looks(1).type, 'well');
  t.end();
});

t.test('a look that comes an hour late counts as one', (t) => {
  const { looks, passes } = watch(5000);
  looks(3);
  for (let round = 0; round < 4; round++) {
    passes(3_600_000);
    t.not(looks(1, { beats: false }).type, 'hangs', 'the watcher was stopped itself');
  }
  t.end();
});

t.test('a request past its deadline: only when it stays so', (t) => {
  const { looks } = watch(5000);
  const overdue = { oldestRequestMs: REQUEST_DEADLINE_MS + 1 };
  t.equal(looks(OVERDUE_MS / TICK_MS - 1, overdue).type, 'well');
  t.equal(looks(1).type, 'well', 'it was answered after all: its daemon had been asleep');
  t.equal(looks(OVERDUE_MS / TICK_MS - 1, overdue).type, 'well');
  t.match(looks(1, overdue), { type: 'hangs', reason: /unanswered for 10 minutes/ });
  t.end();
});

t.test('killed and not reaped', (t) => {
  const { looks } = watch(5000);
  t.equal(looks(1 + EXITING_MS / TICK_MS, { process: 'exiting' }).type, 'unreaped');
  t.equal(watch(5000).looks(3, { process: 'gone' }).type, 'quiet', 'who can be reaped will be');
  t.end();
});
