/**
 * Loans: every interleaving of the main thread's calls with two readers that take slots, how many are lent when, and that
 * idle or wanted slots go back. (Messages that arrive in slots: reader-loop.test.ts, dispatcher.test.ts, real-mount.test.ts.)
 */
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { allocatePool } from '../../src/base/pool/layout.js';
import { LoanTaker, SlotLender, allocateLoans } from '../../src/fuse/slot-loans.js';
import { Stepped, countOperations, withHook } from '../base/atomics-script.js';
import { ListWriteSlots } from '../support/list-write-slots.js';

const pool = allocatePool(40);

class Scene {
  readonly clock = new ManualClock();
  readonly slots: ListWriteSlots;
  readonly lender: SlotLender;
  readonly takers: readonly LoanTaker[];
  /** In readers' hands. */
  readonly inHand: number[] = [];

  constructor(readers: number, count: number) {
    const memory = allocateLoans(readers);
    this.slots = new ListWriteSlots(pool, count);
    this.lender = new SlotLender(memory, { slots: this.slots, clock: this.clock });
    this.takers = Array.from({ length: readers }, () => new LoanTaker(memory));
  }

  took(slot: number): void {
    if (slot >= 0) this.inHand.push(slot);
  }

  /** All that readers have in hand arrives and is done with; then everything must be back. Says what is wrong. */
  problem(): string | undefined {
    if (new Set(this.inHand).size !== this.inHand.length) return 'two readers have one slot';
    for (const slot of this.inHand.splice(0)) {
      this.lender.arrived();
      this.lender.done(slot);
    }
    this.lender.recall();
    if (this.lender.lent !== 0) return `${this.lender.lent} are still lent`;
    if (this.slots.used !== 0 || !this.slots.isWhole) return `${this.slots.used} slots are lost`;
    if (this.takers.some((taker) => taker.take() >= 0)) return 'a slot is lent after the recall';
    return undefined;
  }
}

/** What the main thread does; a slot of a reader may have arrived before. */
const STEPS: Record<string, (scene: Scene) => void> = {
  wanted: ({ lender }) => lender.wanted(),
  recall: ({ lender }) => lender.recall(),
  'arrived and done': ({ lender, inHand }) => {
    const slot = inHand.pop();
    if (slot === undefined) return;
    lender.arrived();
    lender.done(slot);
  },
  'arrived and kept': ({ lender, inHand, slots }) => {
    const slot = inHand.pop();
    if (slot === undefined) return;
    lender.arrived();
    lender.kept();
    slots.give(slot);
  },
};

t.test('every interleaving of two readers with the main thread', (t) => {
  const scripts = Object.keys(STEPS).flatMap((one) =>
    Object.keys(STEPS).flatMap((two) => Object.keys(STEPS).map((three) => [one, two, three])),
  );
  const problems = new Map<string, string>();
  let runs = 0;
  let taken = 0;
  for (const lentBefore of [false, true]) {
    for (const script of scripts) {
      const prepare = (): Scene => {
        // Two may be lent: cells change hands all the time.
        const scene = new Scene(1, 16);
        if (lentBefore) {
          scene.lender.wanted();
          scene.took(scene.takers[0]?.take() ?? -1);
        }
        return scene;
      };
      const main = (scene: Scene): void => {
        for (const name of script) STEPS[name]?.(scene);
      };
      const length = countOperations(() => main(prepare()));
      const takeLength = 10;
      for (let piece = 0; piece <= takeLength; piece++) {
        for (let first = 0; first <= length; first++) {
          for (let second = first; second <= length; second += 2) {
            if (piece === 0 && second > first) break;
            runs++;
            const scene = prepare();
            const [taker] = scene.takers;
            if (!taker) throw new Error('there is a reader');
            const stepped = new Stepped(() => taker.take());
            let isOver = false;
            const finish = (): void => {
              if (isOver) return;
              isOver = true;
              const slot = stepped.finish();
              if (slot >= 0) taken++;
              scene.took(slot);
              // Another reader, at once.
              scene.took(taker.take());
            };
            withHook(
              (at) => {
                if (at === first) stepped.advance(piece);
                if (at === second) finish();
              },
              () => main(scene),
            );
            finish();
            const problem = scene.problem();
            if (problem !== undefined) problems.set(problem, `${script.join('; ')}: ${piece}@${first}, rest@${second}`);
          }
        }
      }
    }
  }
  t.same([...problems], []);
  t.ok(taken > runs / 20 && taken < runs, `${taken} of ${runs} found a slot`);
  t.end();
});

t.test(
  'nothing is lent before the first large WRITE; then some for each reader, an eighth of the share at most',
  (t) => {
    const scene = new Scene(2, 40);
    t.equal(scene.takers[0]?.take(), -1);
    t.equal(scene.slots.used, 0);
    scene.lender.wanted();
    t.equal(scene.lender.lent, 5);
    t.equal(scene.slots.used, 5);
    scene.lender.wanted();
    t.equal(scene.slots.used, 5, 'no more');
    const large = new Scene(2, 40);
    large.slots.slotsMax = 400;
    large.lender.wanted();
    t.equal(large.lender.lent, 8, 'four a reader');
    const small = new Scene(2, 7);
    small.lender.wanted();
    t.equal(small.slots.used, 0, 'of a share this small none: every slot is needed');
    for (const one of [scene, large, small]) t.equal(one.problem(), undefined);
    t.end();
  },
);

t.test('a slot that was only passed through is lent again; one that was kept is replaced by the next WRITE', (t) => {
  const { lender, slots, takers } = new Scene(1, 16);
  const [taker] = takers;
  if (!taker) throw new Error('there is a reader');
  lender.wanted();
  const slot = taker.take();
  t.ok(slot >= 0);
  lender.arrived();
  t.equal(lender.lent, 1);
  lender.done(slot);
  t.equal(lender.lent, 2);
  t.equal(slots.used, 2);
  const kept = taker.take();
  lender.arrived();
  t.equal(lender.lent, 1);
  lender.wanted();
  t.equal(lender.lent, 1, 'one whose WRITE waits counts');
  lender.kept();
  lender.wanted();
  t.equal(lender.lent, 2);
  t.equal(slots.used, 3, 'one with its new owner');
  slots.give(kept);
  lender.recall();
  t.equal(slots.used, 0);
  t.end();
});

t.test('two seconds after the last large WRITE the slots go back, those in hand with the next message', (t) => {
  const { lender, slots, takers, clock } = new Scene(2, 40);
  const [taker] = takers;
  if (!taker) throw new Error('there is a reader');
  lender.wanted();
  const inHand = taker.take();
  clock.advance(1900);
  lender.wanted();
  clock.advance(2000);
  t.equal(lender.lent, 5, 'one came since the first look');
  t.ok(taker.lending);
  clock.advance(2000);
  t.equal(slots.used, 1, 'but for the one in hand');
  t.notOk(taker.lending);
  t.equal(taker.take(), -1);
  lender.arrived();
  lender.done(inHand);
  t.equal(slots.used, 0);
  t.equal(clock.pending, 0, 'no timer while nobody writes');
  lender.wanted();
  t.equal(lender.lent, 5, 'and again');
  lender.close();
  t.equal(slots.used, 0);
  t.equal(clock.pending, 0);
  t.end();
});
