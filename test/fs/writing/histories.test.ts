/**
 * Random histories of files that are written, against plain buffers: writes of all sizes and orders, truncations, holes, reads
 * through any handle, fsync, closes and opens, with few slots and small parts, so that bytes wander between memory, spool,
 * parts and base version; requests to the store take a random time. After each history no slot, no upload and no spool
 * file is left. A failing seed is printed and replays: SEED=n node dist/test/fs/writing/histories.test.js
 */
import t, { type Test } from 'tap';
import { KIB, MIB } from '../../../src/base/units.js';
import { Random } from '../../support/simulated-net-random.js';
import { O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, WriteBench, type TestFile } from './bench.js';

const FILE_BYTES_MAX = 5 * MIB;
const STEPS = 60;

/** A file and what it must hold. */
interface Modelled {
  readonly name: string;
  /** Only appended to, by handles that only write: what was sent need not be kept, and cannot be read or changed again. */
  readonly isStream: boolean;
  content: Buffer;
  handles: { readonly file: TestFile; readonly flags: number }[];
  /** What the bucket must hold; undefined while nobody can know. */
  committed: Buffer | undefined;
  /** RELEASEs that are under way: the kernel waits for none. */
  releases: Promise<void>;
}

/** Requests to the store are answered after some turns of the event loop. */
function slowStore(bench: WriteBench, random: Random): () => void {
  bench.writer.hold(() => random.chance(0.6));
  let isOver = false;
  const turn = (): void => {
    if (isOver) return;
    if (random.chance(0.3)) bench.writer.letGoOldest(1 + random.below(3));
    setImmediate(turn);
  };
  turn();
  return () => {
    isOver = true;
    bench.writer.letGo();
  };
}

function bytesOf(random: Random, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  // Words that tell place and time apart, cheaper than random bytes.
  const salt = random.below(2 ** 31);
  for (let at = 0; at < length; at++) bytes[at] = (salt + at * 31 + (at >>> 8)) & 0xff;
  return bytes;
}

function written(content: Buffer, offset: number, data: Uint8Array): Buffer {
  const grown = offset + data.length > content.length ? Buffer.alloc(offset + data.length) : content;
  if (grown !== content) content.copy(grown);
  grown.set(data, offset);
  return grown;
}

function resized(content: Buffer, sizeBytes: number): Buffer {
  const other = Buffer.alloc(sizeBytes);
  content.copy(other, 0, 0, Math.min(content.length, sizeBytes));
  return other;
}

class History {
  readonly bench: WriteBench;
  readonly random: Random;
  readonly files: Modelled[];
  readonly trace: string[] = [];

  constructor(bench: WriteBench, random: Random, count: number) {
    this.bench = bench;
    this.random = random;
    this.files = Array.from({ length: count }, (_, index) => ({
      name: `f${index}`,
      isStream: random.chance(0.3),
      content: Buffer.alloc(0),
      handles: [],
      committed: undefined,
      releases: Promise.resolve(),
    }));
  }

  async run(file: Modelled, steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#step(file);
    while (file.handles.length > 0) await this.#close(file);
    await file.releases;
    file.committed = Buffer.from(file.content);
    this.#checkObject(file);
  }

  async #step(file: Modelled): Promise<void> {
    const { random } = this;
    if (file.handles.length === 0) return this.#open(file);
    const writable = file.handles.filter(({ flags }) => (flags & 3) !== O_RDONLY);
    const dice = file.isStream && file.handles.length > 0 ? (random.chance(0.1) ? 0.28 : 0.99) : random.next();
    if (dice < 0.03 && file.handles.length < 3) return this.#open(file);
    if (dice < 0.06) return this.#close(file);
    if (dice < 0.2) return this.#read(file);
    if (dice < 0.22) return this.#truncatePath(file);
    if (writable.length === 0) return this.#open(file);
    const { file: handle } = random.pick(writable);
    if (dice < 0.24) {
      const sizeBytes = random.below(Math.min(FILE_BYTES_MAX, file.content.length + 300 * KIB));
      this.trace.push(`${file.name} truncate ${sizeBytes}`);
      await handle.truncate(sizeBytes);
      file.content = resized(file.content, sizeBytes);
      return;
    }
    if (dice < 0.27) {
      const from = random.below(file.content.length + 1);
      const to = Math.min(file.content.length, from + 1 + random.below(200 * KIB));
      if (to <= from) return;
      this.trace.push(`${file.name} punch ${from}..${to}`);
      await this.bench.fs.fallocate(this.bench.context(), handle.nodeId, handle.handle, from, to - from, 3);
      file.content.fill(0, from, to);
      return;
    }
    if (dice < 0.31) {
      this.trace.push(`${file.name} fsync`);
      await handle.fsync();
      file.committed = Buffer.from(file.content);
      this.#checkObject(file);
      return;
    }
    return this.#write(file, handle);
  }

  async #write(file: Modelled, handle: TestFile): Promise<void> {
    const { random } = this;
    const kind = file.isStream ? 0 : random.below(10);
    const end = file.content.length;
    const length = random.pick([1, 100, 4 * KIB, 30 * KIB, 70 * KIB, 300 * KIB, 600 * KIB, MIB]) - random.below(2);
    const offset = kind < 6 ? end : kind < 9 ? random.below(end + 1) : end + random.below(200 * KIB);
    if (length === 0 || offset + length > FILE_BYTES_MAX) return;
    // Small changes in the middle, and long runs at the end.
    const runs = kind < 6 ? 1 + random.below(4) : 1;
    for (let run = 0; run < runs; run++) {
      const at = offset + run * length;
      if (at + length > FILE_BYTES_MAX) return;
      const data = bytesOf(random, length);
      const loaned = length > 200 * KIB && random.chance(0.5);
      this.trace.push(`${file.name} write ${at}+${length}${loaned ? ' loaned' : ''}`);
      const count = await handle.write(at, data, loaned);
      if (count !== length) throw new Error(`${count} of ${length} bytes were taken`);
      file.content = written(file.content, at, data);
    }
  }

  async #read(file: Modelled): Promise<void> {
    const { random } = this;
    const readers = file.handles.filter(({ flags }) => (flags & 3) !== O_WRONLY);
    const reader = readers[random.below(readers.length)];
    if (!reader) return;
    const offset = random.below(file.content.length + 10);
    const length = 1 + random.below(random.chance(0.5) ? 4 * KIB : MIB);
    this.trace.push(`${file.name} read ${offset}+${length}`);
    const got = await reader.file.read(offset, length);
    const want = file.content.subarray(offset, offset + length);
    if (!got.equals(want)) throw new Error(`read ${offset}+${length} of ${file.name}: ${difference(got, want)}`);
    if (reader.file.size() !== file.content.length) throw new Error(`${file.name} has ${reader.file.size()} bytes`);
  }

  async #open(file: Modelled): Promise<void> {
    const { bench, random } = this;
    const isThere = file.handles.length > 0 || bench.store.objects.has(file.name);
    const access = file.isStream ? O_WRONLY : random.pick([O_RDONLY, O_RDWR, O_RDWR]);
    const truncates = access !== O_RDONLY && random.chance(0.3) ? O_TRUNC : 0;
    const flags = isThere ? access | truncates : (file.isStream ? O_WRONLY : O_RDWR) | O_CREAT;
    this.trace.push(`${file.name} open ${flags.toString(8)}`);
    bench.clock.advance(10_000);
    const opened = isThere ? await bench.open(file.name, flags) : await bench.create(file.name, flags);
    file.handles.push({ file: opened, flags });
    if ((flags & (O_TRUNC | O_CREAT)) !== 0) file.content = Buffer.alloc(0);
  }

  /** truncate(2): without a handle. */
  async #truncatePath(file: Modelled): Promise<void> {
    const { bench, random } = this;
    const nodeId = file.handles[0]?.file.nodeId;
    if (nodeId === undefined || file.isStream) return;
    const sizeBytes = random.below(Math.min(FILE_BYTES_MAX, file.content.length + 300 * KIB));
    this.trace.push(`${file.name} truncate the path ${sizeBytes}`);
    file.committed = undefined;
    await bench.fs.setattr(bench.context(), nodeId, { sizeBytes });
    file.content = resized(file.content, sizeBytes);
  }

  async #close(file: Modelled): Promise<void> {
    const [closed] = file.handles.splice(this.random.below(file.handles.length), 1);
    if (!closed) return;
    this.trace.push(`${file.name} close ${closed.flags.toString(8)}`);
    await closed.file.flush();
    const isLast = file.handles.every(({ flags }) => (flags & 3) === O_RDONLY);
    const released = closed.file.release();
    // What comes next comes before its answer, as the kernel does it: it waits for FLUSH only.
    if (this.random.chance(0.5)) {
      file.releases = Promise.all([file.releases, released]).then(() => undefined);
      if (isLast) file.committed = undefined;
      return;
    }
    await Promise.all([released, file.releases]);
    if (file.handles.every(({ flags }) => (flags & 3) === O_RDONLY)) {
      file.committed = Buffer.from(file.content);
      this.#checkObject(file);
    }
  }

  #checkObject(file: Modelled): void {
    const object = this.bench.store.objects.get(file.name)?.body;
    if (!file.committed) return;
    if (!object) throw new Error(`${file.name} is not in the bucket`);
    if (!object.equals(file.committed)) throw new Error(`object ${file.name}: ${difference(object, file.committed)}`);
  }
}

function difference(got: Buffer, want: Buffer): string {
  if (got.length !== want.length) return `${got.length} bytes instead of ${want.length}`;
  let at = 0;
  while (got[at] === want[at]) at++;
  return `differs from byte ${at} on: ${got.subarray(at, at + 8).toString('hex')} instead of ${want.subarray(at, at + 8).toString('hex')}`;
}

interface Setting {
  readonly slots: number;
  readonly files: number;
  readonly partBytes: number;
  readonly copies?: boolean;
  readonly partsMax?: number;
  readonly unequalParts?: boolean;
}

async function runHistory(t: Test, seed: number, setting: Setting): Promise<void> {
  const random = new Random(seed);
  const { slots, files, partBytes, copies = true, partsMax = 10_000, unequalParts = true } = setting;
  const bench = new WriteBench(t, { slots, writing: { partBytes, partBytesMin: 64 * KIB, partsMax } });
  bench.writer.capabilities = { ...bench.writer.capabilities, copyParts: copies, unequalParts };
  const stop = slowStore(bench, random);
  const history = new History(bench, random, files);
  // The program's own deadline, only to say where it stands.
  const stuck = setTimeout(() => {
    const { used, waiting } = bench.slots;
    t.comment(
      `seed ${seed} is stuck: slots ${used} used, ${waiting} waiting; store ${bench.writer.waiting.length} held`,
    );
    t.comment(history.trace.slice(-40).join('\n'));
  }, 15_000);
  try {
    await Promise.all(history.files.map((file) => history.run(file, STEPS)));
  } catch (error) {
    t.comment(history.trace.slice(-40).join('\n'));
    throw new Error(`seed ${seed} fails`, { cause: error });
  } finally {
    clearTimeout(stuck);
    stop();
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  t.equal(bench.slots.used, 0, `seed ${seed}: every slot was given back`);
  t.equal(bench.writer.uploads.size, 0, `seed ${seed}: no upload is left`);
  t.same(bench.spooled, [], `seed ${seed}: no spool file is left`);
  t.same(
    bench.log.lines.filter(({ level }) => level === 'error').map(({ message }) => message),
    [],
    `seed ${seed}: no error was logged`,
  );
}

const settings: Readonly<Record<string, Setting>> = {
  'one file, plenty of memory': { slots: 64, files: 1, partBytes: 256 * KIB },
  'one file, three slots': { slots: 3, files: 1, partBytes: 256 * KIB },
  'a store that cannot copy parts': { slots: 8, files: 1, partBytes: 128 * KIB, copies: false },
  'five files share six slots': { slots: 6, files: 5, partBytes: 256 * KIB },
  'so few parts that the last are sent from the spool': { slots: 3, files: 2, partBytes: 64 * KIB, partsMax: 20 },
  'a store that wants parts of one size': { slots: 6, files: 2, partBytes: 256 * KIB, unequalParts: false },
  'parts larger than memory likes': { slots: 4, files: 2, partBytes: 2 * MIB },
};

// Slow stores and small memory take their time on a busy machine.
t.setTimeout(300_000);

const only = process.env['SEED'];
for (const [name, setting] of Object.entries(settings)) {
  void t.test(name, { timeout: 300_000 }, async (t) => {
    const seeds =
      only === undefined
        ? Array.from({ length: Number(process.env['SEEDS'] ?? 8) }, (_, seed) => seed + 1)
        : [Number(only)];
    for (const seed of seeds) await runHistory(t, seed, setting);
    t.comment(`${seeds.length} histories`);
  });
}
