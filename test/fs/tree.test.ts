/**
 * Random buckets, walked whole through readdir, readdirplus and lookups, at random page and reply sizes, and compared
 * with a model that knows nothing of pages. Afterwards the kernel forgets all and the table must be empty.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { Attributes, Entry } from '../../src/fuse/handlers.js';
import { context, makeBench, ROOT, type Bench } from '../support/memory-store-kernel.js';
import { bucketKeys, modelTree, type ModelDirectory } from '../support/memory-store-trees.js';
import type { MemoryStore } from '../support/memory-store.js';

interface Shown {
  readonly kind: 'file' | 'directory';
  readonly sizeBytes: number;
}

function expected(model: ModelDirectory, store: MemoryStore): Map<string, Shown> {
  const shown = new Map<string, Shown>();
  for (const [name, what] of model) {
    const body = what.kind === 'file' ? (store.text(what.key) ?? '') : '';
    shown.set(name, { kind: what.kind, sizeBytes: Buffer.byteLength(body) });
  }
  return shown;
}

function sorted(map: ReadonlyMap<string, Shown>): [string, Shown][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Compares one directory by listing it, and its children one level down. */
async function compare(bench: Bench, tree: Map<string, ModelDirectory>, how: Walk): Promise<void> {
  const { kernel, store } = bench;
  const queue: { nodeId: number; key: string }[] = [{ nodeId: ROOT, key: how.prefix }];
  for (let next = queue.pop(); next; next = queue.pop()) {
    const model = tree.get(next.key)!;
    const listed = await kernel.readdir(next.nodeId, how.plus, how.room);
    const shown = new Map<string, Shown>();
    for (const { item, entry } of listed) {
      assert.ok(!shown.has(item.name), `${item.name} is listed once`);
      const found: Entry | undefined = entry ?? (await kernel.lookup(next.nodeId, item.name));
      if (!found) throw new Error(`${next.key}${item.name} is listed but not found`);
      const attributes: Attributes = found.attributes;
      assert.equal(attributes.ino, item.ino, 'd_ino is st_ino');
      const kind = (attributes.mode & 0o170000) === 0o040000 ? 'directory' : 'file';
      assert.equal(item.type, kind === 'directory' ? 4 : 8, 'd_type is the type of stat');
      shown.set(item.name, { kind, sizeBytes: attributes.sizeBytes });
      if (kind === 'directory') queue.push({ nodeId: found.nodeId, key: `${next.key}${item.name}/` });
    }
    assert.deepEqual(sorted(shown), sorted(expected(model, store)), `directory '${next.key}'`);
  }
}

interface Walk {
  readonly prefix: string;
  readonly plus: boolean;
  readonly room: number;
}

const walk = fc.record({
  prefix: fc.constantFrom('', '', 'a/', 'b/a/'),
  plus: fc.boolean(),
  room: fc.constantFrom(1, 2, 5, Infinity),
});

void t.test('a whole tree by readdir and lookups', async (t) => {
  await fc.assert(
    fc.asyncProperty(bucketKeys, walk, fc.integer({ min: 1, max: 5 }), async (keys, how, listKeysMax) => {
      const bench = makeBench({ prefix: how.prefix, limits: { listKeysMax } });
      for (const key of keys) bench.store.put(key, key);
      await compare(bench, modelTree(keys, how.prefix), how);
      bench.kernel.forgetAll();
      assert.equal(bench.fs.stats().nodes, 0);
      assert.equal(bench.fs.stats().openDirectories, 0);
    }),
    { numRuns: 250 },
  );
  t.pass('250 random cases agree');
});

/** Every name that a model directory knows, and some that it does not. */
const probes = [
  'a',
  'b',
  'a-b',
  'a.txt',
  'a!',
  'a0',
  'é',
  '😀',
  '\uffff',
  'missing',
  '.',
  '..',
  'x\0y',
  'x'.repeat(256),
];

void t.test('lookups alone, on fresh and on listed directories', async (t) => {
  await fc.assert(
    fc.asyncProperty(bucketKeys, fc.boolean(), fc.integer({ min: 1, max: 4 }), async (keys, listFirst, listKeysMax) => {
      const bench = makeBench({ limits: { listKeysMax } });
      const { kernel, store } = bench;
      for (const key of keys) store.put(key, key);
      const model = modelTree(keys, '').get('')!;
      if (listFirst) await kernel.readdir(ROOT);
      for (const name of [...model.keys(), ...probes]) {
        const entry = await kernel.lookup(ROOT, name);
        const what = model.get(name);
        assert.equal(entry !== undefined, what !== undefined, `'${name}' exists`);
        if (!entry || !what) continue;
        assert.equal((entry.attributes.mode & 0o170000) === 0o040000, what.kind === 'directory', `kind of '${name}'`);
        if (what.kind === 'file') assert.equal(entry.attributes.sizeBytes, Buffer.byteLength(what.key));
      }
      kernel.forgetAll();
      assert.equal(bench.fs.stats().nodes, 0);
    }),
    { numRuns: 250 },
  );
  t.pass('250 random cases agree');
});

void t.test('lookups in a tree that changes see each change after the TTL', async (t) => {
  const change = fc.record({ key: fc.constantFrom('a', 'a/x', 'a-b', 'b', 'b/', 'c/d/e'), put: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { maxLength: 12 }),
      fc.integer({ min: 1, max: 3 }),
      async (changes, listKeysMax) => {
        const bench = makeBench({ limits: { listKeysMax } });
        const { kernel, store, clock } = bench;
        for (const [step, { key, put }] of changes.entries()) {
          if (put) store.put(key, `${key} at ${step}`);
          else store.delete(key);
          clock.advance(1001);
          const model = modelTree([...store.objects.keys()], '').get('')!;
          if (step % 3 === 0) await kernel.readdir(ROOT, true);
          for (const name of ['a', 'a-b', 'b', 'c']) {
            const entry = await kernel.lookup(ROOT, name);
            const what = model.get(name);
            assert.equal(entry !== undefined, what !== undefined, `'${name}' at step ${step}`);
            if (!entry || what?.kind !== 'file') continue;
            assert.equal(entry.attributes.sizeBytes, store.objects.get(what.key)?.body.length, `size of '${name}'`);
            const { handle } = await bench.fs.open(context(), entry.nodeId, 0);
            assert.equal(kernel.read(entry.nodeId, handle, 0, 100), store.text(what.key));
            bench.fs.release(context(), entry.nodeId, handle);
          }
        }
        kernel.forgetAll();
        assert.equal(bench.fs.stats().nodes, 0);
      },
    ),
    { numRuns: 100 },
  );
  t.pass('100 random cases agree');
});
