/**
 * Our own changes against a bucket that others change too and a store that answers when it likes: random operations that
 * overlap, and a clock in the test's hands. Every answer must be true of some moment between one TTL before the call and its
 * end, and never of a moment before our own last change of the name was answered. The seed is printed; OWN_SEED repeats one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { EISDIR, ENOENT, ENOTDIR, ErrnoError, errnoName, ESTALE } from '../../../src/base/errno.js';
import type { Attributes } from '../../../src/fuse/handlers.js';
import type { FileSystemLimits } from '../../../src/fs/limits.js';
import { context, ROOT, settle } from '../../support/memory-store-kernel.js';
import { storeError } from '../../support/memory-store-writer.js';
import { TreeBench } from './tree-bench.js';

const FILES = ['a', 'b', 'd/1', 'd/2', 'd/e/x', 'f/y'];
const DIRECTORIES = ['', 'd', 'd/e', 'f', 'g'];
const STEPS = 160;
const CALLS_MAX = 5;
const O_WRONLY_TRUNC = 0o1001;
const O_WRONLY_CREAT = 0o101;

interface Snapshot {
  readonly atMs: number;
  readonly sizes: ReadonlyMap<string, number>;
}

/** A change of ours was answered when the history had so many snapshots. */
interface OwnChange {
  readonly path: string;
  /** All below it too. */
  readonly isTree: boolean;
  readonly from: number;
}

/** A write of ours: from its open to the answer of its close its sizes may be seen, wherever it was moved to. */
interface LiveWrite {
  readonly sizeBytes: number;
  path: string;
  isOver: boolean;
}

const above = (path: string): string[] =>
  path
    .split('/')
    .slice(1)
    .map((_, at, parts) =>
      path
        .split('/')
        .slice(0, parts.length - (parts.length - at) + 1)
        .join('/'),
    );

class Model {
  readonly #snapshots: Snapshot[] = [{ atMs: -Infinity, sizes: new Map() }];
  readonly #own: OwnChange[] = [];
  told: ((line: string) => void) | undefined;
  /** Directories that we emptied once: they may be seen from then on. */
  readonly kept = new Set<string>();

  record(bench: TreeBench): void {
    const sizes = new Map([...bench.store.objects].map(([key, { body }]) => [key, body.length] as const));
    this.#snapshots.push({ atMs: bench.clock.nowMs(), sizes });
  }

  changed(path: string, isTree = false): void {
    this.#own.push({ path, isTree, from: this.#snapshots.length - 1 });
    this.told?.(`our change of ${path}${isTree ? ' and below' : ''}`);
  }

  /** What an answer about `path` may be true of; `owned`: how many of our changes count, those answered before the call. */
  window(path: string, startMs: number, owned: number): readonly Snapshot[] {
    let from = Math.max(
      0,
      this.#snapshots.findLastIndex(({ atMs }) => atMs < startMs),
    );
    for (const change of this.#own.slice(0, owned)) {
      const isOf = change.path === path || (change.isTree && path.startsWith(`${change.path}/`));
      if (isOf) from = Math.max(from, change.from);
    }
    return this.#snapshots.slice(from);
  }

  get owned(): number {
    return this.#own.length;
  }
}

const below = ({ sizes }: Snapshot, path: string): boolean => {
  for (const key of sizes.keys()) if (key.startsWith(`${path}/`)) return true;
  return false;
};

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

/** What the kernel holds while it changes names in a directory. */
class Locks {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** What runs, for those who change the bucket beside us. */
  readonly running = new Set<readonly string[]>();
  begun: (touched: readonly string[]) => () => void = () => () => undefined;

  async with<T>(paths: readonly string[], touched: readonly string[], work: () => Promise<T>): Promise<T> {
    const ordered = [...new Set(paths)].sort();
    const before = Promise.all(ordered.map((path) => this.#tails.get(path) ?? Promise.resolve()));
    const done = before.then(async () => {
      this.running.add(touched);
      const over = this.begun(touched);
      try {
        return await work();
      } finally {
        this.running.delete(touched);
        over();
      }
    });
    const tail = done.then(
      () => undefined,
      () => undefined,
    );
    for (const path of ordered) this.#tails.set(path, tail);
    return done;
  }
}

/** So few that changes are forgotten all the time, and floors stand for them. */
const FEW = { ownNamesInDirectoryMax: 2, ownNamesMax: 5, ownDirectoriesMax: 4 };

interface World {
  readonly renames?: boolean;
  /** Requests that change something fail at times, before or after they took effect. */
  readonly fails?: boolean;
}

/** The names of a directory come by several answers, which others change between. */
const SHORT_PAGES = { listKeysMax: 2 };

async function run(
  t: Test,
  seed: number,
  ttlMs: number | null,
  bounds: Partial<FileSystemLimits>,
  { renames = false, fails = false }: World,
): Promise<{ broken: string[]; calls: number }> {
  const random = randomOf(seed);
  const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  const bench = new TreeBench(t, {
    fs: {
      metadataTtlMs: ttlMs,
      negativeMetadataTtlMs: ttlMs,
      limits: { nameFactsMax: 8, watchedDirectoriesMax: 4, ...bounds },
    },
    writing: { conflict: 'last-writer' },
  });
  const { store, writer, fs, clock } = bench;
  const model = new Model();
  const locks = new Locks();
  locks.begun = (paths) => {
    const entry = { paths, from: events++, to: Infinity };
    log.push(entry);
    return () => {
      entry.to = events++;
      // What ran in a directory that was moved meanwhile took place elsewhere.
      const isMoved = log.some(
        (other) =>
          other !== entry &&
          other.paths.length === 2 &&
          other.to >= entry.from &&
          paths.some((path) => other.paths.some((moved) => path.startsWith(`${moved}/`))),
      );
      if (isMoved) {
        for (const path of [...paths, ...DIRECTORIES.filter((each) => each !== '')])
          unsure.push({ path, atMs: clock.nowMs() });
      }
    };
  };
  const live: LiveWrite[] = [];
  /** Operations of ours by the count of events when they began and ended. */
  const log: { readonly paths: readonly string[]; readonly from: number; to: number }[] = [];
  let events = 0;
  const unsure: { readonly path: string; readonly atMs: number }[] = [];
  const broken: string[] = [];
  model.told = (line) => trace(line);
  let calls = 0;
  let underWay = 0;
  let lastSize = 10;
  const put = store.put.bind(store);
  store.put = (...args) => {
    const etag = put(...args);
    trace(`in the bucket: ${args[0]} ${args[1].length}`);
    model.record(bench);
    return etag;
  };
  const remove = store.delete.bind(store);
  store.delete = (key) => {
    remove(key);
    trace(`not in the bucket: ${key}`);
    model.record(bench);
  };
  // Printed when something is wrong: the spool's system calls take their own time, so a seed alone may not bring it back.
  const lines: string[] = [];
  const trace = (line: string): void => {
    lines.push(`${clock.nowMs()} ms: ${line}`);
  };
  if (renames) writer.capabilities = { ...writer.capabilities, renames };
  store.hold();
  writer.hold();

  /** Every component is looked up, as by a kernel that has forgotten all names. */
  const walk = async (path: string): Promise<{ nodeId: number; attributes: Attributes }> => {
    let at = { nodeId: ROOT, attributes: fs.getattr(context(), ROOT).attributes };
    for (const name of path === '' ? [] : path.split('/')) {
      if ((at.attributes.mode & 0o170000) !== 0o040000) throw new ErrnoError(ENOTDIR);
      at = await fs.lookup(context(), at.nodeId, name);
      if (at.nodeId === 0) throw new ErrnoError(ENOENT);
    }
    return at;
  };
  const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
  const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

  const mutate = (): void => {
    const key = pick(FILES);
    // Beside an operation of ours on the same names: what it learned is then not what is there, until the TTL is over.
    for (const paths of locks.running) {
      for (const path of paths) {
        if (key === path || key.startsWith(`${path}/`)) unsure.push({ path, atMs: clock.nowMs() });
      }
    }
    if (store.objects.has(key) && random() < 0.4) store.delete(key);
    else store.put(key, 'x'.repeat(++lastSize));
  };

  const writeFile = async (path: string): Promise<void> => {
    trace(`write ${path}`);
    const mine: LiveWrite = { sizeBytes: ++lastSize, path, isOver: false };
    const opened = await locks.with([parentOf(path)], [path], async () => {
      const parent = await walk(parentOf(path));
      const known = await walk(path).catch((error: unknown) => {
        if (error instanceof ErrnoError && error.errno === ENOENT) return undefined;
        throw error;
      });
      live.push(mine);
      if (known) {
        if ((known.attributes.mode & 0o170000) === 0o040000) throw new ErrnoError(EISDIR);
        const { handle } = await fs.open(context(), known.nodeId, O_WRONLY_TRUNC);
        return { nodeId: known.nodeId, handle };
      }
      const made = await fs.create(context(), parent.nodeId, nameOf(path), 0o644, O_WRONLY_CREAT);
      return { nodeId: made.entry.nodeId, handle: made.open.handle };
    });
    try {
      const body = Buffer.alloc(mine.sizeBytes, 'y');
      await fs.write(context(), opened.nodeId, opened.handle, 0, body, 0);
      await fs.flush(context(), opened.nodeId, opened.handle);
      if (store.objects.get(mine.path)?.body.length === mine.sizeBytes) {
        model.changed(mine.path);
        for (const each of above(mine.path)) model.changed(each);
      }
    } finally {
      await fs.release(context(), opened.nodeId, opened.handle);
      mine.isOver = true;
    }
  };
  const keep = (path: string): void => {
    for (const each of above(path)) model.kept.add(each);
  };
  /** What was written here and could not be put went; what somebody else put there meanwhile did not, and is not known. */
  const unknownLeft = (path: string, since: number): void => {
    if (!fails) return;
    const deleted = new Set<string>();
    for (const { kind, key, keys } of writer.calls.slice(since)) {
      if (kind === 'delete' || kind === 'deleteMany') for (const each of keys ?? [key]) deleted.add(each);
    }
    for (const key of store.objects.keys()) {
      if ((key !== path && !key.startsWith(`${path}/`)) || deleted.has(key)) continue;
      for (const each of [...above(key), key]) unsure.push({ path: each, atMs: clock.nowMs() });
    }
  };
  const unlink = (path: string): Promise<void> =>
    locks.with([parentOf(path)], [path], async () => {
      trace(`unlink ${path}`);
      const parent = await walk(parentOf(path));
      const { attributes } = await walk(path);
      if ((attributes.mode & 0o170000) === 0o040000) throw new ErrnoError(EISDIR);
      keep(path);
      const since = writer.calls.length;
      await fs.unlink(context(), parent.nodeId, nameOf(path));
      model.changed(path);
      unknownLeft(path, since);
    });
  const mkdir = (path: string): Promise<void> =>
    locks.with([parentOf(path)], [path], async () => {
      const parent = await walk(parentOf(path));
      await fs.mkdir(context(), parent.nodeId, nameOf(path), 0o755);
      model.changed(path);
      for (const each of above(path)) model.changed(each);
    });
  const rmdir = (path: string): Promise<void> =>
    locks.with([parentOf(path), path], [path], async () => {
      const parent = await walk(parentOf(path));
      await walk(path);
      keep(path);
      await fs.rmdir(context(), parent.nodeId, nameOf(path));
      model.changed(path, true);
    });
  const rename = (from: string, to: string): Promise<void> =>
    locks.with([parentOf(from), parentOf(to), to], [from, to], async () => {
      const parent = await walk(parentOf(from));
      const { attributes } = await walk(from);
      trace(`rename ${from} ${to}`);
      const newParent = await walk(parentOf(to));
      const isTree = (attributes.mode & 0o170000) === 0o040000;
      keep(from);
      for (const each of [...model.kept]) if (each.startsWith(from)) model.kept.add(to + each.slice(from.length));
      const since = writer.calls.length;
      await fs.rename(context(), parent.nodeId, nameOf(from), newParent.nodeId, nameOf(to), 0);
      if (isTree) model.kept.add(to);
      for (const write of live) {
        if (!write.isOver && (write.path === from || write.path.startsWith(`${from}/`)))
          write.path = to + write.path.slice(from.length);
      }
      model.changed(from, isTree);
      model.changed(to, isTree);
      unknownLeft(from, since);
    });

  const judge = (
    path: string,
    startMs: number,
    owned: number,
    liveBefore: readonly LiveWrite[],
    begunAt: number,
    answer: Attributes | number | string[],
  ): void => {
    const since = ttlMs === null ? -Infinity : startMs - ttlMs;
    const window = (of: string): readonly Snapshot[] => model.window(of, since, owned);
    const sizes = new Set(
      live.filter((write) => liveBefore.includes(write) || !write.isOver).flatMap((write) => [0, write.sizeBytes]),
    );
    for (const write of live.slice(liveBefore.length)) sizes.add(0).add(write.sizeBytes);
    const overlapping = live.some((write) => liveBefore.includes(write)) || sizes.size > 0;
    const isFile = (of: string, sizeBytes: number): boolean =>
      sizes.has(sizeBytes) || window(of).some((shot) => shot.sizes.get(of) === sizeBytes);
    const anyFile = (of: string): boolean => overlapping || window(of).some((shot) => shot.sizes.has(of));
    const isDirectory = (of: string): boolean =>
      of === '' || model.kept.has(of) || window(of).some((shot) => below(shot, of));
    const isNothing = (of: string): boolean => window(of).some((shot) => !shot.sizes.has(of));
    const overlaps = (of: string): boolean =>
      log.some(({ paths, to }) => to >= begunAt && paths.some((at) => of === at || of.startsWith(`${at}/`)));
    const isUnsure = (of: string): boolean =>
      overlaps(of) ||
      unsure.some(
        ({ path: at, atMs }) =>
          (of === at || of.startsWith(`${at}/`)) && (ttlMs === null || atMs > startMs - 2 * ttlMs),
      );
    if ([...above(path), path].some(isUnsure)) return;
    let right: boolean;
    if (answer === ENOENT) right = [...above(path), path].some(isNothing);
    else if (answer === ENOTDIR) right = [...above(path), path].some(anyFile);
    else if (answer === EISDIR) right = isDirectory(path);
    else if (answer === ESTALE) right = true;
    else if (typeof answer === 'number') right = false;
    else if (Array.isArray(answer)) {
      const inside = (name: string): string => (path === '' ? name : `${path}/${name}`);
      const strange = answer.filter(
        (name) => !isUnsure(inside(name)) && !anyFile(inside(name)) && !isDirectory(inside(name)),
      );
      const all = new Set([...FILES, ...DIRECTORIES].filter((each) => each !== '' && parentOf(each) === path));
      const missing = [...all].filter(
        (each) =>
          !answer.includes(nameOf(each)) &&
          !isUnsure(each) &&
          window(each).every((shot) => shot.sizes.has(each) || below(shot, each)),
      );
      const twice = answer.filter((name, at) => answer.indexOf(name) !== at);
      if (strange.length + missing.length > 0) trace(`strange ${strange.join()}, missing ${missing.join()}`);
      right = strange.length === 0 && missing.length === 0 && twice.length === 0;
    } else if ((answer.mode & 0o170000) === 0o040000) right = isDirectory(path);
    else right = isFile(path, answer.sizeBytes);
    if (right) return;
    trace(`WRONG: '${path}' from ${startMs}: ${JSON.stringify(answer)}`);
    const told = typeof answer === 'number' ? errnoName(answer) : JSON.stringify(answer);
    broken.push(`seed ${seed}: '${path}' from ${startMs} to ${clock.nowMs()} ms said ${told}`);
  };

  const start = (work: () => Promise<unknown>, judged?: (answer: Attributes | string[] | number) => void): void => {
    calls++;
    underWay++;
    void work()
      .then(
        (answer) => judged?.(answer as Attributes | string[]),
        (error: unknown) => {
          if (!(error instanceof ErrnoError)) throw error;
          judged?.(error.errno);
        },
      )
      .catch((error: unknown) =>
        broken.push(`seed ${seed}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`),
      )
      .finally(() => underWay--);
  };
  const ask = (path: string, work: () => Promise<unknown>): void => {
    const startMs = clock.nowMs();
    const { owned } = model;
    const liveBefore = live.filter((write) => !write.isOver);
    const begunAt = events++;
    start(work, (answer) => judge(path, startMs, owned, liveBefore, begunAt, answer));
  };
  const readdir = async (path: string): Promise<string[]> => {
    const { nodeId, attributes } = await walk(path);
    if ((attributes.mode & 0o170000) !== 0o040000) throw new ErrnoError(ENOTDIR);
    const { handle } = fs.opendir(context(), nodeId);
    const names: string[] = [];
    const plus = random() < 0.5;
    try {
      let offset = 0;
      for (let more = true; more;) {
        more = false;
        await fs.readdir(context(), nodeId, handle, offset, {
          plus,
          add: ({ name, nextOffset }) => {
            if (name !== '.' && name !== '..') names.push(name);
            offset = nextOffset;
            more = true;
            return true;
          },
        });
      }
    } finally {
      fs.releasedir(context(), nodeId, handle);
    }
    return names;
  };

  for (let step = 0; step < STEPS; step++) {
    if (fails && random() < 0.05) {
      const after = random() < 0.5;
      trace(`the next change fails ${after ? 'after' : 'before'} its effect`);
      writer.fail(undefined, storeError('InternalError', 500), { after });
    }
    const what = random();
    if (what < 0.12) mutate();
    else if (what < 0.55 && underWay < CALLS_MAX) {
      const kind = random();
      if (kind < 0.3) {
        const path = pick([...FILES, ...DIRECTORIES]);
        ask(path, async () => (await walk(path)).attributes);
      } else if (kind < 0.5) {
        const path = pick(DIRECTORIES);
        ask(path, () => readdir(path));
      } else if (kind < 0.68) start(() => writeFile(pick(FILES)));
      else if (kind < 0.78) start(() => unlink(pick(FILES)));
      else if (kind < 0.84) start(() => mkdir(pick(['d', 'd/e', 'f', 'g'])));
      else if (kind < 0.88) start(() => rmdir(pick(['d', 'd/e', 'f', 'g'])));
      else if (kind < 0.96) {
        const from = pick(FILES);
        start(() => rename(from, pick(FILES.filter((each) => each !== from))));
      } else
        start(() =>
          rename(
            ...pick([
              ['d', 'g'],
              ['g', 'd'],
              ['f', 'd/e'],
              ['d/e', 'f'],
            ] as [string, string][]),
          ),
        );
    } else if (what < 0.75) store.letGoOldest(1 + Math.floor(random() * 3));
    else if (what < 0.92) writer.letGoOldest(1 + Math.floor(random() * 3));
    else clock.advance(Math.floor(random() * 400));
    await settle(3);
  }
  for (let turn = 0; turn < 500 && underWay > 0; turn++) {
    store.letGo();
    writer.letGo();
    // The spool's system calls take their time.
    await (turn < 20 ? settle(10) : sleep(10));
  }
  if (underWay > 0) broken.push(`seed ${seed}: ${underWay} calls never ended`);
  if (broken.length > 0 || given !== undefined) for (const line of [`seed ${seed}`, ...lines]) t.comment(line);
  return { broken, calls };
}

const given = process.env['OWN_SEED'];
const SEEDS = given === undefined ? 100 : 1;
const first = given === undefined ? Math.floor(Math.random() * 1e9) : Number(given);

async function histories(
  t: Test,
  ttlMs: number | null,
  bounds: Partial<FileSystemLimits> = {},
  world: World = {},
): Promise<void> {
  t.comment(`seeds ${first} to ${first + SEEDS - 1}`);
  const broken: string[] = [];
  let calls = 0;
  for (let seed = first; seed < first + SEEDS && broken.length < 5; seed++) {
    const result = await run(t, seed, ttlMs, bounds, world);
    broken.push(...result.broken);
    calls += result.calls;
  }
  t.same(broken, [], `${calls} calls`);
}

void t.test('with a TTL of a second', { timeout: 240_000 }, (t) => histories(t, 1000));
void t.test('with an endless TTL', { timeout: 240_000 }, (t) => histories(t, null));
void t.test('when few changes are remembered', { timeout: 240_000 }, (t) => histories(t, 1000, FEW));
void t.test('when few changes are remembered for ever', { timeout: 240_000 }, (t) => histories(t, null, FEW));
void t.test('a store with pages of two names', { timeout: 240_000 }, (t) => histories(t, null, SHORT_PAGES));
void t.test('a store that renames', { timeout: 240_000 }, (t) => histories(t, 1000, SHORT_PAGES, { renames: true }));
