/**
 * Worlds that change while they are watched: connections that get slower, a network card that goes, demand that comes and
 * goes, a store that says SlowDown. Each is judged against what is best after the change.
 */
import t from 'tap';
import { FeedbackController } from '../../../src/engine/scheduler/controller.js';
import { PrefixPacer } from '../../../src/engine/scheduler/request-pacer.js';
import { MIB } from '../../../src/base/units.js';
import { Random } from '../../support/simulated-net-random.js';
import { findOptimum, meanOf, runControlled } from './sim/run.js';
import { randomWorld, type Change, type Conditions, type World } from './sim/world.js';

/** Seconds of work, and as many more as the machine has other things to do. */
t.setTimeout(600_000);

const CHANGE_MS = 4_000;
/** Judged from 3 s after the change. */
const FROM_MS = CHANGE_MS + 3_000;
const TO_MS = FROM_MS + 1_500;
const WORLDS = 12;

/** How near the best of the changed world, and of what it was for `back`, each of some worlds comes. */
function sharesAfter(change: (conditions: Conditions) => Partial<Conditions>, seedFrom: number): number[] {
  const shares: number[] = [];
  for (let seed = seedFrom; seed < seedFrom + WORLDS; seed++) {
    const world = randomWorld(new Random(seed), seed);
    const conditions = change(world.conditions);
    const changes: Change[] = [{ atMs: CHANGE_MS, conditions }];
    const best = findOptimum({ ...world, conditions: { ...world.conditions, ...conditions } });
    const run = runControlled({ ...world, changes }, new FeedbackController(world.bounds), TO_MS);
    shares.push(meanOf(run.steps, FROM_MS, TO_MS) / best.goodput);
  }
  return shares.sort((one, other) => one - other);
}

const print = (shares: readonly number[]): string => shares.map((share) => (100 * share).toFixed(0)).join(' ');
const nearOf = (shares: readonly number[]): number => shares.filter((share) => share >= 0.9).length / shares.length;

t.test('each connection gets half as fast', (t) => {
  const shares = sharesAfter(({ connectionRate }) => ({ connectionRate: connectionRate / 2 }), 1_000);
  t.comment(`seeds from 1000: ${print(shares)} % of the best 3 s later`);
  t.ok(nearOf(shares) >= 0.85);
  t.end();
});

t.test('half of the network goes', (t) => {
  const shares = sharesAfter(({ nics }) => ({ nics: nics.map((nic) => nic / 2) }), 1_100);
  t.comment(`seeds from 1100: ${print(shares)} % of the best 3 s later`);
  t.ok(nearOf(shares) >= 0.85);
  t.end();
});

t.test('the way gets three times as long', (t) => {
  const shares = sharesAfter(({ firstByteMs, rttMs }) => ({ firstByteMs: 3 * firstByteMs, rttMs: 3 * rttMs }), 1_200);
  t.comment(`seeds from 1200: ${print(shares)} % of the best 3 s later`);
  t.ok(nearOf(shares) >= 0.8);
  t.end();
});

t.test('demand stops for a while: nothing moves meanwhile, and what was found is still there', (t) => {
  for (let seed = 1_300; seed < 1_300 + WORLDS; seed++) {
    const world = randomWorld(new Random(seed), seed);
    const { streams, rate } = world.readers;
    const changes: Change[] = [
      { atMs: 5_000, readers: { streams, rate: 0 } },
      { atMs: 12_000, readers: { streams, rate } },
    ];
    const run = runControlled({ ...world, changes }, new FeedbackController(world.bounds), 16_000);
    // A trial that is under way when demand stops is taken back after two seconds.
    const meanwhile = run.decisions.filter(({ atMs }) => atMs > 5_500 && atMs <= 12_000);
    t.ok(meanwhile.length <= 1, `seed ${seed}: ${meanwhile.map(({ reason }) => reason).join('; ')}`);
    const before = meanOf(run.steps, 3_000, 5_000);
    const after = meanOf(run.steps, 14_000, 16_000);
    t.ok(after >= 0.85 * before, `seed ${seed}: ${before.toFixed(0)} before, ${after.toFixed(0)} after`);
  }
  t.end();
});

/** A store that takes `requestsPerSecond`, with more than enough of everything else. */
function throttledWorld(requestsPerSecond: number, netThreads: number, more: Partial<Conditions> = {}): World {
  const world = randomWorld(new Random(7), 7);
  const nic = 5_000_000;
  const setting = { connections: 64, partBytes: 8 * MIB, netThreads };
  return {
    ...world,
    name: `${requestsPerSecond} requests a second, ${netThreads} net threads`,
    conditions: {
      ...world.conditions,
      nics: [nic],
      connectionRate: 80_000,
      firstByteMs: 20,
      rttMs: 1,
      requestsPerSecond,
      ...more,
    },
    machine: { ...world.machine, cores: 32, poolBytes: 2048 * MIB },
    readers: { streams: 16, rate: 2_000_000 },
    bounds: {
      first: setting,
      least: { connections: 2, partBytes: 2 * MIB, netThreads: 1 },
      most: { connections: 256, partBytes: 64 * MIB, netThreads },
      fixed: { connections: false, partBytes: false, netThreads: false },
      targetGbps: 40,
    },
  };
}

/** Requests a second that were taken, and the share that was refused, after five seconds. */
function throttled(
  world: World,
  isPaced: boolean,
  isFixed: boolean,
): { taken: number; refused: number; goodput: number } {
  let requests = 0;
  let refused = 0;
  const bounds = isFixed
    ? { ...world.bounds, fixed: { connections: true, partBytes: true, netThreads: true } }
    : world.bounds;
  const pacing = isPaced ? { pacer: () => new PrefixPacer() } : {};
  const run = runControlled(world, new FeedbackController(bounds), 15_000, pacing, (simulation) => {
    if (simulation.nowMs > 5_000) return;
    requests = simulation.requests;
    refused = simulation.refused;
  });
  const sent = run.simulation.requests - requests;
  const sentRefused = run.simulation.refused - refused;
  return {
    taken: (sent - sentRefused) / 10,
    refused: sentRefused / sent,
    goodput: meanOf(run.steps, 5_000, 15_000),
  };
}

t.test('503 above N requests a second: N of them are taken, and next to none refused', (t) => {
  for (const [limit, netThreads] of [
    [20, 1],
    [50, 1],
    [50, 4],
    [200, 1],
    [200, 4],
    [400, 8],
  ] as const) {
    const paced = throttled(throttledWorld(limit, netThreads), true, true);
    const unpaced = throttled(throttledWorld(limit, netThreads), false, true);
    const line = ({ taken, refused }: typeof paced): string =>
      `${((100 * taken) / limit).toFixed(0)} % of ${limit} taken, ${(100 * refused).toFixed(1)} % refused`;
    t.comment(`${netThreads} threads: ${line(paced)}; without a pacer ${line(unpaced)}`);
    t.ok(paced.taken >= 0.85 * limit, 'taken');
    t.ok(paced.refused < 0.1, 'refused');
    // And with the controller at work, which asks for more bytes a request.
    const both = throttled(throttledWorld(limit, netThreads), true, false);
    const worth = limit * 8 * MIB * 1e-3;
    t.comment(
      `with the controller: ${(both.goodput / 1000).toFixed(0)} MB/s, ${limit} parts of 8 MiB are ${(worth / 1000).toFixed(0)}`,
    );
    t.ok(both.goodput >= 0.85 * Math.min(worth, 4_500_000), 'goodput');
    t.ok(both.refused < 0.1, 'refused with the controller');
  }
  t.end();
});

t.test('a store that gives more after a while is followed', (t) => {
  const world = throttledWorld(50, 1, { scaleUp: 1.15 });
  const run = runControlled(
    { ...world, bounds: { ...world.bounds, fixed: { connections: true, partBytes: true, netThreads: true } } },
    new FeedbackController(world.bounds),
    30_000,
    { pacer: () => new PrefixPacer() },
  );
  const early = meanOf(run.steps, 3_000, 6_000);
  const late = meanOf(run.steps, 27_000, 30_000);
  t.ok(late > 1.5 * early, `${early.toFixed(0)} at first, ${late.toFixed(0)} later`);
  t.end();
});

t.test('a storm of SlowDowns that ends is forgotten', (t) => {
  const world = throttledWorld(Infinity, 2);
  const changes: Change[] = [
    { atMs: 4_000, conditions: { requestsPerSecond: 30 } },
    { atMs: 8_000, conditions: { requestsPerSecond: 1e9 } },
  ];
  const run = runControlled({ ...world, changes }, new FeedbackController(world.bounds), 30_000, {
    pacer: () => new PrefixPacer(),
  });
  const before = meanOf(run.steps, 2_500, 4_000);
  const after = meanOf(run.steps, 24_000, 30_000);
  t.ok(after >= 0.85 * before, `${before.toFixed(0)} before, ${after.toFixed(0)} after`);
  t.end();
});

t.test('a store that refuses because of connections, not of requests a second, gets fewer of them', (t) => {
  // Half of what is asked is refused whatever the pace: what a proxy does that limits requests at once.
  const controller = new FeedbackController(throttledWorld(Infinity, 1).bounds);
  const first = controller.setting.connections;
  for (let step = 1; step <= 100; step++) {
    const { connections } = controller.setting;
    const refused = Math.max(0, connections - 16);
    controller.step({
      nowMs: 100 * step,
      threads: [
        {
          spanMs: 100,
          bytesIn: 16e6,
          bytesOut: 0,
          requests: connections,
          hedges: 0,
          hedgesWon: 0,
          retries: 0,
          slowDowns: refused > 0 ? [{ prefix: 'a/', count: refused }] : [],
          firstByteMs: [20],
          connections,
          busy: connections,
          waiting: 10,
          waitingReaders: 0,
          connectionsMax: connections,
          loopBusy: 0.2,
        },
      ],
      poolPressure: 0.5,
      mainLoopBusy: 0.1,
      hasDemand: true,
    });
  }
  const { connections } = controller.setting;
  t.ok(connections <= 20, `${connections} after ${first}`);
  t.ok(controller.decisions.some(({ reason }) => /SlowDown/.test(reason) && /half/.test(reason)));
  t.end();
});
