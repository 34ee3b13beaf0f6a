/**
 * Thousands of random worlds, each with its best setting searched for: some minutes. UPDATE_EXPECTED=1 writes the table of
 * best settings for worlds.test.ts from the first of them. SIM_WORLDS and SIM_FROM choose others.
 */
import t from 'tap';
import { Random } from '../../support/simulated-net-random.js';
import { readOptima, writeOptima, type KnownOptimum } from './sim/optima.js';
import { findOptimum } from './sim/run.js';
import { describe, judgeWorld, type WorldVerdict } from './sim/verdict.js';
import { randomWorld } from './sim/world.js';

/** Seconds of work, and as many more as the machine has other things to do. */
t.setTimeout(600_000);

const FROM = Number(process.env['SIM_FROM'] ?? 1);
const WORLDS = Number(process.env['SIM_WORLDS'] ?? 2_000);
const TABLE_WORLDS = 300;

t.test(`random worlds ${FROM} to ${FROM + WORLDS - 1}`, { timeout: 20 * 60_000 }, (t) => {
  const optima: Map<number, KnownOptimum> = readOptima();
  const verdicts: WorldVerdict[] = [];
  for (let seed = FROM; seed < FROM + WORLDS; seed++) {
    const world = randomWorld(new Random(seed), seed);
    const best = findOptimum(world);
    if (seed <= TABLE_WORLDS) optima.set(seed, best);
    const verdict = judgeWorld(world, best);
    verdicts.push(verdict);
    if (verdict.share < 0.9) t.comment(verdict.line);
    if (verdicts.length % 250 === 0) t.comment(describe(verdicts));
  }
  if (process.env['UPDATE_EXPECTED']) writeOptima(optima);
  t.comment(describe(verdicts));
  const near = verdicts.filter(({ share }) => share >= 0.9).length / WORLDS;
  t.ok(near >= 0.95, `90 % of the best within 3 s in ${(100 * near).toFixed(1)} % of the worlds`);
  t.end();
});
