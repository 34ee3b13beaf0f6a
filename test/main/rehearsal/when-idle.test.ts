/** When a mount rehearses: after a quiet moment, never beside somebody, not for ever. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { LOOKS_MAX, QUIET_MS, rehearseWhenIdle } from '../../../src/main/rehearsal/when-idle.js';
import type { MainRehearsalReport } from '../../../src/main/rehearsal/rehearse-main.js';

const REPORT: MainRehearsalReport = { rounds: 1, ms: 1 };

function stage() {
  const clock = new ManualClock();
  const seen = { asked: 0, nets: 0, mains: 0, said: 0 };
  let finish: () => void = () => undefined;
  let stop: () => boolean = () => false;
  const end = rehearseWhenIdle({
    clock,
    asked: () => seen.asked,
    rehearseNet: () => seen.nets++,
    rehearseMain: (asksStop) => {
      seen.mains++;
      stop = asksStop;
      return new Promise((resolve) => (finish = () => resolve(REPORT)));
    },
    said: () => seen.said++,
  });
  const settle = async (): Promise<void> => {
    finish();
    await new Promise(setImmediate);
  };
  return { clock, seen, end, settle, stop: () => stop() };
}

void t.test('nobody comes: once, after a quiet moment', async (t) => {
  const { clock, seen, settle } = stage();
  clock.advance(QUIET_MS - 1);
  t.match(seen, { nets: 0, mains: 0 });
  clock.advance(1);
  t.match(seen, { nets: 1, mains: 1, said: 0 });
  await settle();
  t.equal(seen.said, 1);
  clock.advance(100 * QUIET_MS);
  t.equal(seen.mains, 1, 'not again');
});

void t.test('somebody comes before: it waits until they have gone', (t) => {
  const { clock, seen } = stage();
  for (let visit = 0; visit < 5; visit++) {
    seen.asked++;
    clock.advance(QUIET_MS);
  }
  t.equal(seen.mains, 0);
  clock.advance(QUIET_MS);
  t.equal(seen.mains, 1);
  t.end();
});

void t.test('somebody comes meanwhile: it is told to stop, and begins again afterwards', async (t) => {
  const { clock, seen, settle, stop } = stage();
  clock.advance(QUIET_MS);
  t.notOk(stop());
  seen.asked++;
  t.ok(stop());
  await settle();
  t.equal(seen.said, 0);
  clock.advance(QUIET_MS);
  t.equal(seen.mains, 2);
});

void t.test('a mount that is always asked is left alone in the end', (t) => {
  const { clock, seen } = stage();
  for (let look = 0; look <= LOOKS_MAX; look++) {
    seen.asked++;
    clock.advance(QUIET_MS);
  }
  clock.advance(100 * QUIET_MS);
  t.equal(seen.mains, 0);
  t.end();
});

void t.test('the end of the mount ends it', (t) => {
  const { clock, seen, end } = stage();
  end();
  clock.advance(100 * QUIET_MS);
  t.equal(seen.mains, 0);
  t.end();
});
