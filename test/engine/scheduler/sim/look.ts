/**
 * Looks at worlds, for a person: `node dist/test/engine/scheduler/sim/look.js [named | SEED...]` prints the optimum, each
 * 100 ms of the controller and its decisions. `random FROM COUNT` prints one line a world and the quantiles.
 */
import { FeedbackController } from '../../../../src/engine/scheduler/controller.js';
import { MIB } from '../../../../src/base/units.js';
import { Random } from '../../../support/simulated-net-random.js';
import { findOptimum, runControlled, runFixed } from './run.js';
import { NAMED_WORLDS, randomWorld, type World } from './world.js';

function show(world: World): void {
  const best = findOptimum(world);
  const run = runControlled(world, new FeedbackController(world.bounds));
  const { conditions, readers, machine, bounds } = world;
  console.log(
    `\n${world.name}: ${readers.streams} streams of ${(readers.rate / 1000).toFixed(0)} MB/s, link ${conditions.nics.map((n) => (n / 125000).toFixed(2)).join('+')} Gbit/s (target ${bounds.targetGbps.toFixed(2)}), ${(conditions.connectionRate / 1000).toFixed(0)} MB/s a connection, ${conditions.firstByteMs.toFixed(0)} ms, rtt ${conditions.rttMs.toFixed(1)}, cores ${machine.cores}, pool ${machine.poolBytes / MIB} MiB, net ${machine.netMsPerMib} threads ${bounds.most.netThreads}, connections ${bounds.first.connections}..${bounds.most.connections}`,
  );
  console.log(
    `best ${(best.goodput / 1000).toFixed(0)} MB/s with ${best.setting.connections} x ${best.setting.partBytes / MIB} MiB x ${best.setting.netThreads} (needs ${best.connectionsNeeded}); ${best.simulated} of ${best.grid} simulated; first ${(runFixed(world, bounds.first).goodput / 1000).toFixed(0)}`,
  );
  console.log(
    `controlled ${(run.goodput / 1000).toFixed(0)} MB/s = ${((100 * run.goodput) / best.goodput).toFixed(1)} %, open ${run.connections.toFixed(0)}`,
  );
  console.log(run.steps.map((step) => (step / 1000).toFixed(0)).join(' '));
  for (const { atMs, after, reason } of run.decisions) {
    console.log(`  ${atMs} ${after.connections}x${after.partBytes / MIB}x${after.netThreads}: ${reason}`);
  }
}

const [what = 'named', ...rest] = process.argv.slice(2);
if (what === 'named') for (const world of NAMED_WORLDS) show(world);
else if (what === 'random') {
  const [from = 1, worlds = 50] = rest.map(Number);
  const shares: { share: number; extra: number; world: World; line: string }[] = [];
  let simulated = 0;
  const startMs = performance.now();
  for (let seed = from; seed < from + worlds; seed++) {
    const world = randomWorld(new Random(seed), seed);
    const best = findOptimum(world);
    const run = runControlled(world, new FeedbackController(world.bounds));
    simulated += best.simulated;
    const share = run.goodput / best.goodput;
    const line = `${seed}: ${(100 * share).toFixed(1)} % of ${(best.goodput / 1000).toFixed(0)} MB/s; best ${best.setting.connections}x${best.setting.partBytes / MIB}x${best.setting.netThreads} (${best.connectionsNeeded}), ours ${run.setting.connections}x${run.setting.partBytes / MIB}x${run.setting.netThreads} (${run.connections.toFixed(0)})`;
    shares.push({ share, extra: run.connections / best.connectionsNeeded, world, line });
  }
  shares.sort((a, b) => a.share - b.share);
  for (const { share, line } of shares) if (share < 0.9) console.log(line);
  const at = (q: number): string => (100 * (shares[Math.floor(q * (shares.length - 1))]?.share ?? 0)).toFixed(1);
  const extras = shares.map(({ extra }) => extra).sort((a, b) => a - b);
  console.log(
    `p1 ${at(0.01)} p5 ${at(0.05)} p10 ${at(0.1)} p50 ${at(0.5)}; >= 90 %: ${((100 * shares.filter(({ share }) => share >= 0.9).length) / shares.length).toFixed(1)} %; connections over need p50 ${extras[extras.length >> 1]?.toFixed(2)} p90 ${extras[Math.floor(extras.length * 0.9)]?.toFixed(2)}; ${(simulated / shares.length).toFixed(1)} runs a world, ${((performance.now() - startMs) / shares.length).toFixed(0)} ms a world`,
  );
} else for (const seed of [what, ...rest].map(Number)) show(randomWorld(new Random(seed), seed));
