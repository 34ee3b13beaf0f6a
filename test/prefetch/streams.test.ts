/**
 * What reading costs: bytes and GETs of streams on a simulated net, alone, several, in pools of all sizes; what a full
 * pool, an idle stream, a failing store and a version that is opened again do. All of it counted, nothing timed.
 */
import t, { type Test } from 'tap';
import { EINTR, EIO, ESTALE } from '../../src/base/errno.js';
import type { ObjectReader, ObjectVersion } from '../../src/prefetch/api.js';
import { PRIORITY_WAITING } from '../../src/engine/api.js';
import { SimulatedMount, versionOf, type KernelRead } from '../support/simulated-net-mount.js';

const MIB = 1024 * 1024;
const KIB = 1024;

/** A reader that keeps `depth` READs of `requestBytes` under way until it has read to the end. */
class Scan {
  readonly #mount: SimulatedMount;
  readonly #reader: ObjectReader;
  readonly #version: ObjectVersion;
  readonly #requestBytes: number;
  readonly #depth: number;
  #reads: KernelRead[] = [];
  offset: number;

  constructor(mount: SimulatedMount, version: ObjectVersion, requestBytes: number, depth: number, offset = 0) {
    this.#mount = mount;
    this.#version = version;
    this.#reader = mount.prefetcher.open(version);
    this.#requestBytes = requestBytes;
    this.#depth = depth;
    this.offset = offset;
  }

  get done(): boolean {
    return this.offset >= this.#version.sizeBytes && this.waiting === 0;
  }

  get waiting(): number {
    this.#reads = this.#reads.filter(({ errno }) => errno === undefined);
    return this.#reads.length;
  }

  /** Sends what it may; true when it sent something. */
  pump(): boolean {
    let sent = false;
    while (this.waiting < this.#depth && this.offset < this.#version.sizeBytes) {
      const { offset } = this;
      this.offset += this.#requestBytes;
      this.#reads.push(this.#mount.read(this.#reader, this.#version, offset, this.#requestBytes));
      sent = true;
    }
    return sent;
  }

  close(): void {
    this.#reader.close();
  }
}

/** Runs scans side by side, in turns that the mount's seed decides, to their end. */
function runScans(mount: SimulatedMount, scans: readonly Scan[], stepsBetween = 3): void {
  for (let turns = 0; !scans.every(({ done }) => done); turns++) {
    if (turns > 2_000_000) throw new Error('the scans do not come to an end');
    const scan = mount.random.pick(scans);
    scan.pump();
    for (let step = mount.random.below(stepsBetween + 1); step > 0; step--) if (!mount.net.step()) break;
    if (mount.prefetcher.counts.starved > 0 && mount.net.idle) mount.clock.advance(1);
  }
}

function finish(t: Test, mount: SimulatedMount, scans: readonly Scan[] = []): void {
  for (const scan of scans) scan.close();
  t.same(mount.finish(), []);
}

t.test('one scan of 256 MiB: every byte once, in parts of 8 MiB once the window has grown', (t) => {
  for (const [requestBytes, depth] of [
    [100_000, 3],
    [MIB, 16],
  ] as const) {
    const mount = new SimulatedMount({ seed: 1, slots: 256, threads: 2 });
    const version = versionOf(5, 256 * MIB);
    const scan = new Scan(mount, version, requestBytes, depth);
    runScans(mount, [scan]);
    const { gets } = mount.net;
    t.equal(mount.net.bytesBrought, version.sizeBytes, `${requestBytes} x ${depth}: each byte once`);
    t.ok(gets.length <= 60, `${gets.length} GETs`);
    const late = gets.filter(({ startOffset }) => startOffset >= 64 * MIB);
    const whole = late.filter(({ startOffset, endOffset }) => endOffset - startOffset === 8 * MIB);
    t.ok(whole.length >= late.length - 2, `${whole.length} of ${late.length} GETs after 64 MiB are whole parts`);
    finish(t, mount, [scan]);
  }
  t.end();
});

t.test('a scan waits for its own bytes only: what it waits for goes out first', (t) => {
  const mount = new SimulatedMount({ seed: 2, slots: 64 });
  const version = versionOf(6, 64 * MIB);
  const reader = mount.prefetcher.open(version);
  mount.read(reader, version, 0, 128 * KIB);
  while (mount.net.gets.length < 2) mount.net.step();
  t.same(mount.net.gets.map(({ priority, startOffset }) => [priority, startOffset]).slice(0, 2), [
    [PRIORITY_WAITING, 0],
    [1, MIB],
  ]);
  mount.run();
  reader.close();
  finish(t, mount);
  t.end();
});

t.test(
  'several scans of different objects in pools of all sizes: no byte twice while the pool holds what they read',
  (t) => {
    for (const [slots, streams, requestBytes] of [
      [8, 1, 128 * KIB],
      [8, 2, 128 * KIB],
      [16, 3, MIB],
      [16, 4, 100_000],
      [32, 8, 128 * KIB],
      [64, 8, MIB],
    ] as const) {
      const mount = new SimulatedMount({ seed: slots + streams, slots, threads: 2 });
      const bytes = 24 * MIB + 5;
      const scans = Array.from(
        { length: streams },
        (_, at) => new Scan(mount, versionOf(100 + at, bytes), requestBytes, 2),
      );
      runScans(mount, scans);
      const over = mount.net.bytesBrought / (streams * bytes);
      t.ok(over <= 1.05, `${slots} slots, ${streams} streams of ${requestBytes}: ${over.toFixed(3)} times the bytes`);
      finish(t, mount, scans);
    }
    t.end();
  },
);

t.test('more streams than the pool can serve: slow, never stuck', (t) => {
  const mount = new SimulatedMount({ seed: 9, slots: 4, threads: 2 });
  const scans = Array.from({ length: 12 }, (_, at) => new Scan(mount, versionOf(200 + at, 3 * MIB), 300_000, 2));
  runScans(mount, scans);
  finish(t, mount, scans);
  t.end();
});

t.test(
  'eight handles that read one object close together fetch it about once, also when it is larger than the pool',
  (t) => {
    for (const slots of [24, 64]) {
      const mount = new SimulatedMount({ seed: slots, slots, threads: 2 });
      const version = versionOf(7, 40 * MIB);
      const scans = Array.from({ length: 8 }, () => new Scan(mount, version, 128 * KIB, 2));
      // Close together: nobody runs more than 2 MiB ahead of the last.
      for (let turns = 0; !scans.every(({ done }) => done); turns++) {
        if (turns > 2_000_000) throw new Error('the scans do not come to an end');
        const behind = Math.min(...scans.map(({ offset }) => offset));
        const scan = mount.random.pick(scans);
        if (scan.offset <= behind + 2 * MIB) scan.pump();
        for (let step = mount.random.below(4); step > 0; step--) if (!mount.net.step()) break;
        if (mount.prefetcher.counts.starved > 0 && mount.net.idle) mount.clock.advance(1);
      }
      const over = mount.net.bytesBrought / version.sizeBytes;
      t.ok(over <= 1.05, `${slots} slots: ${over.toFixed(3)} times the object`);
      finish(t, mount, scans);
    }
    t.end();
  },
);

t.test('random reads bring what was asked, to the page', (t) => {
  const mount = new SimulatedMount({ seed: 4, slots: 16 });
  const version = versionOf(8, 4096 * MIB);
  const reader = mount.prefetcher.open(version);
  let asked = 0;
  for (let at = 0; at < 50; at++) {
    mount.read(reader, version, 5000 + at * 77 * MIB, 6000);
    asked += 12 * KIB;
    mount.run();
  }
  t.ok(mount.net.bytesBrought <= asked, `${mount.net.bytesBrought} of ${asked}`);
  t.equal(mount.net.gets.length, 50);
  reader.close();
  finish(t, mount);
  t.end();
});

t.test('a READ over two blocks of which one is resident: making room for the second keeps the first', (t) => {
  const mount = new SimulatedMount({ seed: 5, slots: 4 });
  const version = versionOf(9, 64 * MIB);
  const reader = mount.prefetcher.open(version);
  // Four blocks wholly read, each by a random READ: all slots are spent, the oldest goes first.
  for (const block of [10, 20, 30, 40]) {
    mount.read(reader, version, block * MIB, MIB);
    mount.run();
  }
  const read = mount.read(reader, version, 10 * MIB + MIB / 2, MIB);
  mount.run();
  t.equal(read.errno, 0);
  reader.close();
  finish(t, mount);
  t.end();
});

t.test('READs that wait for room are served in their order, and one that needs two slots is not overtaken', (t) => {
  const mount = new SimulatedMount({ seed: 6, slots: 4 });
  const version = versionOf(10, 900 * MIB);
  const reader = mount.prefetcher.open(version);
  const first = [100, 200, 300, 400].map((block) => mount.read(reader, version, block * MIB, 4096));
  const two = mount.read(reader, version, 501 * MIB - 4096, 8192);
  const later = [600, 700, 800].map((block) => mount.read(reader, version, block * MIB, 4096));
  t.equal(mount.prefetcher.counts.starved, 4);
  mount.run(() => two.errno !== undefined);
  t.ok(first.some(({ errno }) => errno === 0));
  const asked = mount.net.gets.map(({ startOffset }) => Math.floor(startOffset / MIB));
  const position = asked.indexOf(500);
  t.ok(
    [600, 700, 800].every((block) => !asked.includes(block) || asked.indexOf(block) > position),
    `asked in the order ${asked.join(' ')}`,
  );
  mount.run();
  t.ok(later.every(({ errno }) => errno === 0));
  reader.close();
  finish(t, mount);
  t.end();
});

t.test('an interrupt reaches a READ wherever it is: parked, waiting for room, or not yet handed over', (t) => {
  const mount = new SimulatedMount({ seed: 7, slots: 4 });
  const version = versionOf(11, 900 * MIB);
  const reader = mount.prefetcher.open(version);
  const parked = [1, 2, 3, 4].map((block) => mount.read(reader, version, block * 100 * MIB, 4096));
  const starved = mount.read(reader, version, 700 * MIB, 4096);
  mount.interrupt(starved);
  t.equal(starved.errno, EINTR, 'at once');
  const early = mount.read(reader, version, 710 * MIB, 4096, true, true);
  t.equal(early.errno, EINTR, 'at once');
  const [first] = parked;
  if (first) mount.interrupt(first);
  mount.run();
  t.ok(first?.errno === EINTR || first?.errno === 0);
  t.ok(parked.slice(1).every(({ errno }) => errno === 0));
  const parkedEarly = mount.read(reader, version, 800 * MIB, 4096, true, true);
  t.equal(parkedEarly.errno, EINTR, 'with room');
  reader.close();
  finish(t, mount);
  t.end();
});

t.test('a READ without a ticket is never handed over: this thread answers it, parked or starved', (t) => {
  const mount = new SimulatedMount({ seed: 8, slots: 4 });
  const version = versionOf(18, 900 * MIB);
  const reader = mount.prefetcher.open(version);
  const reads = [1, 2, 3, 4, 5, 6].map((block) => mount.read(reader, version, block * 100 * MIB, 4096, false));
  t.ok(mount.prefetcher.counts.starved > 0);
  mount.run();
  t.ok(reads.every(({ errno }) => errno === 0));
  reader.close();
  finish(t, mount);
  t.end();
});

t.test('an idle stream gives its share back, and has it again when it is read again', (t) => {
  const mount = new SimulatedMount({ seed: 8, slots: 64 });
  const big = 200 * MIB;
  const one = versionOf(12, big);
  const other = versionOf(13, big);
  const readerOne = mount.prefetcher.open(one);
  const readerOther = mount.prefetcher.open(other);
  const scan = (reader: ObjectReader, version: ObjectVersion, fromMib: number, toMib: number): void => {
    for (let at = fromMib; at < toMib; at++) {
      mount.read(reader, version, at * MIB, MIB);
      mount.run();
    }
  };
  const ahead = (version: ObjectVersion): number =>
    [...(mount.prefetcher.index.blocksOf(version.nodeId)?.values() ?? [])].filter(
      ({ consumedBytes }) => consumedBytes === 0,
    ).length;
  scan(readerOne, one, 0, 20);
  t.ok(ahead(one) > 20, 'alone: half of the pool, less what waits to become a part');
  scan(readerOther, other, 0, 20);
  t.ok(ahead(other) <= 16, 'two streams: a quarter each');
  mount.clock.advance(3000);
  scan(readerOther, other, 20, 60);
  t.ok(ahead(other) > 20, 'the first one is idle');
  t.equal(mount.prefetcher.counts.streams, 1);
  scan(readerOne, one, 20, 22);
  t.equal(mount.prefetcher.counts.streams, 2);
  readerOne.close();
  readerOther.close();
  finish(t, mount);
  t.end();
});

t.test('a stream that waits for a late answer reads further ahead from then on', (t) => {
  const mount = new SimulatedMount({ seed: 21, slots: 512 });
  const version = versionOf(14, 1000 * MIB);
  const reader = mount.prefetcher.open(version);
  const readTo = (fromMib: number, toMib: number): void => {
    for (let at = fromMib; at < toMib; at++) {
      mount.read(reader, version, at * MIB, MIB);
      mount.run();
    }
  };
  const ahead = (): number =>
    [...(mount.prefetcher.index.blocksOf(version.nodeId)?.values() ?? [])].filter(
      ({ consumedBytes }) => consumedBytes === 0,
    ).length;
  readTo(0, 200);
  t.ok(ahead() > 48 && ahead() <= 64, `${ahead()} MiB without late answers`);
  mount.net.isLate = ({ startOffset, endOffset }) => startOffset <= 300 * MIB && endOffset > 300 * MIB;
  readTo(200, 301);
  t.ok(mount.waiting.length > 0, 'it stands before what is late, and all else has come');
  mount.net.isLate = () => false;
  mount.run();
  readTo(301, 500);
  t.ok(ahead() > 80 && ahead() <= 96, `${ahead()} MiB after one`);
  reader.close();
  finish(t, mount);
  t.end();
});

t.test('a pool full of what readers who stopped had fetched ahead: others still read, and later read ahead', (t) => {
  const mount = new SimulatedMount({ seed: 10, slots: 16 });
  const stopped = Array.from({ length: 4 }, (_, at) => versionOf(20 + at, 100 * MIB));
  const readers = stopped.map((version) => mount.prefetcher.open(version));
  readers.forEach((reader, at) => {
    const version = stopped[at];
    if (!version) return;
    for (let offset = 0; offset < 3 * MIB; offset += MIB) mount.read(reader, version, offset, MIB);
    mount.run();
  });
  const scan = new Scan(mount, versionOf(30, 40 * MIB), MIB, 2);
  runScans(mount, [scan]);
  t.equal(mount.net.gets.filter(({ key }) => key === 'objects/30').length > 0, true);
  mount.clock.advance(5000);
  const before = mount.net.gets.length;
  const late = new Scan(mount, versionOf(31, 40 * MIB), MIB, 2);
  runScans(mount, [late]);
  t.ok(mount.net.gets.length - before < 30, `${mount.net.gets.length - before} GETs: in runs`);
  for (const reader of readers) reader.close();
  finish(t, mount, [scan, late]);
  t.end();
});

t.test('what a closed reader had fetched ahead stays until somebody needs the room, reading ahead included', (t) => {
  const mount = new SimulatedMount({ seed: 15, slots: 16 });
  const version = versionOf(19, 100 * MIB);
  const reader = mount.prefetcher.open(version);
  for (let at = 0; at < 12; at++) {
    mount.read(reader, version, at * MIB, MIB);
    mount.run();
  }
  reader.close();
  const { resident, spent } = mount.prefetcher.index.counts;
  t.equal(resident, 16);
  t.equal(spent, 16, 'all of it may go');
  const bytes = mount.net.bytesBrought;
  const again = mount.prefetcher.open(version);
  const held = mount.read(again, version, 12 * MIB, MIB);
  t.equal(held.errno, 0, 'but is still there');
  t.equal(mount.net.bytesBrought, bytes);
  again.close();
  finish(t, mount);
  t.end();
});

t.test('a failing store hears from waiting readers only, until reading ahead is tried again', (t) => {
  let broken = false;
  const mount = new SimulatedMount({
    seed: 11,
    slots: 64,
    outcome: () => (broken ? { errno: EIO, afterBytes: 0 } : undefined),
  });
  const version = versionOf(14, 200 * MIB);
  const reader = mount.prefetcher.open(version);
  for (let at = 0; at < 20; at++) {
    mount.read(reader, version, at * MIB, MIB);
    mount.run();
  }
  broken = true;
  const before = mount.net.gets.length;
  // What was fetched ahead is read; each access would like to read further ahead.
  let failed = 0;
  for (let at = 20; at < 80; at++) {
    const read = mount.read(reader, version, at * MIB, MIB);
    mount.run();
    if (read.errno === EIO) failed++;
  }
  t.ok(failed > 10, `${failed} READs past what was there fail`);
  t.ok(
    mount.net.gets.length - before <= failed + 1,
    `${mount.net.gets.length - before} GETs for ${failed} failed READs`,
  );
  broken = false;
  mount.clock.advance(1500);
  const again = mount.read(reader, version, 80 * MIB, MIB);
  mount.read(reader, version, 81 * MIB, MIB);
  mount.run();
  t.equal(again.errno, 0);
  t.ok(
    mount.net.gets.slice(-2).some(({ priority }) => priority !== PRIORITY_WAITING),
    'reads ahead again',
  );
  reader.close();
  finish(t, mount);
  t.end();
});

t.test(
  'a version that the store lost: ESTALE, and the file system hears of it; what is resident stays readable',
  (t) => {
    let lost = false;
    const mount = new SimulatedMount({
      seed: 12,
      slots: 8,
      outcome: () => (lost ? { errno: ESTALE, afterBytes: 0 } : undefined),
    });
    const version = versionOf(15, 100 * MIB);
    const reader = mount.prefetcher.open(version);
    mount.read(reader, version, 50 * MIB, 4096);
    mount.run();
    lost = true;
    const gone = mount.read(reader, version, 70 * MIB, 4096);
    mount.run();
    t.equal(gone.errno, ESTALE);
    t.same(mount.lost, [15]);
    const held = mount.read(reader, version, 50 * MIB, 4096);
    mount.run();
    t.equal(held.errno, 0);
    reader.close();
    finish(t, mount);
    t.end();
  },
);

t.test('the last close ends what is under way; who opens the version again does not wait for it', (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const mount = new SimulatedMount({ seed, slots: 32, threads: 2, chunkBytesMax: 100_000 });
    const version = versionOf(16, 64 * MIB);
    const reader = mount.prefetcher.open(version);
    const read = mount.read(reader, version, 0, 128 * KIB);
    mount.run(() => read.errno !== undefined && mount.plane.counts.reads === 0);
    reader.close();
    const again = mount.prefetcher.open(version);
    const elsewhere = mount.net.sentElsewhere;
    const second = mount.read(again, version, MIB, MIB);
    mount.run();
    if (second.errno !== 0) t.fail(`seed ${seed}: ${second.errno}`);
    if (mount.net.sentElsewhere !== elsewhere) t.fail(`seed ${seed}: waited for a cancelled fetch first`);
    again.close();
    const problems = mount.finish();
    if (problems.length > 0) t.fail(`seed ${seed}: ${problems.join('; ')}`);
  }
  t.end();
});

t.test('a reader that closes with READs under way sees them answered; then its version can be forgotten', (t) => {
  const mount = new SimulatedMount({ seed: 13, slots: 8 });
  const version = versionOf(17, 64 * MIB);
  const reader = mount.prefetcher.open(version);
  const reads = [0, 10, 20].map((block) => mount.read(reader, version, block * MIB, MIB));
  reader.close();
  mount.prefetcher.forgetVersion(17);
  mount.run();
  t.same(
    reads.map(({ errno }) => errno),
    [0, 0, 0],
  );
  t.equal(mount.prefetcher.index.blocksOf(17), undefined, 'forgotten once the last READ was answered');
  const refused = mount.read(reader, version, 0, 1);
  t.ok((refused.errno ?? 0) > 0, 'a closed reader refuses');
  finish(t, mount);
  t.end();
});

t.test('ends of the object: short only there, empty past it', (t) => {
  const mount = new SimulatedMount({ seed: 14, slots: 4 });
  for (const sizeBytes of [0, 1, 4095, MIB, MIB + 1]) {
    const version = versionOf(300 + (sizeBytes % 1000), sizeBytes);
    const reader = mount.prefetcher.open(version);
    for (const offset of [0, sizeBytes - 1, sizeBytes, sizeBytes + 5]) {
      if (offset < 0) continue;
      const read = mount.read(reader, version, offset, MIB);
      mount.run();
      t.equal(read.errno, 0, `${sizeBytes} at ${offset}`);
    }
    reader.close();
  }
  finish(t, mount);
  t.end();
});
