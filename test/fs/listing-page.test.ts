/**
 * Columns hold what the objects held: a page is compared with the plain answer it was made of, and with a naive idea
 * of what is hidden, shadowed and undecided.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { packPage } from '../../src/engine/listing/row-collector.js';
import { compareKeys, isFileName } from '../../src/fs/keymap.js';
import { ListingPage } from '../../src/fs/listing-page.js';
import { bucketKeys } from '../support/memory-store-trees.js';
import { MemoryStore } from '../support/memory-store.js';

async function pageOf(store: MemoryStore, prefix: string, keysMax = 1000): Promise<ListingPage> {
  const columns = await store.list({ prefix, delimiter: '/', keysMax });
  return new ListingPage({ directoryKey: prefix, startKey: '', sentAtMs: 7, columns });
}

void t.test('rows say what the answer said', async (t) => {
  const store = new MemoryStore();
  store.put('d/', '');
  store.put('d/a', 'xyz', { storageClass: 'GLACIER', restored: true, lastModifiedMs: 1234 });
  store.put('d/b/c', '');
  store.put('d/ü', '12345', { etag: '"abc-7"' });
  store.put('d/..', '');
  store.put('d//x', '');
  const page = await pageOf(store, 'd/');
  t.equal(page.rows, 3, 'the marker and the two hidden keys have no rows');
  t.equal(page.hiddenKeys, 2);
  t.same(
    [0, 1, 2].map((row) => page.name(row)),
    ['a', 'b', 'ü'],
  );
  t.same(
    [0, 1, 2].map((row) => page.isDirectory(row)),
    [false, true, false],
  );
  t.same(page.head(0), {
    key: 'd/a',
    etag: store.objects.get('d/a')?.etag,
    sizeBytes: 3,
    lastModifiedMs: 1234,
    storageClass: 'GLACIER',
    restored: true,
  });
  t.match(page.head(2), { key: 'd/ü', etag: '"abc-7"', sizeBytes: 5, storageClass: '', restored: false });
  t.equal(page.find('b/'), 1);
  t.equal(page.find('b'), -1);
  t.equal(page.find('zz'), -1);
  t.ok(page.isLast);
  t.ok(page.covers('anything'));
});

void t.test('a file that a directory hides, and one that nobody can tell about yet', async (t) => {
  const store = new MemoryStore();
  for (const key of ['m', 'm-1', 'm/x', 'n', 'n.txt', 'n/y']) store.put(key, '');
  const whole = await pageOf(store, '');
  const shown = (page: ListingPage): string[] =>
    Array.from({ length: page.rows }, (_, row) => row)
      .filter((row) => page.isVisible(row))
      .map((row) => page.name(row));
  t.same(shown(whole), ['m-1', 'm', 'n.txt', 'n']);
  t.equal(whole.shadowedFiles, 2);
  const cut = await pageOf(store, '', 2);
  t.equal(cut.endKey, 'm-1');
  t.same(shown(cut), [], 'm/ and m-1/ may follow');
  t.same(
    cut.undecided().map((file) => file.name),
    ['m', 'm-1'],
  );
  t.ok(cut.covers('m'));
  t.notOk(cut.covers('m/'));
});

void t.test('any bucket, any page size', async (t) => {
  await fc.assert(
    fc.asyncProperty(bucketKeys, fc.integer({ min: 1, max: 7 }), async (keys, keysMax) => {
      const store = new MemoryStore();
      for (const key of keys) store.put(key, key);
      const answer = await store.listPage({ prefix: '', delimiter: '/', keysMax });
      const page = new ListingPage({ directoryKey: '', startKey: '', sentAtMs: 0, columns: packPage(answer, '') });
      const raw = [...answer.objects.map((head) => head.key), ...answer.commonPrefixes].sort(compareKeys);
      const visible = raw.filter((key) => isFileName(key.endsWith('/') ? key.slice(0, -1) : key));
      const rows = Array.from({ length: page.rows }, (_, row) => page.name(row) + (page.isDirectory(row) ? '/' : ''));
      assert.deepEqual(rows, visible);
      assert.equal(page.hiddenKeys, raw.length - visible.length);
      assert.equal(page.endKey, page.isLast ? undefined : raw.at(-1));
      for (const [row, key] of rows.entries()) {
        assert.equal(page.find(key), row);
        assert.ok(page.covers(key));
        if (key.endsWith('/')) continue;
        assert.equal(page.head(row).etag, store.objects.get(key)?.etag);
        const decided = page.isLast || compareKeys(`${key}/`, raw.at(-1) ?? '') <= 0;
        assert.equal(page.isVisible(row), decided && !rows.includes(`${key}/`));
      }
    }),
    { numRuns: 150 },
  );
  t.pass('150 random cases agree');
});

void t.test('a store that lists in no order is noticed', (t) => {
  const head = { etag: '"1"', sizeBytes: 0, lastModifiedMs: 0, storageClass: '', restored: false };
  const columns = packPage({ objects: [{ ...head, key: 'b' }], commonPrefixes: [], nextToken: undefined }, '');
  t.equal(new ListingPage({ directoryKey: '', startKey: 'm', sentAtMs: 0, columns }).ordered, false);
  t.equal(new ListingPage({ directoryKey: '', startKey: 'a', sentAtMs: 0, columns }).ordered, true);
  t.end();
});

void t.test('a thousand ordinary names cost about 100 bytes each', async (t) => {
  const store = new MemoryStore();
  for (let index = 0; index < 1000; index++) store.put(`train/n01440764_${index}.JPEG`, 'x');
  const page = await pageOf(store, 'train/');
  t.equal(page.rows, 1000);
  t.ok(page.bytes / 1000 < 120, `${page.bytes / 1000} bytes an entry`);
});
