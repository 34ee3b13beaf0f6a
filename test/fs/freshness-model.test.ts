/**
 * The freshness contract against a kernel that caches and a bucket that changes: random calls that overlap, a store that
 * answers when it likes, and a clock in the test's hands. Every answer must be true of some moment between one TTL before
 * the call and its end. The seed is printed; FRESHNESS_SEED repeats one.
 */
import t, { type Test } from 'tap';
import { EISDIR, ENOENT, ENOTDIR, ErrnoError, errnoName, ESTALE } from '../../src/base/errno.js';
import { CachingKernel, isDirectory, type OpenFile } from '../support/caching-kernel.js';
import { makeBench, settle, type Bench } from '../support/memory-store-kernel.js';

const PATHS = ['a', 'b', 'd', 'd/1', 'd/2', 'd/e', 'd/e/x'];
/** `a` is sometimes a file and sometimes a directory. */
const KEYS = ['a', 'a/x', 'b', 'd/1', 'd/2', 'd/e/x', 'd/e/y'];
const STEPS = 120;
const CALLS_MAX = 4;

/** What the bucket held from a moment on: size and whole seconds of LastModified by key. */
interface Snapshot {
  readonly fromMs: number;
  readonly objects: ReadonlyMap<string, { readonly sizeBytes: number; readonly mtimeMs: number }>;
}

class History {
  readonly #snapshots: Snapshot[] = [{ fromMs: -Infinity, objects: new Map() }];

  record({ store, clock }: Bench): void {
    const objects = [...store.objects].map(
      ([key, { body, lastModifiedMs }]) => [key, { sizeBytes: body.length, mtimeMs: lastModifiedMs }] as const,
    );
    this.#snapshots.push({ fromMs: clock.nowMs(), objects: new Map(objects) });
  }

  /** All that was true at some moment of [startMs, endMs]. */
  between(startMs: number, endMs: number): Window {
    const first = this.#snapshots.findLastIndex(({ fromMs }) => fromMs < startMs);
    const last = this.#snapshots.findLastIndex(({ fromMs }) => fromMs <= endMs);
    return new Window(this.#snapshots.slice(Math.max(first, 0), last + 1));
  }
}

/** A name is answered by two requests, HEAD and LIST, which may have seen different moments. */
class Window {
  readonly #snapshots: readonly Snapshot[];

  constructor(snapshots: readonly Snapshot[]) {
    this.#snapshots = snapshots;
  }

  file(path: string, sizeBytes: number, mtimeMs: number): boolean {
    const held = this.#snapshots.some(({ objects }) => {
      const object = objects.get(path);
      return object?.sizeBytes === sizeBytes && object.mtimeMs === mtimeMs;
    });
    return held && this.#everEmpty(path);
  }

  anyFile(path: string): boolean {
    return this.#snapshots.some(({ objects }) => objects.has(path)) && this.#everEmpty(path);
  }

  directory(path: string): boolean {
    return path === '' || this.#snapshots.some(({ objects }) => below(objects, path));
  }

  nothing(path: string): boolean {
    return this.#snapshots.some(({ objects }) => !objects.has(path)) && this.#everEmpty(path);
  }

  /** Names of the directory that were there all the time. */
  steady(path: string): string[] {
    const [first, ...others] = this.#snapshots.map(({ objects }) => children(objects, path));
    return [...(first ?? [])].filter((name) => others.every((names) => names.has(name)));
  }

  #everEmpty(path: string): boolean {
    return this.#snapshots.some(({ objects }) => !below(objects, path));
  }
}

function below(objects: Snapshot['objects'], path: string): boolean {
  return [...objects.keys()].some((key) => key.startsWith(`${path}/`));
}

function children(objects: Snapshot['objects'], path: string): Set<string> {
  const prefix = path === '' ? '' : `${path}/`;
  const inside = [...objects.keys()].filter((key) => key.startsWith(prefix));
  return new Set(inside.map((key) => key.slice(prefix.length).split('/')[0] ?? ''));
}

function ancestors(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('/'));
}

/** mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Ttls {
  readonly metadataTtlMs: number;
  readonly negativeMetadataTtlMs: number;
}

/** One random history; returns what broke the contract. */
async function run(seed: number, ttls: Ttls): Promise<{ broken: string[]; calls: number }> {
  const random = randomOf(seed);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const bench = makeBench(ttls);
  const { store, fs, clock } = bench;
  const kernel = new CachingKernel(fs, clock);
  const history = new History();
  const broken: string[] = [];
  const open: { file: OpenFile; body: string; key: string }[] = [];
  const bodies = new Map<number, string>();
  let versions = 0;
  let calls = 0;
  let underWay = 0;
  store.hold();

  const mutate = (): void => {
    const key = pick(KEYS);
    const held = store.objects.get(key);
    const what = random();
    if (held && what < 0.35) store.delete(key);
    else if (held && what < 0.5) {
      // Copied onto itself: the same ETag and bytes, another time.
      store.objects.set(key, { ...held, lastModifiedMs: held.lastModifiedMs + 1000 });
    } else {
      // The size tells the version.
      const body = `${++versions} ${key} `.padEnd(20 + versions, '.');
      bodies.set(body.length, body);
      store.put(key, body);
    }
    history.record(bench);
  };

  const judge = (call: string, path: string, startMs: number, answer: object | number): void => {
    const endMs = clock.nowMs();
    const window = history.between(startMs - ttls.metadataTtlMs, endMs);
    const without = history.between(startMs - ttls.negativeMetadataTtlMs, endMs);
    const parents = ancestors(path);
    let right: boolean;
    if (answer === ENOENT) right = [...parents, path].some((each) => without.nothing(each));
    else if (answer === ENOTDIR) right = [...parents, path].some((each) => window.anyFile(each));
    else if (answer === EISDIR) right = window.directory(path);
    // Replaced twice while it was opened: the kernel tries once more, then gives up.
    else if (answer === ESTALE) right = call === 'open';
    else if (typeof answer === 'number') right = false;
    else if ('sizeBytes' in answer) {
      const { sizeBytes, mtimeMs, mode } = answer as { sizeBytes: number; mtimeMs: number; mode: number };
      right = isDirectory({ mode } as never) ? window.directory(path) : window.file(path, sizeBytes, mtimeMs);
    } else {
      const names = answer as string[];
      const missing = window.steady(path).filter((name) => !names.includes(name));
      const inside = (name: string): string => (path === '' ? name : `${path}/${name}`);
      const strange = names.filter((name) => !window.anyFile(inside(name)) && !window.directory(inside(name)));
      right = missing.length === 0 && strange.length === 0;
    }
    if (right) return;
    const told = typeof answer === 'number' ? errnoName(answer) : JSON.stringify(answer);
    broken.push(`seed ${seed}: ${call} '${path}' from ${startMs} to ${endMs} ms said ${told}`);
  };

  const start = (call: string, path: string, work: () => Promise<object>): void => {
    const startMs = clock.nowMs();
    calls++;
    underWay++;
    void work()
      .then(
        (answer) => judge(call, path, startMs, answer),
        (error: unknown) => {
          if (!(error instanceof ErrnoError)) throw error;
          judge(call, path, startMs, error.errno);
        },
      )
      .catch((error: unknown) => broken.push(`seed ${seed}: ${call} '${path}': ${String(error)}`))
      .finally(() => underWay--);
  };

  const openAndRead = async (path: string): Promise<object> => {
    const file = await kernel.open(path);
    const attributes = kernel.fstat(file.nodeId);
    const body = bodies.get(attributes.sizeBytes) ?? '';
    open.push({ file, body, key: path });
    check(open.length - 1);
    return attributes;
  };

  const check = (at: number): void => {
    const held = open[at];
    if (!held) return;
    const got = kernel.read(held.file);
    const gone = store.text(held.key) !== held.body;
    if (got === held.body || (got === -ESTALE && gone)) return;
    broken.push(`seed ${seed}: read of '${held.key}' at ${clock.nowMs()} ms gave ${JSON.stringify(got)}`);
  };

  for (let step = 0; step < STEPS; step++) {
    const what = random();
    if (what < 0.25) mutate();
    else if (what < 0.55 && underWay < CALLS_MAX) {
      const path = pick(PATHS);
      const kind = random();
      if (kind < 0.45) start('stat', path, () => kernel.stat(path));
      else if (kind < 0.75) start('open', path, () => openAndRead(path));
      else {
        const directory = pick(['', 'd', 'd/e', 'a']);
        start('readdir', directory, () => kernel.readdir(directory));
      }
    } else if (what < 0.75) store.letGoOldest(1 + Math.floor(random() * 3));
    else if (what < 0.85) clock.advance(Math.floor(random() * 700));
    else if (what < 0.9 && open.length > 0) check(Math.floor(random() * open.length));
    else if (what < 0.95 && open.length > 0) kernel.close(open.splice(Math.floor(random() * open.length), 1)[0]!.file);
    else if (underWay === 0) kernel.drop(() => random() < 0.5);
    await settle(2);
  }
  store.letGo();
  await settle(30);
  if (underWay > 0) broken.push(`seed ${seed}: ${underWay} calls never ended`);
  for (const { file } of open) kernel.close(file);
  kernel.drop(() => true);
  kernel.drop(() => true);
  kernel.drop(() => true);
  if (fs.stats().nodes > 0) broken.push(`seed ${seed}: ${fs.stats().nodes} nodes are left`);
  broken.push(...kernel.mixed.map((node) => `seed ${seed}: two versions share ${node}`));
  return { broken, calls };
}

const given = process.env['FRESHNESS_SEED'];
const SEEDS = given === undefined ? 300 : 1;
const first = given === undefined ? Math.floor(Math.random() * 1e9) : Number(given);

async function histories(t: Test, ttls: Ttls): Promise<void> {
  t.comment(`seeds ${first} to ${first + SEEDS - 1}`);
  const broken: string[] = [];
  let calls = 0;
  for (let seed = first; seed < first + SEEDS && broken.length < 5; seed++) {
    const result = await run(seed, ttls);
    broken.push(...result.broken);
    calls += result.calls;
  }
  t.same(broken, [], `${calls} calls`);
}

void t.test('names and attributes are at most one TTL old', { timeout: 240_000 }, (t) =>
  histories(t, { metadataTtlMs: 1000, negativeMetadataTtlMs: 1000 }),
);

void t.test('names that do not exist have a TTL of their own', { timeout: 240_000 }, (t) =>
  histories(t, { metadataTtlMs: 3000, negativeMetadataTtlMs: 300 }),
);
