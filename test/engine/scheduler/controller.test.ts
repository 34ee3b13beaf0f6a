/** What the controller never does, whatever it hears: leave its bounds, move what is fixed, move without demand. */
import fc from 'fast-check';
import t from 'tap';
import { MIB } from '../../../src/base/units.js';
import { DECISIONS_MAX } from '../../../src/engine/scheduler/api.js';
import type {
  ControllerBounds,
  ControllerInput,
  NetSample,
  SchedulerController,
  Setting,
} from '../../../src/engine/scheduler/api.js';
import { FeedbackController } from '../../../src/engine/scheduler/controller.js';

const BOUNDS: ControllerBounds = {
  first: { connections: 25, partBytes: 8 * MIB, netThreads: 2 },
  least: { connections: 2, partBytes: 2 * MIB, netThreads: 1 },
  most: { connections: 128, partBytes: 64 * MIB, netThreads: 4 },
  fixed: { connections: false, partBytes: false, netThreads: false },
  targetGbps: 10,
};

const QUIET: NetSample = {
  spanMs: 100,
  bytesIn: 0,
  bytesOut: 0,
  requests: 0,
  hedges: 0,
  hedgesWon: 0,
  retries: 0,
  slowDowns: [],
  firstByteMs: [],
  connections: 0,
  busy: 0,
  waiting: 0,
  waitingReaders: 0,
  connectionsMax: 25,
  loopBusy: 0,
};

/** 40 MB/s a connection, whatever their number, with as many in line again. */
function hungry(setting: Setting, nowMs: number, hasDemand = true): ControllerInput {
  const bytesIn = setting.connections * 4_000_000;
  const sample: NetSample = {
    ...QUIET,
    bytesIn,
    requests: Math.ceil(bytesIn / setting.partBytes),
    firstByteMs: [20, 21, 22],
    busy: setting.connections,
    waiting: setting.connections,
    loopBusy: 0.3,
  };
  return { nowMs, threads: [sample], poolPressure: 0.3, mainLoopBusy: 0.1, hasDemand };
}

const NAMES = ['connections', 'partBytes', 'netThreads'] as const;

function isWithin(setting: Setting, { least, most }: ControllerBounds): boolean {
  return NAMES.every((name) => {
    const value = setting[name];
    return Number.isInteger(value) && value >= least[name] && value <= most[name];
  });
}

const odd = fc.oneof(
  fc.constantFrom(0, -1, NaN, Infinity, -Infinity, 1e300, Number.MAX_SAFE_INTEGER, 0.5),
  fc.double(),
  fc.nat(1000),
);
const oddSample: fc.Arbitrary<NetSample> = fc.record({
  spanMs: odd,
  bytesIn: odd,
  bytesOut: odd,
  requests: odd,
  hedges: odd,
  hedgesWon: odd,
  retries: odd,
  slowDowns: fc.array(fc.record({ prefix: fc.string(), count: odd }), { maxLength: 3 }),
  firstByteMs: fc.array(odd, { maxLength: 5 }),
  connections: odd,
  busy: odd,
  waiting: odd,
  waitingReaders: odd,
  connectionsMax: odd,
  loopBusy: odd,
});
const oddInput: fc.Arbitrary<ControllerInput> = fc.record({
  nowMs: odd,
  threads: fc.array(oddSample, { maxLength: 4 }),
  poolPressure: odd,
  mainLoopBusy: odd,
  hasDemand: fc.boolean(),
});

t.test('garbage never moves it out of its bounds, nor stops it', (t) => {
  fc.assert(
    fc.property(fc.array(oddInput, { maxLength: 40 }), (inputs) => {
      const controller = new FeedbackController(BOUNDS);
      for (const input of inputs) if (!isWithin(controller.step(input), BOUNDS)) return false;
      // And afterwards it still finds what is there: in the last half minute it works with all of them most of the time.
      let all = 0;
      for (let step = 0; step < 900; step++) {
        const { connections } = controller.step(hungry(controller.setting, 1e12 + 100 * step));
        if (step >= 600 && connections === BOUNDS.most.connections) all++;
      }
      return all > 150;
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('without demand nothing moves', (t) => {
  const controller = new FeedbackController(BOUNDS);
  for (let step = 1; step <= 100; step++) controller.step(hungry(controller.setting, 100 * step, false));
  t.strictSame(controller.setting, BOUNDS.first);
  t.equal(controller.decisions.length, 0);
  t.end();
});

t.test('what is fixed is not moved, not even by SlowDown', (t) => {
  for (const name of NAMES) {
    const fixed = { connections: false, partBytes: false, netThreads: false, [name]: true };
    const controller = new FeedbackController({ ...BOUNDS, fixed });
    for (let step = 1; step <= 200; step++) {
      const input = hungry(controller.setting, 100 * step);
      const slowDowns = step % 50 === 0 ? [{ prefix: 'a/', count: 30 }] : [];
      controller.step({ ...input, threads: input.threads.map((sample) => ({ ...sample, slowDowns })) });
      t.equal(controller.setting[name], BOUNDS.first[name]);
    }
  }
  t.end();
});

t.test('the same inputs give the same decisions', (t) => {
  const run = (controller: SchedulerController): unknown => {
    for (let step = 1; step <= 300; step++) controller.step(hungry(controller.setting, 100 * step, step % 97 > 20));
    return controller.decisions;
  };
  t.strictSame(run(new FeedbackController(BOUNDS)), run(new FeedbackController(BOUNDS)));
  t.end();
});

t.test('decisions are bounded, the last are kept', (t) => {
  const controller = new FeedbackController(BOUNDS);
  let nowMs = 0;
  while (controller.decisions.length < DECISIONS_MAX || nowMs < 200_000) {
    nowMs += 100;
    // The world changes every few seconds, so there is always something to decide.
    const input = hungry(controller.setting, nowMs);
    const isRich = Math.floor(nowMs / 4000) % 2 === 0;
    controller.step({
      ...input,
      threads: input.threads.map((sample) => ({ ...sample, bytesIn: isRich ? sample.bytesIn : 5_000_000 })),
    });
    if (nowMs > 10_000_000) break;
  }
  t.equal(controller.decisions.length, DECISIONS_MAX);
  const times = controller.decisions.map(({ atMs }) => atMs);
  t.strictSame(
    times,
    [...times].sort((a, b) => a - b),
    'oldest first',
  );
  t.ok(controller.decisions.every(({ reason }) => /\d/.test(reason) && !/NaN|undefined|Infinity/.test(reason)));
  t.end();
});
