/**
 * The controller in simulated worlds (sim/world.ts), against the best setting that stays. Worlds are drawn by seed, so a
 * line that is printed can be looked at again: `node dist/test/engine/scheduler/sim/look.js SEED`.
 */
import t from 'tap';
import { Random } from '../../support/simulated-net-random.js';
import { readOptima } from './sim/optima.js';
import { ceilingOf, findOptimum, gridOf, runFixed } from './sim/run.js';
import { describe, judgeWorld, quantile } from './sim/verdict.js';
import { NAMED_WORLDS, randomWorld } from './sim/world.js';

/** Seconds of work, and as many more as the machine has other things to do. */
t.setTimeout(600_000);

const WORLDS = 300;
/** Of them, so many are searched again. */
const SEARCHED = 8;

t.test('the table of best settings is what the search finds', (t) => {
  const optima = readOptima();
  for (let at = 0; at < SEARCHED; at++) {
    const seed = 1 + Math.floor((at * WORLDS) / SEARCHED);
    const found = findOptimum(randomWorld(new Random(seed), seed));
    const known = optima.get(seed);
    t.ok(
      known && Math.abs(known.goodput - found.goodput) <= 1,
      `seed ${seed}: ${found.goodput} found, ${known?.goodput} in the table; UPDATE_EXPECTED=1 with worlds.full.test.js`,
    );
  }
  t.end();
});

t.test('what the search leaves out could not have been better', (t) => {
  for (const seed of [3, 33, 63, 93]) {
    const world = randomWorld(new Random(seed), seed);
    const random = new Random(seed);
    for (let trial = 0; trial < 6; trial++) {
      const setting = random.pick(gridOf(world));
      const { goodput } = runFixed(world, setting);
      const ceiling = ceilingOf(world, setting);
      t.ok(goodput <= 1.05 * ceiling, `seed ${seed}: ${goodput.toFixed(0)} with a ceiling of ${ceiling.toFixed(0)}`);
    }
  }
  t.end();
});

t.test(`random worlds 1 to ${WORLDS}`, (t) => {
  const optima = readOptima();
  const verdicts = [];
  for (let seed = 1; seed <= WORLDS; seed++) {
    const known = optima.get(seed);
    if (!known) throw new Error(`no optimum of seed ${seed} in the table`);
    verdicts.push(judgeWorld(randomWorld(new Random(seed), seed), known));
  }
  t.comment(describe(verdicts));
  for (const { share, line } of verdicts) if (share < 0.9) t.comment(line);
  const near = verdicts.filter(({ share }) => share >= 0.9).length / WORLDS;
  t.ok(near >= 0.95, `90 % of the best within 3 s in ${(100 * near).toFixed(1)} % of the worlds`);
  const extras = verdicts.map(({ extra }) => extra);
  t.ok(quantile(extras, 0.5) <= 2, 'connections: twice what is needed at most, in the median');
  t.ok(
    verdicts.every(({ leastStream }) => leastStream === undefined || leastStream > 0.3),
    'no stream starves',
  );
  t.ok(
    verdicts.every(({ longestWait }) => longestWait <= 2),
    'no request is passed over',
  );
  t.ok(
    verdicts.every(({ queued, pool }) => queued <= 1 && pool <= 1),
    'queues and bytes under way stay within the pool',
  );
  t.end();
});

t.test('worlds with a name', (t) => {
  for (const world of NAMED_WORLDS) {
    const verdict = judgeWorld(world, findOptimum(world));
    t.ok(verdict.share >= 0.9, verdict.line);
  }
  t.end();
});
