/** When V8 is told to hurry: once the process has used its share, once, and not after its end. */
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { BUDGET_OF_THE_LONG, LONG_CPU_MS, LOOK_MS, hasBudget, hurryWhenLong } from '../../src/main/v8-settings.js';

function stage(cpuMs: number, has = true) {
  const clock = new ManualClock();
  const state = { cpuMs, budgets: [] as number[], looks: 0 };
  const end = hurryWhenLong({
    hasBudget: has,
    clock,
    cpuMs: () => {
      state.looks++;
      return state.cpuMs;
    },
    setBudget: (bytes) => state.budgets.push(bytes),
  });
  return { clock, state, end };
}

t.test('a short job never pays for it', (t) => {
  const { clock, state } = stage(0);
  for (let at = 0; at < 100; at++) {
    state.cpuMs = Math.min(LONG_CPU_MS - 1, state.cpuMs + 100);
    clock.advance(LOOK_MS);
  }
  t.same(state.budgets, []);
  t.end();
});

t.test('who lasts gets it once, and nobody looks again', (t) => {
  const { clock, state } = stage(LONG_CPU_MS - 1);
  state.cpuMs = LONG_CPU_MS;
  clock.advance(LOOK_MS);
  t.same(state.budgets, [BUDGET_OF_THE_LONG]);
  const { looks } = state;
  clock.advance(100 * LOOK_MS);
  t.same(state.budgets, [BUDGET_OF_THE_LONG]);
  t.equal(state.looks, looks);
  t.end();
});

t.test('ended, it sets nothing', (t) => {
  const { clock, state, end } = stage(0);
  end();
  state.cpuMs = LONG_CPU_MS;
  clock.advance(10 * LOOK_MS);
  t.same(state.budgets, []);
  t.end();
});

t.test('V8 without such a budget is left alone', (t) => {
  const { clock, state } = stage(LONG_CPU_MS, false);
  clock.advance(10 * LOOK_MS);
  t.same(state.budgets, []);
  t.equal(hasBudget('11.3.244.8-node.33'), true, 'Node 20');
  for (const version of ['11.8.172.17-node.20', '12.4.254.21-node.57', '13.6.233.17-node.41', '14.0.1']) {
    t.equal(hasBudget(version), false, version);
  }
  t.end();
});
