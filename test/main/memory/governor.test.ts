/**
 * The governor against a machine of words: what is resident is heaps, listings and the pool's touched slots. Rules for any
 * course of the heaps: with room the pool may grow, without it memory goes in order, never below the floor, and afterwards
 * everything comes back.
 */
import fc from 'fast-check';
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { silentLog } from '../../../src/base/log.js';
import { MIB } from '../../../src/base/units.js';
import { MemoryGovernor } from '../../../src/main/memory/governor.js';
import { listingShare } from '../../../src/main/memory/listing-share.js';

const TARGET = 256;
const FLOOR = 32;
const POOL = 64;

class Machine {
  readonly clock = new ManualClock();
  heapMib = 150;
  touched = 0;
  /** Of them, with writers. */
  lent = 0;
  /** Slots that hold nothing anybody will miss, and what was read ahead; the rest is pinned or filling. */
  spare = 0;
  ahead = 0;
  allowed = Infinity;
  listingsMib = 0;
  readonly calls: string[] = [];
  readonly governor: MemoryGovernor;
  readonly listings = {
    bytes: 0,
    bytesMax: 16 * MIB,
    setBytesMax: (bytesMax: number): void => {
      this.listings.bytesMax = bytesMax;
      this.listings.bytes = Math.min(this.listings.bytes, bytesMax);
    },
  };

  constructor() {
    // Which object `this` is stands in a constant for the getter below.
    // eslint-disable-next-line @typescript-eslint/no-this-alias
    const machine = this;
    this.governor = new MemoryGovernor(
      { targetBytes: TARGET * MIB, poolFloorSlots: FLOOR },
      {
        residentBytes: () => this.residentMib * MIB,
        pool: {
          get touchedSlots() {
            return machine.touched;
          },
          get lentSlots() {
            return machine.lent;
          },
          allowFresh: (slots) => (this.allowed = slots),
          giveBack: (slotsMax, room) => {
            const spare = Math.min(slotsMax, this.spare);
            const ahead = room === 'any' ? Math.min(slotsMax - spare, this.ahead) : 0;
            this.spare -= spare;
            this.ahead -= ahead;
            this.touched -= spare + ahead;
            if (slotsMax > 0) this.calls.push(`pool ${room} ${spare + ahead}`);
            return spare + ahead;
          },
        },
        caches: [listingShare(this.listings)],
        lastResort: () => this.calls.push('last resort'),
        clock: this.clock,
        log: silentLog,
      },
    );
  }

  get residentMib(): number {
    return this.heapMib + this.touched + this.listings.bytes / MIB;
  }

  /** The pool is used as far as it may. */
  read(slots: number, spareShare = 1): void {
    const fresh = Math.min(slots, this.allowed, POOL - this.touched);
    this.touched += fresh;
    this.allowed -= fresh;
    this.spare += Math.floor(fresh * spareShare);
    this.ahead += fresh - Math.floor(fresh * spareShare);
  }

  take(): string[] {
    return this.calls.splice(0);
  }
}

t.test('with room the pool may touch what fits under the margin', (t) => {
  const machine = new Machine();
  machine.governor.tick();
  t.equal(machine.allowed, TARGET - 16 - 150);
  machine.heapMib = 230;
  machine.governor.tick();
  t.equal(machine.allowed, FLOOR, 'its floor in any case');
  machine.read(20);
  machine.governor.tick();
  t.equal(machine.allowed, FLOOR - 20, 'what it has counts');
  t.same(machine.take(), [], 'below the target nothing is taken');
  t.end();
});

t.test('over the target: listings, then idle pool, then what was read ahead, then the allocators', (t) => {
  const machine = new Machine();
  machine.governor.tick();
  machine.read(60, 0.5);
  machine.listings.bytes = 10 * MIB;
  machine.heapMib = 191;
  machine.governor.tick();
  t.equal(machine.listings.bytes, 5 * MIB, 'five too many: names are enough');
  t.same(machine.take(), []);
  machine.heapMib = 201;
  machine.governor.tick();
  t.equal(machine.listings.bytes, 2 * MIB, 'the least of names');
  t.same(machine.take(), ['pool spare 7']);
  machine.heapMib = 250;
  machine.governor.tick();
  t.same(machine.take(), ['pool any 21'], 'pressing: what was read ahead too, down to the floor');
  t.equal(machine.touched, FLOOR);
  t.equal(machine.allowed, 0);
  machine.heapMib = 260;
  machine.governor.tick();
  machine.governor.tick();
  t.same(machine.take(), ['last resort'], 'not at every look');
  machine.clock.advance(15_000);
  machine.governor.tick();
  t.same(machine.take(), ['last resort']);
  t.end();
});

t.test('what writers hold stays, and READs keep half of the floor beside it', (t) => {
  const machine = new Machine();
  machine.governor.tick();
  machine.read(60);
  machine.lent = 30;
  machine.spare -= 30;
  machine.heapMib = 250;
  machine.governor.tick();
  t.same(machine.take(), ['pool any 14', 'last resort'], 'down to what writers hold and 16');
  t.equal(machine.touched, 46);
  machine.lent = 46;
  machine.governor.tick();
  t.same(machine.take(), []);
  t.equal(machine.allowed, 16, 'all is with writers: so many may be touched for READs, target or not');
  t.end();
});

t.test('after it names may have their share again, slowly', (t) => {
  const machine = new Machine();
  machine.listings.bytes = 16 * MIB;
  machine.heapMib = 250;
  machine.governor.tick();
  t.equal(machine.listings.bytesMax, 6 * MIB);
  machine.heapMib = 150;
  const bounds: number[] = [];
  for (let tick = 0; tick < 14; tick++) {
    machine.governor.tick();
    bounds.push(machine.listings.bytesMax / MIB);
  }
  t.same(bounds, [6, 6, 6, 6, 6, 6, 6, 6, 6, 14, 16, 16, 16, 16]);
  t.end();
});

t.test('it looks by itself, until it is closed', (t) => {
  const machine = new Machine();
  machine.governor.start();
  machine.heapMib = 200;
  machine.clock.advance(600);
  t.equal(machine.governor.counts.peakBytes, 200 * MIB);
  machine.governor.close();
  machine.heapMib = 220;
  machine.clock.advance(5000);
  t.equal(machine.governor.counts.peakBytes, 200 * MIB);
  t.end();
});

t.test(
  'any course: the pool keeps its floor, and is over the target only by what heaps grew between two looks',
  (t) => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ heapMib: fc.integer({ min: 120, max: 210 }), read: fc.nat(64), listed: fc.nat(16) }), {
          minLength: 5,
          maxLength: 40,
        }),
        (course) => {
          const machine = new Machine();
          machine.governor.tick();
          for (const { heapMib, read, listed } of course) {
            machine.heapMib = heapMib;
            machine.read(read, 0.7);
            machine.listings.bytes = Math.min(listed * MIB, machine.listings.bytesMax);
            const before = machine.touched;
            machine.governor.tick();
            if (before >= FLOOR && machine.touched < FLOOR) return false;
            // Nothing changes: one more look has to bring it within the target, the margin of the pool's floor aside.
            machine.governor.tick();
            machine.governor.tick();
            if (machine.residentMib > TARGET && machine.spare > 0 && machine.touched > FLOOR) return false;
          }
          return true;
        },
      ),
    );
    t.end();
  },
);
