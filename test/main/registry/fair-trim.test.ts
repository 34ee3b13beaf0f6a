/** Mounts on one link that divides itself by connections: do they come to the same speed, and is nothing wasted? */
import fc from 'fast-check';
import t from 'tap';
import { FairTrim } from '../../../src/main/registry/fair-trim.js';

interface Mount {
  readonly trim: FairTrim;
  /** Connections that it would use alone. */
  readonly connections: number;
  /** It cannot take more than this, whatever it is given, and waits for it all the same. */
  readonly ceiling: number;
  /** It asks for no more than this. */
  readonly wanted: number;
}

function mount(connections: number, changes: Partial<Mount> = {}): Mount {
  return { trim: new FairTrim(), connections, ceiling: Infinity, wanted: Infinity, ...changes };
}

/** What each gets of a link that gives every connection the same. */
function divideLink(mounts: readonly Mount[], link: number): number[] {
  const got = mounts.map(() => 0);
  let left = link;
  let open = mounts.map((_mount, at) => at);
  while (open.length > 0 && left > 1e-6) {
    const weight = open.reduce((sum, at) => sum + mounts[at]!.connections * mounts[at]!.trim.trim, 0);
    const full = open.filter((at) => {
      const { connections, trim, ceiling, wanted } = mounts[at]!;
      return got[at]! + (left * connections * trim.trim) / weight >= Math.min(ceiling, wanted);
    });
    if (full.length === 0) {
      for (const at of open) got[at]! += (left * mounts[at]!.connections * mounts[at]!.trim.trim) / weight;
      break;
    }
    for (const at of full) {
      left -= Math.min(mounts[at]!.ceiling, mounts[at]!.wanted) - got[at]!;
      got[at] = Math.min(mounts[at]!.ceiling, mounts[at]!.wanted);
    }
    open = open.filter((at) => !full.includes(at));
  }
  return got;
}

/** Seconds of it; the speeds of each second. */
function run(mounts: readonly Mount[], link: number, seconds: number): number[][] {
  const history: number[][] = [];
  for (let second = 0; second < seconds; second++) {
    const got = divideLink(mounts, link);
    history.push(got);
    const uses = mounts.map(({ wanted }, at) => ({ bytesPerSecond: got[at]!, isHungry: got[at]! < wanted }));
    mounts.forEach(({ trim }, at) =>
      trim.step(
        uses[at]!,
        uses.filter((_use, other) => other !== at),
        second * 1000,
      ),
    );
  }
  return history;
}

t.test('sixty connections beside seventeen: the same speed within some seconds', (t) => {
  const history = run([mount(60), mount(17)], 400, 30);
  t.ok(history[0]![0]! > 300);
  for (const [one, other] of history.slice(6) as [number, number][]) {
    t.ok(one < 0.6 * (one + other) && other < 0.6 * (one + other), `${one} and ${other}`);
  }
  t.end();
});

t.test('who wants no more is not cut for, and cuts nobody', (t) => {
  const mounts = [mount(60), mount(17, { wanted: 50 })];
  for (const [one, other] of run(mounts, 400, 20)) {
    t.equal(Math.round(other!), 50);
    t.equal(Math.round(one!), 350);
  }
  t.equal(mounts[0]!.trim.trim, 1);
  t.end();
});

t.test('what nobody takes is taken back, and left so for a while', (t) => {
  const mounts = [mount(60, { ceiling: 330 }), mount(17, { ceiling: 60 })];
  // Cutting brings the other nothing, and costs: the link gives what one leaves to nobody.
  const wasteful = [mount(60), mount(17)];
  const speeds: number[] = [];
  for (let second = 0; second < 60; second++) {
    const one = 300 * wasteful[0]!.trim.trim;
    const uses = [
      { bytesPerSecond: one, isHungry: true },
      { bytesPerSecond: 60, isHungry: true },
    ];
    wasteful[0]!.trim.step(uses[0]!, [uses[1]!], second * 1000);
    wasteful[1]!.trim.step(uses[1]!, [uses[0]!], second * 1000);
    speeds.push(one + 60);
  }
  const mean = speeds.reduce((sum, speed) => sum + speed, 0) / speeds.length;
  t.ok(mean > 0.85 * 360, `on average ${mean} of 360`);
  t.equal(wasteful[1]!.trim.trim, 1);
  run(mounts, 400, 60);
  t.end();
});

// A tenth of the connections is the least that is left: sixteen times as many as another has are beyond that.
t.test('any mounts that all want more: the same speed for all, and the link is full', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 8, max: 64 }), { minLength: 2, maxLength: 8 }), (connections) => {
      const last = run(
        connections.map((each) => mount(each)),
        1000,
        120,
      ).at(-1)!;
      const level = 1000 / connections.length;
      const sum = last.reduce((all, each) => all + each, 0);
      return Math.abs(sum - 1000) < 1 && last.every((each) => each > 0.7 * level && each < 1.4 * level);
    }),
  );
  t.end();
});

t.test('alone again: all of it', (t) => {
  const mounts = [mount(60), mount(17)];
  run(mounts, 400, 10);
  t.ok(mounts[0]!.trim.trim < 0.6);
  mounts[0]!.trim.reset();
  t.equal(mounts[0]!.trim.trim, 1);
  t.equal(mounts[0]!.trim.step({ bytesPerSecond: 400, isHungry: true }, [], 0), 1, 'nobody is short');
  t.end();
});
