/**
 * The rows of the scheduler: scenes that compare several runs with each other, which a row of one side cannot. Each says
 * what it saw as it goes and ends with numbers beside their floors. The floors are those that the project set itself
 * before the scheduler was built; docs/BENCHMARKS.md explains each scene.
 * Refuses to start servers and mounts itself: scene-tools.ts does.
 */
import type { Verdict } from './floors.js';
import { verdict } from './floors.js';
import type { SceneTools, SchedSample } from './scene-tools.js';

export interface Scene {
  readonly name: string;
  /** Runs it once; `say` prints a line now. */
  measure(tools: SceneTools, say: (line: string) => void): Promise<readonly Verdict[]>;
}

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** Of each stream test: as much as 1 GB/s moves in four seconds. MOUNT_S3X_SCHED_BYTES for a quicker look. */
const STREAM_BYTES = Number(process.env['MOUNT_S3X_SCHED_BYTES'] ?? 4 * GIB);
const stream = (streams: number, bytes = STREAM_BYTES): string[] => [
  ...['--test', 'stream', '--streams', String(streams), '--bytes', String(bytes)],
];
const PLAIN_DISTANCE = ['--latency', '20ms', '--jitter', '5ms', '--rate', '90'];

const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? NaN;
const numbersOf = (samples: readonly SchedSample[], of: 'value' | 'p99_ms'): number[] =>
  samples.map((sample) => sample[of] ?? NaN);

async function times<T>(count: number, work: (round: number) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let round = 0; round < count; round++) all.push(await work(round));
  return all;
}

/** When the goodput of 100 ms first came to so much of the mean of the rest, s. */
function reachedAfter(bins: readonly number[], share: number): number {
  const later = bins.slice(Math.min(30, bins.length >> 1), -1);
  const usual = later.reduce((sum, bin) => sum + bin, 0) / Math.max(1, later.length);
  // Three bins together, because what arrives in 100 ms is lumpy.
  for (let at = 0; at + 2 < bins.length; at++) {
    const mean = ((bins[at] ?? 0) + (bins[at + 1] ?? 0) + (bins[at + 2] ?? 0)) / 3;
    if (mean >= share * usual) return (at + 1) / 10;
  }
  return Infinity;
}

/** No flag beside every setting of a sweep. */
function sweep(name: string, distance: readonly string[] | undefined): Scene {
  return {
    name: `sched-sweep-${name}`,
    async measure(tools, say) {
      const access = await tools.behind(distance);
      const verdicts: Verdict[] = [];
      for (const streams of [1, 4]) {
        const settings = [8, 16, 32, 64].flatMap((connections) =>
          [4, 8, 16].map((part) => ['--max-connections', String(connections), '--part-size', String(part * MIB)]),
        );
        let best: { value: number; flags: string[] } | undefined;
        for (const flags of settings) {
          const { value = 0 } = await tools.run(access, flags, stream(streams));
          say(`${streams} streams, ${flags.join(' ')}: ${value} MB/s`);
          if (value > (best?.value ?? 0)) best = { value, flags };
        }
        if (best === undefined) continue;
        const { flags } = best;
        const pairs = await times(tools.options.rounds, async (round) => {
          const winner = (): Promise<SchedSample> => tools.run(access, flags, stream(streams));
          const own = (): Promise<SchedSample> => tools.run(access, [], stream(streams));
          const pair = round % 2 === 0 ? [await winner(), await own()] : [await own(), await winner()].reverse();
          const [theirs, ours] = pair;
          say(`${streams} streams: ${flags.join(' ')} ${theirs?.value} MB/s, no flag ${ours?.value} MB/s`);
          say(`  no flag, MB in each 100 ms: ${ours?.bins?.join(' ')}`);
          return { theirs: theirs?.value ?? NaN, ours: ours?.value ?? NaN, after: reachedAfter(ours?.bins ?? [], 0.9) };
        });
        const ratio = median(pairs.map(({ ours }) => ours)) / median(pairs.map(({ theirs }) => theirs));
        verdicts.push(verdict(`${streams} streams: x the best setting (${flags.join(' ')})`, ratio, { atLeast: 0.9 }));
        verdicts.push(
          verdict(`${streams} streams: s to reach it`, median(pairs.map(({ after }) => after)), { atMost: 3 }),
        );
      }
      return verdicts;
    },
  };
}

const tail: Scene = {
  name: 'sched-tail',
  async measure(tools, say) {
    // Long enough for a thousand GETs.
    const bytes = 2 * STREAM_BYTES;
    const with_: SchedSample[] = [];
    const without: SchedSample[] = [];
    let extra = 0;
    let gets = 0;
    for (let round = 0; round < tools.options.rounds; round++) {
      without.push(await tools.run(await tools.behind(PLAIN_DISTANCE), [], stream(1, bytes / 2)));
      const access = await tools.behind([...PLAIN_DISTANCE, '--tail', '2:1000ms']);
      await tools.mounted(access, [], async (mounted) => {
        with_.push(await tools.bench(mounted, stream(1, bytes)));
        const { requests, hedges, resumed } = await tools.network(mounted);
        say(
          `${with_.at(-1)?.value} MB/s with tail, ${without.at(-1)?.value} without; ${requests} requests, ${hedges} hedges, ${resumed} resumed`,
        );
        gets += requests - hedges;
        extra += hedges;
      });
    }
    return [
      verdict('x without tail', median(numbersOf(with_, 'value')) / median(numbersOf(without, 'value')), {
        atLeast: 0.85,
      }),
      verdict(`extra of ${gets} GETs`, extra / gets, { atMost: 0.05 }),
    ];
  },
};

const stall: Scene = {
  name: 'sched-stall',
  async measure(tools, say) {
    const access = await tools.behind(PLAIN_DISTANCE);
    const rules = [{ operation: 'GetObject', probability: 0.03, stallAfterBytes: 300_000, stallMs: 2000 }];
    const read = (): Promise<SchedSample> => tools.run(access, [], ['--test', 'read8', '--count', '300']);
    const pairs = await times(tools.options.rounds, async () => {
      const calm = await read();
      await tools.faults(rules);
      const stalled = await read().finally(() => tools.faults([]));
      say(
        `8 MiB reads: p99 ${stalled.p99_ms} ms (p50 ${stalled.p50_ms}, most ${stalled.max_ms}) with stalls, ${calm.p99_ms} ms (p50 ${calm.p50_ms}) without`,
      );
      return { calm, stalled };
    });
    const ratio =
      median(
        numbersOf(
          pairs.map(({ stalled }) => stalled),
          'p99_ms',
        ),
      ) /
      median(
        numbersOf(
          pairs.map(({ calm }) => calm),
          'p99_ms',
        ),
      );
    return [verdict('x p99 without stalls', ratio, { atMost: 3 })];
  },
};

/** What the store allows in a second. */
const REQUESTS_A_SECOND = 60;

const slowDown: Scene = {
  name: 'sched-slowdown',
  async measure(tools, say) {
    const access = await tools.behind(PLAIN_DISTANCE);
    await tools.faults([{ operation: 'GetObject', slowDownAbovePerSecond: REQUESTS_A_SECOND }]);
    try {
      // Parts of 1 MiB, so that the number of requests is what binds: N of them a second are worth N MiB.
      const runs = await times(tools.options.rounds, () =>
        tools.mounted(access, ['--read-part-size', String(MIB)], async (mounted) => {
          const reader = tools.bench(mounted, ['--test', 'stream', '--streams', '4', '--seconds', '15']);
          await new Promise((resolve) => setTimeout(resolve, 5000));
          const early = await tools.gets();
          const sample = await reader;
          const late = await tools.gets();
          const refused = (late.slowDowns - early.slowDowns) / (late.requests - early.requests);
          // The first second is the search; what counts is what came of the time.
          const after = (sample.bins ?? []).slice(10);
          const value = after.reduce((sum, bin) => sum + bin, 0) / (after.length / 10);
          say(
            `${value.toFixed(1)} MB/s after the first second, ${(100 * refused).toFixed(1)} % of the requests refused after 5 s`,
          );
          say(`  MB in each second: ${seconds(sample.bins ?? []).join(' ')}`);
          return { value, refused };
        }),
      );
      const worth = (REQUESTS_A_SECOND * MIB) / 1e6;
      return [
        verdict(
          `x what ${REQUESTS_A_SECOND} requests a second are worth`,
          median(runs.map(({ value }) => value)) / worth,
          { atLeast: 0.85 },
        ),
        verdict('refused after 5 s', median(runs.map(({ refused }) => refused)), { atMost: 0.1 }),
      ];
    } finally {
      await tools.faults([]);
    }
  },
};

function seconds(bins: readonly number[]): string[] {
  const sums: number[] = [];
  bins.forEach((bin, at) => (sums[Math.floor(at / 10)] = (sums[Math.floor(at / 10)] ?? 0) + bin));
  return sums.map((sum) => sum.toFixed(0));
}

const mixed: Scene = {
  name: 'sched-mixed',
  async measure(tools, say) {
    const access = await tools.behind(['--latency', '20ms', '--jitter', '5ms', '--rate', '90', '--total', '400']);
    const random = (streams: number): Promise<SchedSample> =>
      tools.run(access, [], ['--test', 'random', '--streams', String(streams), '--seconds', '6']);
    const runs = await times(tools.options.rounds, async () => {
      const idle = await random(0);
      const both = await random(4);
      const alone = await tools.run(access, [], ['--test', 'stream', '--streams', '4', '--seconds', '6']);
      say(
        `256 KiB: p99 ${both.p99_ms} ms beside 4 streams (p50 ${both.p50_ms}), ${idle.p99_ms} ms alone (p50 ${idle.p50_ms}); streams ${both.value} MB/s, alone ${alone.value}`,
      );
      return { idle, both, alone };
    });
    const p99 = (of: 'idle' | 'both'): number => median(runs.map((run) => run[of].p99_ms ?? NaN));
    const value = (of: 'both' | 'alone'): number => median(runs.map((run) => run[of].value ?? NaN));
    return [
      verdict('x p99 alone', p99('both') / p99('idle'), { atMost: 2 }),
      verdict('x streams alone', value('both') / value('alone'), { atLeast: 0.8 }),
    ];
  },
};

const bandwidth: Scene = {
  name: 'sched-bandwidth',
  async measure(tools, say) {
    const access = await tools.behind(undefined);
    const flags = ['--max-bandwidth', '1'];
    const runs = await times(tools.options.rounds, async () => {
      const read = await tools.run(access, flags, ['--test', 'stream', '--streams', '1', '--seconds', '10']);
      const written = await tools.run(access, flags, ['--test', 'write', '--bytes', String(1250 * MIB)], true);
      say(`read ${read.value} MB/s, written ${written.value} MB/s; read, MB in each 100 ms: ${read.bins?.join(' ')}`);
      return { read: read.value ?? NaN, written: written.value ?? NaN, bins: read.bins ?? [] };
    });
    const off = (value: number): number => Math.abs(value / 125 - 1);
    const empty = runs.flatMap(({ bins }) => bins.slice(5, -1)).filter((bin) => bin === 0).length;
    return [
      verdict('reads: off the limit by', off(median(runs.map(({ read }) => read))), { atMost: 0.05 }),
      verdict('writes: off the limit by', off(median(runs.map(({ written }) => written))), { atMost: 0.05 }),
      verdict('100 ms without a byte', empty, { atMost: 0 }),
    ];
  },
};

const twoMounts: Scene = {
  name: 'sched-two-mounts',
  async measure(tools, say) {
    const access = await tools.behind(['--latency', '20ms', '--jitter', '5ms', '--rate', '90', '--total', '400']);
    const args = (seconds_: number): string[] => ['--test', 'stream', '--streams', '2', '--seconds', String(seconds_)];
    const runs = await times(tools.options.rounds, () =>
      tools.mounted(access, [], async (survivor) => {
        const long = tools.bench(survivor, args(20));
        const short = await tools.mounted(access, [], (other) => tools.bench(other, args(8)));
        const { bins = [] } = await long;
        // The other's mount comes up and goes in about a second.
        const mean = (from: number, to: number): number =>
          bins.slice(from, to).reduce((sum, bin) => sum + bin, 0) / ((to - from) / 10);
        const together = mean(30, 80);
        const after = mean(150, 190);
        say(`together ${together.toFixed(0)} and ${short.value} MB/s, the survivor later ${after.toFixed(0)} MB/s`);
        return { share: together / (together + (short.value ?? NaN)), after };
      }),
    );
    const off = Math.max(...runs.map(({ share }) => Math.abs(share - 0.5)));
    return [
      verdict('share of the link: off a half by', off, { atMost: 0.1 }),
      verdict('MB/s of the survivor', median(runs.map(({ after }) => after)), { atLeast: 340 }),
    ];
  },
};

export const scenes: readonly Scene[] = [
  sweep('20', ['--latency', '20ms', '--rate', '20']),
  sweep('far', ['--latency', '20ms', '--rate', '90']),
  sweep('plain', undefined),
  sweep('5', ['--latency', '60ms', '--rate', '5']),
  tail,
  stall,
  slowDown,
  mixed,
  bandwidth,
  twoMounts,
];
