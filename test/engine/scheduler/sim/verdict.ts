/** One world, controlled and judged: how near the best setting it came, what it used, whether anybody was left behind. */
import { FeedbackController } from '../../../../src/engine/scheduler/controller.js';
import { MIB } from '../../../../src/base/units.js';
import type { KnownOptimum } from './optima.js';
import { runControlled } from './run.js';
import type { World } from './world.js';

export interface WorldVerdict {
  readonly name: string;
  /** Goodput from the third second on as a share of the best setting's. */
  readonly share: number;
  /** Open connections as a multiple of what the best setting needs. */
  readonly extra: number;
  /**
   * The stream that got least as a share of the mean; undefined where the time is too short for two windows each, as all
   * that a stream gets may come in one.
   */
  readonly leastStream: number | undefined;
  /** The longest that a request was in line, as a multiple of what the bytes asked for take at the run's goodput. */
  readonly longestWait: number;
  /** Most requests that were asked for and not sent, as a share of the blocks that the pool has. */
  readonly queued: number;
  /** Most bytes of the pool in use, as a share. */
  readonly pool: number;
  readonly line: string;
}

export function judgeWorld(world: World, best: KnownOptimum): WorldVerdict {
  const { machine } = world;
  let before: number[] | undefined;
  let queued = 0;
  let pool = 0;
  let oldestMs = 0;
  const run = runControlled(world, new FeedbackController(world.bounds), undefined, {}, (simulation) => {
    const { outstanding } = simulation;
    queued = Math.max(queued, outstanding.queued / (machine.poolBytes / MIB));
    oldestMs = Math.max(oldestMs, outstanding.oldestMs);
    pool = Math.max(pool, outstanding.bytes / machine.poolBytes);
    if (simulation.nowMs >= 2_000) before ??= simulation.consumed;
  });
  const got = run.simulation.consumed.map((bytes, stream) => bytes - (before?.[stream] ?? 0));
  const mean = got.reduce((sum, bytes) => sum + bytes, 0) / got.length;
  const share = run.goodput / best.goodput;
  const extra = run.connections / Math.max(1, best.connectionsNeeded);
  const { connections, partBytes, netThreads } = run.setting;
  const line =
    `${world.name}: ${(100 * share).toFixed(1)} % of ${(best.goodput / 1000).toFixed(0)} MB/s ` +
    `(${best.setting.connections} x ${best.setting.partBytes / MIB} MiB x ${best.setting.netThreads}, ${best.connectionsNeeded} needed), ` +
    `at the end ${connections} x ${partBytes / MIB} MiB x ${netThreads} (${run.connections.toFixed(0)} open)`;
  const window = Math.min(64 * MIB, machine.poolBytes / 2 / got.length);
  const leastStream = mean >= 2 * window ? Math.min(...got) / mean : undefined;
  const longestWait = oldestMs / (1_000 + (machine.poolBytes * pool) / run.goodput);
  return { name: world.name, share, extra, leastStream, longestWait, queued, pool, line };
}

/** The value that `share` of the values are below. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

/** The quantiles of many worlds, for people. */
export function describe(verdicts: readonly WorldVerdict[]): string {
  const shares = verdicts.map(({ share }) => share);
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const near = shares.filter((share) => share >= 0.9).length / shares.length;
  const extras = verdicts.map(({ extra }) => extra);
  const least = verdicts.flatMap(({ leastStream }) => leastStream ?? []);
  return (
    `${verdicts.length} worlds: 90 % of the best in ${percent(near)} of them; p1 ${percent(quantile(shares, 0.01))}, ` +
    `p5 ${percent(quantile(shares, 0.05))}, p50 ${percent(quantile(shares, 0.5))}; connections over what is needed ` +
    `p50 ${quantile(extras, 0.5).toFixed(2)}, p90 ${quantile(extras, 0.9).toFixed(2)}; least stream over mean ` +
    `p1 ${quantile(least, 0.01).toFixed(2)}, p50 ${quantile(least, 0.5).toFixed(2)}; longest wait in line over what is ` +
    `asked for ${Math.max(...verdicts.map(({ longestWait }) => longestWait)).toFixed(2)}`
  );
}
