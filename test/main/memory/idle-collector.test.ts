/** When a mount that rests gives memory back: once a rest, never beside work. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { IdleCollector } from '../../../src/main/memory/idle-collector.js';

function bench(): {
  clock: ManualClock;
  state: { asked: number; busy: boolean; collected: number };
  collector: IdleCollector;
} {
  const clock = new ManualClock();
  const state = { asked: 0, busy: false, collected: 0 };
  const collector = new IdleCollector({
    clock,
    asked: () => state.asked,
    isBusy: () => state.busy,
    collect: () => state.collected++,
  });
  return { clock, state, collector };
}

void t.test('once a rest', (t) => {
  const { clock, state } = bench();
  clock.advance(5_999);
  t.equal(state.collected, 0);
  clock.advance(1);
  t.equal(state.collected, 1);
  clock.advance(600_000);
  t.equal(state.collected, 1, 'a mount that goes on resting is left alone');
  state.asked = 7;
  clock.advance(6_000);
  t.equal(state.collected, 1, 'it was asked for something');
  clock.advance(6_000);
  t.equal(state.collected, 2);
  t.end();
});

void t.test('not while anything is asked or under way, and not after the end', (t) => {
  const { clock, state, collector } = bench();
  for (let at = 0; at < 20; at++) {
    state.asked++;
    clock.advance(6_000);
  }
  t.equal(state.collected, 0);
  state.busy = true;
  clock.advance(60_000);
  t.equal(state.collected, 0);
  state.busy = false;
  collector.close();
  clock.advance(60_000);
  t.equal(state.collected, 0);
  t.end();
});
