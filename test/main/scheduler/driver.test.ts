/**
 * The driver: when an interval is over, what the controller is told, who gets which limit, and what is kept for people.
 * The clock is turned by the test; the controller says what the test wants.
 */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { silentLog } from '../../../src/base/log.js';
import { MIB } from '../../../src/base/units.js';
import type { NetCommand } from '../../../src/engine/api.js';
import type {
  ControllerBounds,
  ControllerInput,
  Decision,
  NetSample,
  SchedulerController,
  Setting,
} from '../../../src/engine/scheduler/api.js';
import { SchedulerDriver } from '../../../src/main/scheduler/driver.js';

const FIRST: Setting = { connections: 10, partBytes: 8 * MIB, netThreads: 2 };
const BOUNDS: ControllerBounds = {
  first: FIRST,
  least: { connections: 2, partBytes: 2 * MIB, netThreads: 1 },
  most: { connections: 128, partBytes: 64 * MIB, netThreads: 2 },
  fixed: { connections: false, partBytes: false, netThreads: false },
  targetGbps: 10,
};

function sample(more: Partial<NetSample> = {}): NetSample {
  return {
    spanMs: 100,
    bytesIn: 0,
    bytesOut: 0,
    requests: 1,
    hedges: 0,
    hedgesWon: 0,
    retries: 0,
    slowDowns: [],
    firstByteMs: [],
    connections: 1,
    busy: 1,
    waiting: 0,
    waitingReaders: 0,
    connectionsMax: 5,
    loopBusy: 0,
    ...more,
  };
}

class Told implements SchedulerController {
  setting: Setting = FIRST;
  readonly decisions: Decision[] = [];
  readonly inputs: ControllerInput[] = [];

  step(input: ControllerInput): Setting {
    this.inputs.push(input);
    return this.setting;
  }
}

function bench(threads = 2, posted = 64, bytesPerSecondMax = Infinity) {
  const clock = new ManualClock();
  const controller = new Told();
  const sent: (readonly [thread: number, command: NetCommand])[] = [];
  const active: number[] = [];
  const state = { readsTotal: 0, isCrowded: false, busyMs: 0 };
  const driver = new SchedulerDriver(
    { bounds: BOUNDS, connectionsPosted: posted, bytesPerSecondMax },
    {
      clock,
      log: silentLog,
      controller,
      ports: Array.from({ length: threads }, (_none, thread) => ({ post: (command) => sent.push([thread, command]) })),
      setActiveThreads: (count) => active.push(count),
      poolPressure: () => 0.25,
      loopBusyMs: () => state.busyMs,
      demand: () => state,
    },
  );
  return { clock, controller, sent, active, state, driver };
}

const limits = (sent: readonly (readonly [number, NetCommand])[]): [number, number][] =>
  sent.flatMap(([thread, command]): [number, number][] =>
    command.type === 'limits' ? [[thread, command.backgroundMax ?? command.connectionsMax]] : [],
  );

t.test('the first setting is passed on at once, and again only when it changes', (t) => {
  const { driver, controller, sent, active } = bench();
  t.same(limits(sent), [
    [0, 5],
    [1, 5],
  ]);
  t.same(active, [2]);
  driver.sampled(0, sample());
  driver.sampled(1, sample());
  t.equal(limits(sent).length, 2);
  controller.setting = { ...FIRST, connections: 13, partBytes: 4 * MIB };
  driver.sampled(0, sample());
  driver.sampled(1, sample());
  t.same(limits(sent).slice(2), [
    [0, 7],
    [1, 6],
  ]);
  t.equal(driver.setting.partBytes, 4 * MIB);
  controller.setting = { ...FIRST, connections: 13, netThreads: 1 };
  driver.sampled(0, sample());
  driver.sampled(1, sample());
  t.same(
    limits(sent).slice(4),
    [[0, 13]],
    'a thread that gets nothing new keeps its share while it has something to do',
  );
  driver.sampled(1, sample({ requests: 0, busy: 0 }));
  driver.sampled(0, sample());
  t.same(limits(sent).slice(5), [[1, 1]], 'and then one connection');
  t.equal(active[active.length - 1], 1);
  t.end();
});

t.test('an interval is over when all who took part have spoken, or one of them twice', (t) => {
  const { driver, controller } = bench();
  driver.sampled(0, sample());
  t.equal(controller.inputs.length, 1, 'nobody else has spoken yet');
  driver.sampled(1, sample());
  t.equal(controller.inputs.length, 1, 'the first is expected again');
  driver.sampled(0, sample({ bytesIn: 7 }));
  t.equal(controller.inputs.length, 2);
  t.equal(controller.inputs[1]?.threads.length, 2);
  driver.sampled(0, sample());
  driver.sampled(0, sample());
  t.equal(controller.inputs.length, 3, 'the other one is silent');
  driver.sampled(1, sample({ busy: 0, requests: 0 }));
  t.equal(controller.inputs.length, 4);
  driver.sampled(0, sample());
  t.equal(controller.inputs.length, 5, 'the other one is idle and not waited for');
  t.end();
});

t.test('demand: READs that waited, waiters in line, a crowd for room', (t) => {
  const { driver, controller, state } = bench(1);
  driver.sampled(0, sample());
  t.equal(controller.inputs[0]?.hasDemand, false);
  state.readsTotal = 3;
  driver.sampled(0, sample());
  t.equal(controller.inputs[1]?.hasDemand, true);
  driver.sampled(0, sample());
  t.equal(controller.inputs[2]?.hasDemand, false, 'they were of the interval before');
  driver.sampled(0, sample({ waiting: 1 }));
  t.equal(controller.inputs[3]?.hasDemand, true);
  state.isCrowded = true;
  driver.sampled(0, sample());
  t.equal(controller.inputs[4]?.hasDemand, true);
  t.equal(controller.inputs[4]?.poolPressure, 0.25);
  t.end();
});

t.test('how busy the main thread was', (t) => {
  const { driver, controller, clock, state } = bench(1);
  clock.advance(100);
  state.busyMs = 40;
  driver.sampled(0, sample());
  t.equal(controller.inputs[0]?.mainLoopBusy, 0.4);
  t.equal(controller.inputs[0]?.nowMs, 100);
  t.end();
});

t.test('others on the host take a share of the connections', (t) => {
  const { driver, sent } = bench(2);
  driver.setShare({ networkShare: 0.5, activeMounts: 2, memoryTargetBytes: 512 * MIB });
  t.same(limits(sent).slice(2), [
    [0, 3],
    [1, 2],
  ]);
  driver.setShare({ networkShare: 0.001, activeMounts: 900, memoryTargetBytes: 512 * MIB });
  t.same(
    limits(sent).slice(4),
    [
      [0, 1],
      [1, 1],
    ],
    'never none',
  );
  t.end();
});

t.test('what is kept for people', (t) => {
  const { driver, clock } = bench(1);
  t.match(driver.snapshot(), { threads: [undefined], firstByteMs: undefined, inBytesPerSecond: 0, decisions: [] });
  for (let i = 0; i < 20; i++) {
    clock.advance(100);
    driver.sampled(
      0,
      sample({
        bytesIn: 1000,
        bytesOut: 10,
        requests: 2,
        hedges: 1,
        retries: 1,
        slowDowns: [{ prefix: 'a/', count: 3 }],
        firstByteMs: [i, 100],
      }),
    );
  }
  const snapshot = driver.snapshot();
  t.same(snapshot.totals, {
    bytesIn: 20_000,
    bytesOut: 200,
    requests: 40,
    hedges: 20,
    hedgesWon: 0,
    retries: 20,
    slowDowns: 60,
  });
  t.equal(snapshot.inBytesPerSecond, 10_000);
  t.equal(snapshot.outBytesPerSecond, 100);
  t.same(snapshot.firstByteMs, { p50: 100, p95: 100, p99: 100 });
  t.equal(snapshot.threads[0]?.ageMs, 0);
  clock.advance(1000);
  t.equal(driver.snapshot().inBytesPerSecond, 0, 'nothing happens any more');
  t.same(structuredClone(driver.snapshot()), driver.snapshot(), 'plain data');
  t.end();
});

t.test('a limit of bandwidth is there for those threads that work', (t) => {
  const { driver, sent } = bench(4, 64, 1e6);
  const rates: (number | undefined)[] = [];
  const now = (): (number | undefined)[] => {
    for (const [thread, command] of sent.splice(0)) if (command.type === 'limits') rates[thread] = command.bytesPerMs;
    return rates.map((rate) => rate && Math.round(rate));
  };
  t.same(now(), [250, 250, 250, 250], 'nobody works yet');
  driver.sampled(0, sample({ bytesIn: 25_000 }));
  t.equal(now()[0], 1000, 'who works alone has all of it');
  driver.sampled(1, sample({ bytesIn: 25_000, bytesOut: 0 }));
  driver.sampled(0, sample({ bytesIn: 75_000 }));
  driver.sampled(0, sample({ bytesIn: 75_000 }));
  const [one = 0, two = 0] = now();
  t.equal(one + two, 1000);
  t.ok(one > two && two >= 250, `${one} and ${two}`);
  driver.sampled(1, sample({ busy: 0, requests: 0 }));
  driver.sampled(0, sample({ bytesIn: 75_000 }));
  t.equal(now()[0], 1000, 'it rests');
  t.end();
});

t.test('no more threads than connections', (t) => {
  const { controller, driver, sent, active } = bench(4);
  controller.setting = { connections: 2, partBytes: MIB, netThreads: 4 };
  driver.sampled(0, sample());
  t.equal(active.at(-1), 2);
  t.same(
    limits(sent)
      .slice(-4)
      .map(([, most]) => most),
    [1, 1, 1, 1],
    'the others end what they have',
  );
  t.end();
});
