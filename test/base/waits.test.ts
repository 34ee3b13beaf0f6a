import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { pause, within } from '../../src/base/waits.js';

const never = new Promise<string>(() => undefined);

t.test('a pause ends when its time has passed, not before', async (t) => {
  const clock = new ManualClock();
  let isOver = false;
  const wait = pause(clock, 100).then(() => (isOver = true));
  clock.advance(99);
  await Promise.resolve();
  t.notOk(isOver);
  clock.advance(1);
  t.ok(await wait);
});

t.test('what comes in time is handed on, and no timer stays', async (t) => {
  const clock = new ManualClock();
  t.equal(await within(Promise.resolve('answer'), 100, 'late', clock), 'answer');
  t.equal(clock.pending, 0);
  await t.rejects(within(Promise.reject(new Error('refused')), 100, 'late', clock), /refused/);
  t.equal(clock.pending, 0, 'nor after a rejection');
});

t.test('what does not come is late', async (t) => {
  const clock = new ManualClock();
  const answer = within(never, 100, 'late', clock);
  clock.advance(100);
  t.equal(await answer, 'late');
  t.equal(clock.pending, 0);
});
