/**
 * Requests that come a second time, to a daemon that took over, because the one before died without answering them: it had
 * done all of it, half of it or nothing. Who asked gets the answer that the first daemon would have given, and nothing is done
 * twice. The dead daemon is a bench whose store keeps requests back: what they do happens after the kill, or never.
 */
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EEXIST, EIO, ENOENT, ENOTEMPTY } from '../../../src/base/errno.js';
import type { WriteKind } from '../../support/memory-store-writer.js';
import { storeError } from '../../support/memory-store-writer.js';
import { errnoOf, ROOT, settle } from '../../support/memory-store-kernel.js';
import { O_CREAT, O_EXCL, O_TRUNC, O_WRONLY } from '../writing/bench.js';
import { TreeBench } from './tree-bench.js';

const RENAME_NOREPLACE = 1;
const ID = 42_000;

/** How far the daemon had come when it was killed. */
type Ran =
  /** The request was still in the kernel's or our queue. */
  | 'not at all'
  /** The store had it not. */
  | 'begun'
  /** The store did it, and nobody here heard. */
  | 'done by the store'
  /** All was done but the answer to the kernel. */
  | 'done';

interface Case {
  readonly name: string;
  readonly prepare: (bench: TreeBench) => void;
  readonly options?: ConstructorParameters<typeof TreeBench>[1];
  /** The kernel's request, and what it knows before. */
  readonly ask: (bench: TreeBench) => Promise<unknown>;
  /** The store's request that the kill cuts off. */
  readonly kind: WriteKind;
  /** What the bucket holds at last. */
  readonly keys: readonly string[];
}

const cases: readonly Case[] = [
  {
    name: 'mkdir',
    prepare: () => undefined,
    ask: (bench) => bench.mkdir('dir'),
    kind: 'put',
    keys: ['dir/'],
  },
  {
    name: 'rmdir',
    prepare: (bench) => void bench.store.put('dir/', ''),
    ask: (bench) => bench.fs.rmdir(bench.context(), ROOT, 'dir') as Promise<void>,
    kind: 'delete',
    keys: [],
  },
  {
    name: 'unlink',
    prepare: (bench) => void bench.store.put('a', 'x'),
    ask: (bench) => bench.fs.unlink(bench.context(), ROOT, 'a') as Promise<void>,
    kind: 'delete',
    keys: [],
  },
  {
    name: 'rename, cut off at the copy',
    prepare: (bench) => void bench.store.put('a', 'x'),
    ask: (bench) => bench.fs.rename(bench.context(), ROOT, 'a', ROOT, 'b', 0) as Promise<void>,
    kind: 'copy',
    keys: ['b'],
  },
  {
    name: 'rename, cut off at the deletion',
    prepare: (bench) => void bench.store.put('a', 'x'),
    ask: (bench) => bench.fs.rename(bench.context(), ROOT, 'a', ROOT, 'b', 0) as Promise<void>,
    kind: 'delete',
    keys: ['b'],
  },
  {
    name: 'rename over a file',
    prepare: (bench) => {
      bench.store.put('a', 'x');
      bench.store.put('b', 'old');
    },
    ask: (bench) => bench.fs.rename(bench.context(), ROOT, 'a', ROOT, 'b', 0) as Promise<void>,
    kind: 'delete',
    keys: ['b'],
  },
  {
    name: 'rename that must not replace, cut off at the copy',
    // As S3 has it for objects of one piece, whose copies have the same ETag.
    prepare: (bench) => void bench.store.put('a', 'x', { etag: `"${createHash('md5').update('x').digest('hex')}"` }),
    ask: (bench) => bench.fs.rename(bench.context(), ROOT, 'a', ROOT, 'b', RENAME_NOREPLACE) as Promise<void>,
    kind: 'copy',
    keys: ['b'],
  },
  {
    name: 'rename that must not replace, cut off at the deletion',
    prepare: (bench) => void bench.store.put('a', 'x'),
    ask: (bench) => bench.fs.rename(bench.context(), ROOT, 'a', ROOT, 'b', RENAME_NOREPLACE) as Promise<void>,
    kind: 'delete',
    keys: ['b'],
  },
  {
    name: 'rename of a directory, cut off at the copies',
    prepare: (bench) => {
      for (const name of ['one', 'two', 'sub/three']) bench.store.put(`from/${name}`, name);
    },
    ask: async (bench) => {
      await bench.kernel.lookup(ROOT, 'from');
      await bench.fs.rename(bench.context(), ROOT, 'from', ROOT, 'to', 0);
    },
    kind: 'copy',
    keys: ['to/one', 'to/sub/three', 'to/two'],
  },
  {
    name: 'rename of a directory, cut off at the deletions',
    prepare: (bench) => {
      for (const name of ['one', 'two', 'sub/three']) bench.store.put(`from/${name}`, name);
    },
    ask: async (bench) => {
      await bench.kernel.lookup(ROOT, 'from');
      await bench.fs.rename(bench.context(), ROOT, 'from', ROOT, 'to', 0);
    },
    kind: 'deleteMany',
    keys: ['to/one', 'to/sub/three', 'to/two'],
  },
  {
    name: 'symlink',
    options: { fs: { posixMetadata: true } },
    prepare: () => undefined,
    ask: (bench) => bench.fs.symlink(bench.context(), ROOT, 'link', 'target') as Promise<unknown>,
    kind: 'put',
    keys: ['link'],
  },
  {
    name: 'chmod kept with the object',
    options: { fs: { posixMetadata: true } },
    prepare: (bench) => void bench.store.put('a', 'x'),
    ask: async (bench) => {
      const entry = await bench.kernel.lookup(ROOT, 'a');
      if (!entry) throw new Error('no a');
      return await bench.fs.setattr(bench.context(), entry.nodeId, { mode: 0o600 });
    },
    kind: 'copy',
    keys: ['a'],
  },
  {
    name: 'truncate by path',
    prepare: (bench) => void bench.store.put('a', 'something'),
    ask: async (bench) => {
      const entry = await bench.kernel.lookup(ROOT, 'a');
      if (!entry) throw new Error('no a');
      return await bench.fs.setattr(bench.context(), entry.nodeId, { sizeBytes: 4 });
    },
    kind: 'put',
    keys: ['a'],
  },
];

/** What a kill at this moment leaves. */
function snapshot(t: Test, bench: TreeBench): TreeBench {
  const spoolPath = mkdtempSync(join(tmpdir(), 'mount-s3x-spool-'));
  t.teardown(() => rmSync(spoolPath, { recursive: true, force: true }));
  cpSync(bench.spoolPath, spoolPath, { recursive: true });
  const dead = { memory: { bytes: Uint8Array.from(bench.memory?.bytes ?? []) }, spoolPath };
  return Object.assign(Object.create(bench) as TreeBench, dead);
}

async function next(t: Test, dead: TreeBench, options: Case['options'] = {}): Promise<TreeBench> {
  const bench = new TreeBench(t, { ...options, after: dead });
  await bench.fs.takeOverWriting();
  bench.asked = { id: ID, isResent: true };
  return bench;
}

for (const { name, prepare, ask, kind, keys, options } of cases) {
  for (const ran of ['not at all', 'begun', 'done by the store', 'done'] as const satisfies readonly Ran[]) {
    void t.test(`${name}: ${ran}`, async (t) => {
      const bench = new TreeBench(t, { ...options, journalled: true });
      prepare(bench);
      bench.asked = { id: ID };
      let dead = snapshot(t, bench);
      if (ran !== 'not at all') {
        bench.writer.hold((call) => call.kind === kind && ran !== 'done');
        const asked = ask(bench).catch(() => undefined);
        await settle(20);
        if (ran === 'done') await asked;
        dead = snapshot(t, bench);
        if (ran === 'done by the store') {
          bench.writer.letGo();
          // What is on its way takes effect, and nothing that would come after it.
          bench.writer.hold(() => true);
          await settle(20);
        }
      }
      const after = await next(t, dead, options);
      await ask(after);
      t.same([...after.store.objects.keys()].sort(), keys);
      if (name === 'truncate by path') t.equal(after.object('a'), 'some');
      after.asked = {};
      if (name.startsWith('rename')) t.notOk(await after.stat('a'), 'the old name is gone');
    });
  }
}

void t.test('what failed fails again, without being done', async (t) => {
  const bench = new TreeBench(t, { journalled: true });
  bench.store.put('dir/file', 'x');
  bench.store.put('a', 'x');
  bench.asked = { id: ID };
  await bench.kernel.lookup(ROOT, 'dir');
  t.equal(await errnoOf(() => bench.fs.rmdir(bench.context(), ROOT, 'dir')), ENOTEMPTY);
  bench.asked = { id: ID + 2 };
  bench.writer.fail('delete', storeError('AccessDenied', 403));
  const refused = await errnoOf(() => bench.fs.unlink(bench.context(), ROOT, 'a'));
  t.not(refused, 0);
  const after = await next(t, snapshot(t, bench));
  after.store.delete('dir/file');
  t.equal(await errnoOf(() => after.fs.rmdir(after.context(), ROOT, 'dir')), ENOTEMPTY);
  after.asked = { id: ID + 2, isResent: true };
  t.equal(await errnoOf(() => after.fs.unlink(after.context(), ROOT, 'a')), refused);
  t.equal(after.object('a'), 'x');
});

void t.test('what an earlier daemon never saw is judged as ever', async (t) => {
  const bench = new TreeBench(t, { journalled: true });
  bench.store.put('dir/', '');
  bench.store.put('b', 'x');
  bench.store.put('c', 'x');
  const after = await next(t, snapshot(t, bench));
  t.equal(await errnoOf(() => after.mkdir('dir')), EEXIST);
  t.equal(await errnoOf(() => after.fs.rename(after.context(), ROOT, 'a', ROOT, 'b', 0)), ENOENT);
  t.equal(await errnoOf(() => after.fs.rename(after.context(), ROOT, 'c', ROOT, 'b', RENAME_NOREPLACE)), EEXIST);
  t.equal(after.object('c'), 'x');
});

void t.test('a rename that must not replace finds another file than its own copy', async (t) => {
  const bench = new TreeBench(t, { journalled: true });
  bench.store.put('a', 'ours');
  bench.asked = { id: ID };
  bench.writer.hold(({ kind }) => kind === 'copy');
  void bench.rename('a', 'b', RENAME_NOREPLACE).catch(() => undefined);
  await settle(20);
  bench.store.put('b', 'theirs');
  const after = await next(t, snapshot(t, bench));
  t.equal(await errnoOf(() => after.rename('a', 'b', RENAME_NOREPLACE)), EEXIST);
  t.same([after.object('a'), after.object('b')], ['ours', 'theirs']);
});

void t.test('CREATE: the handle that was made for it is answered, also for O_EXCL', async (t) => {
  for (const flags of [O_WRONLY | O_CREAT, O_WRONLY | O_CREAT | O_EXCL]) {
    const bench = new TreeBench(t, { journalled: true });
    bench.asked = { id: ID };
    const made = await bench.create('a', flags);
    const after = await next(t, snapshot(t, bench));
    const again = await after.create('a', flags);
    t.equal(again.handle, made.handle);
    t.equal(again.nodeId, made.nodeId);
    after.asked = {};
    await again.write(0, 'x');
    await again.close();
    t.equal(after.object('a'), 'x');
    t.match(after.fs.stats(), { openFiles: 0, writing: { files: 0 } });
  }
});

void t.test('CREATE that had not run makes the file, or fails where there is one', async (t) => {
  const bench = new TreeBench(t, { journalled: true });
  const after = await next(t, snapshot(t, bench));
  const made = await after.create('a', O_WRONLY | O_CREAT | O_EXCL);
  after.asked = {};
  await made.close();
  t.equal(after.object('a'), '');
  after.asked = { id: ID + 2, isResent: true };
  await after.kernel.lookup(ROOT, 'a');
  t.equal(await errnoOf(() => after.create('a', O_WRONLY | O_CREAT | O_EXCL)), EEXIST);
});

void t.test('OPEN with O_TRUNC comes again: truncated, one handle', async (t) => {
  const bench = new TreeBench(t, { journalled: true });
  bench.store.put('a', 'something');
  bench.asked = { id: ID };
  const opened = await bench.open('a', O_WRONLY | O_TRUNC);
  const after = await next(t, snapshot(t, bench));
  const { handle } = await after.fs.open(after.context(), opened.nodeId, O_WRONLY | O_TRUNC);
  t.equal(handle, opened.handle);
  after.asked = {};
  const file = after.same(opened);
  await file.write(0, 'new');
  await file.close();
  t.equal(after.object('a'), 'new');
  t.match(after.fs.stats(), { openFiles: 0, writing: { files: 0 } });
});

void t.test('WRITE, FSYNC, FLUSH and RELEASE come again', async (t) => {
  const bench = new TreeBench(t, { journalled: true });
  const made = await bench.create('a');
  // Not answered, and not run: the record does not know of it.
  const dead = snapshot(t, bench);
  const after = await next(t, dead);
  const file = after.same(made);
  t.equal(await file.write(0, 'x'), 1);
  await file.fsync();
  await file.fsync();
  await file.flush();
  await file.flush();
  await file.release();
  t.equal(after.object('a'), 'x');
});

void t.test('a handle that nobody knows is never told that its bytes are safe', async (t) => {
  const bench = new TreeBench(t);
  const lost = await bench.create('a');
  const after = await next(t, snapshot(t, bench));
  const file = after.same(lost);
  for (const work of [() => file.flush(), () => file.fsync()]) t.equal(await errnoOf(work), EIO);
  t.not(await errnoOf(() => file.write(0, 'x')), 0);
});
