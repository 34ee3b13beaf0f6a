/**
 * Random histories of a whole prefetcher on simulated net threads: several handles and versions, pools so small that
 * READs starve, failures, interrupts, closes, forgotten versions. Every byte of every answer is compared, every READ is
 * answered once, and in the end nothing is pinned, parked or under way. Then faults stop, and every READ must succeed.
 * A failure names its seed: HISTORY_SEED=n replays that one alone.
 */
import { constants } from 'node:os';
import t from 'tap';
import { EINTR, EIO, ESTALE } from '../../src/base/errno.js';
import type { ObjectReader, ObjectVersion } from '../../src/prefetch/api.js';
import { Random } from '../support/simulated-net-random.js';
import { SimulatedMount, versionOf, type KernelRead } from '../support/simulated-net-mount.js';

const { EACCES } = constants.errno;
const MIB = 1024 * 1024;
const HISTORIES = 150;
const SIZES = [1, 4095, 4096, 65_537, MIB - 1, MIB, MIB + 1, 3 * MIB + 12_345, 9 * MIB, 24 * MIB + 1];

interface Handle {
  readonly version: ObjectVersion;
  readonly reader: ObjectReader;
  position: number;
}

/** What came up in all histories: a test in which nobody ever starves proves little. */
const seen = {
  written: 0,
  writersWaited: 0,
  writersGaveUp: 0,
  reads: 0,
  starved: 0,
  interrupted: 0,
  failed: 0,
  elsewhere: 0,
  versionLost: 0,
};

/** A writer's slot, or the wait for one; what is written there is its number. */
interface Written {
  readonly fill: number;
  slot: number | undefined;
  readonly controller: AbortController;
}

async function history(seed: number): Promise<string[]> {
  const random = new Random(seed * 7919);
  let faults = random.chance(0.5);
  const faultRate = random.pick([0.05, 0.3, 0.9]);
  const mount = new SimulatedMount({
    seed,
    slots: 4 + random.below(7),
    threads: 1 + random.below(3),
    partBytes: random.pick([1, 2, 8]) * MIB,
    chunkBytesMax: random.pick([200_000, MIB]),
    outcome: (fetch) =>
      faults && random.chance(faultRate)
        ? { errno: random.pick([EIO, ESTALE, EACCES]), afterBytes: random.below(fetch.endOffset - fetch.startOffset) }
        : undefined,
  });
  const versions = Array.from({ length: 1 + random.below(4) }, (_, at) =>
    versionOf(random.pick([0, 2 ** 31, 2 ** 33]) + 10 + at, random.pick(SIZES)),
  );
  const handles: Handle[] = [];
  const reads: KernelRead[] = [];
  const open = (): void => {
    const version = random.pick(versions);
    handles.push({ version, reader: mount.prefetcher.open(version), position: 0 });
  };
  const read = (): void => {
    const handle = random.pick(handles);
    const { version } = handle;
    const sizeBytes = random.pick([1, 4096, 131_072, 131_072, MIB, 1 + random.below(MIB)]);
    const sequential = random.chance(0.7);
    const offset = sequential ? handle.position : random.below(version.sizeBytes + 1);
    handle.position = offset + sizeBytes > version.sizeBytes ? 0 : offset + sizeBytes;
    if (random.chance(0.3) && mount.readResident(handle.reader, version, offset, sizeBytes)) return;
    reads.push(mount.read(handle.reader, version, offset, sizeBytes, random.chance(0.8), random.chance(0.02)));
    if (mount.prefetcher.counts.starved > 0) seen.starved++;
  };
  const slots = mount.prefetcher.writeSlots;
  const written = new Set<Written>();
  let fill = 0;
  const write = (): void => {
    const one: Written = { fill: ++fill & 0xff, slot: slots.take(), controller: new AbortController() };
    const put = (slot: number): void => {
      one.slot = slot;
      slots.bytes(slot, 0, MIB).fill(one.fill);
      seen.written++;
    };
    written.add(one);
    if (one.slot !== undefined) return put(one.slot);
    if (slots.slotsMax === 0) return void written.delete(one);
    seen.writersWaited++;
    void slots.wait(one.controller.signal).then(put, () => {
      seen.writersGaveUp++;
      written.delete(one);
    });
  };
  const give = (one: Written): void => {
    if (one.slot === undefined) {
      one.controller.abort();
      return;
    }
    if (Buffer.compare(slots.bytes(one.slot, 0, MIB), Buffer.alloc(MIB, one.fill)) !== 0)
      mount.problems.push(`a writer's slot ${one.slot} was written over`);
    slots.give(one.slot);
    written.delete(one);
  };
  const acts: (readonly [weight: number, act: () => void])[] = [
    [1, () => (handles.length < 6 ? open() : undefined)],
    [12, () => (handles.length > 0 && mount.waiting.length < 24 ? read() : undefined)],
    [25, () => void mount.net.step()],
    [10, () => Array.from({ length: 10 }, () => mount.net.step())],
    [1, () => (mount.waiting.length > 0 ? mount.interrupt(random.pick(mount.waiting)) : undefined)],
    [1, () => mount.clock.advance(random.pick([1, 5, 900, 2500]))],
    [3, write],
    [3, () => (written.size > 0 ? give(random.pick([...written])) : undefined)],
    [
      1,
      () => {
        const [closed] = handles.splice(random.below(handles.length), 1);
        closed?.reader.close();
        if (closed && random.chance(0.3)) closed.reader.close();
        if (closed && random.chance(0.3)) mount.prefetcher.forgetVersion(closed.version.nodeId);
      },
    ],
  ];
  const weights = acts.reduce((sum, [weight]) => sum + weight, 0);
  for (let step = 60 + random.below(500); step > 0; step--) {
    let at = random.below(weights);
    for (const [weight, act] of acts) {
      if (at < weight) {
        act();
        // Writers that waited hear of their slot.
        await Promise.resolve();
        break;
      }
      at -= weight;
    }
  }
  // Faults stop: what is under way ends one way or the other, what comes then succeeds, writers or not.
  faults = false;
  mount.run();
  if (slots.used < slots.slotsMax && slots.waiting > 0) mount.problems.push('writers wait although they need not');
  for (const one of reads) {
    const allowed = [
      0,
      ...(one.interrupted ? [EINTR] : []),
      ...(mount.net.gets.length > 0 ? [EIO, ESTALE, EACCES] : []),
    ];
    if (one.errno === undefined || !allowed.includes(one.errno)) {
      mount.problems.push(`READ ${one.id} of ${one.version.nodeId} ended with ${one.errno}`);
    }
  }
  seen.reads += reads.length;
  seen.interrupted += reads.filter(({ errno }) => errno === EINTR).length;
  seen.failed += reads.filter(({ errno }) => errno !== 0 && errno !== EINTR).length;
  seen.elsewhere += mount.net.sentElsewhere;
  seen.versionLost += mount.lost.length;
  if (handles.length === 0) open();
  const late = Array.from({ length: 6 }, () => {
    const handle = random.pick(handles);
    const { version } = handle;
    const offset = random.below(version.sizeBytes);
    return mount.read(handle.reader, version, offset, 1 + random.below(MIB), random.chance(0.5));
  });
  mount.run();
  for (const one of late) if (one.errno !== 0) mount.problems.push(`after the faults READ ${one.id} got ${one.errno}`);
  for (const handle of handles) handle.reader.close();
  while (written.size > 0) {
    for (const one of written) if (one.slot !== undefined) give(one);
    await Promise.resolve();
  }
  if (slots.used + slots.waiting > 0) mount.problems.push('writers are left');
  return mount.finish();
}

t.test('random histories', async (t) => {
  const only = process.env['HISTORY_SEED'];
  const first = only ? Number(only) : 1;
  const failed: string[] = [];
  for (let seed = first; seed < first + (only ? 1 : HISTORIES); seed++) {
    try {
      const problems = await history(seed);
      if (problems.length > 0) failed.push(`seed ${seed}: ${problems.slice(0, 3).join('; ')}`);
    } catch (error) {
      failed.push(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
    if (failed.length >= 5) break;
  }
  t.same(failed, []);
  if (!only) for (const [what, count] of Object.entries(seen)) t.ok(count > 20, `${what}: ${count}`);
  t.end();
});
