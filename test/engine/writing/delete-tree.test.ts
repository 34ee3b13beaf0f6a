/** rm -r of a prefix: batches, several at once, failures by name, interruption. Over the memory store. */
import t from 'tap';
import { EINTR, ErrnoError } from '../../../src/base/errno.js';
import type { ObjectHead } from '../../../src/engine/api.js';
import { ListingProgress } from '../../../src/engine/listing/progress.js';
import { packPage } from '../../../src/engine/listing/row-collector.js';
import type { StoreError } from '../../../src/engine/store-error.js';
import { deleteTree, type DeleteProgress } from '../../../src/engine/writing/delete-tree.js';
import { MemorySlots } from '../../support/memory-slots.js';
import { MemoryStore } from '../../support/memory-store.js';
import { MemoryWriter, storeError } from '../../support/memory-store-writer.js';

const plain: Omit<ObjectHead, 'key'> = {
  etag: '"e"',
  sizeBytes: 1,
  lastModifiedMs: 0,
  storageClass: '',
  restored: false,
};

function bench(keys: number): { store: MemoryStore; writer: MemoryWriter } {
  const store = new MemoryStore();
  for (let at = 0; at < keys; at++) store.put(`d/${String(at).padStart(6, '0')}`, 'x');
  for (const key of ['d', 'd/', 'd//odd', 'd/./odd', 'd/sub/', 'd/sub/x', 'dd/stays', 'e']) store.put(key, 'x');
  return { store, writer: new MemoryWriter(store, new MemorySlots()) };
}

void t.test('everything below goes, odd keys and markers too, and nothing else', async (t) => {
  const { store, writer } = bench(4321);
  const states: DeleteProgress[] = [];
  const result = await deleteTree('d/', { store, writer, progress: (state) => states.push(state) });
  t.same([...store.objects.keys()].sort(), ['d', 'dd/stays', 'e']);
  t.match(result, { found: 4326, deleted: 4326, failed: 0, isListed: true, failures: [] });
  t.equal(store.count('list'), 5, 'a page each, nothing twice');
  t.equal(writer.count('deleteMany'), 5);
  t.match(states.at(-1), { deleted: 4326 });
});

void t.test('deletes go on while the next pages are listed, eight at once at most', async (t) => {
  const { store, writer } = bench(12_000);
  writer.hold('deleteMany');
  const removal = deleteTree('d/', { store, writer });
  while (writer.waiting.length < 8) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.equal(writer.waiting.length, 8);
  t.equal(store.count('list'), 9, 'one page waits for a free place');
  writer.letGo();
  t.equal((await removal).deleted, 12_005);
});

void t.test('keys that stay are named', async (t) => {
  const { store, writer } = bench(10);
  writer.undeletable.set('d/000003', storeError('AccessDenied', 403));
  const result = await deleteTree('d/', { store, writer });
  t.match(result, { found: 15, deleted: 14, failed: 1, failures: [{ key: 'd/000003', code: 'AccessDenied' }] });
});

void t.test('an empty prefix is no error', async (t) => {
  const { store, writer } = bench(0);
  t.match(await deleteTree('none/', { store, writer }), { found: 0, deleted: 0, failed: 0 });
  t.equal(writer.calls.length, 0);
});

void t.test('a request that is refused ends it, and it ends only when nothing is under way', async (t) => {
  const { store, writer } = bench(5000);
  writer.fail('deleteMany', storeError('AccessDenied', 403), { nth: 2 });
  await t.rejects(deleteTree('d/', { store, writer }), { code: 'AccessDenied' });
  t.equal(writer.waiting.length, 0);
});

void t.test('interrupted, it stops at once', async (t) => {
  const { store, writer } = bench(5000);
  const abort = new AbortController();
  writer.hold('deleteMany');
  const removal = deleteTree('d/', { store, writer }, abort.signal);
  while (writer.waiting.length < 1) await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  const error: unknown = await removal.catch((reason: unknown) => reason);
  t.ok(error instanceof ErrnoError && error.errno === EINTR);
  t.equal(writer.waiting.length, 0);
  t.equal(store.objects.has('d/000001'), true);
});

void t.test('a listing that goes round ends in words, one that repeats a key does not', async (t) => {
  for (const token of ['same', undefined]) {
    const { store, writer } = bench(10);
    let asked = 0;
    const list = store.list.bind(store);
    store.list = async (request, signal) => {
      const first = await list({ prefix: request.prefix, keysMax: 5 }, signal);
      return { ...first, nextToken: token ?? `${asked++}` };
    };
    writer.deleteMany = () => Promise.resolve([]);
    await t.rejects(deleteTree('d/', { store, writer }), { code: 'EndlessListing', remedy: /check the store/ });
    t.ok(store.count('list') < 10, `${store.count('list')} requests`);
  }
  const { store, writer } = bench(10);
  const list = store.list.bind(store);
  store.list = async (request, signal) => {
    // A token stands for its key here: the page begins with it once more.
    const { continuationToken, ...rest } = request;
    const lower = (key: string): string =>
      `${key.slice(0, -1)}${String.fromCharCode(key.charCodeAt(key.length - 1) - 1)}~`;
    const before = continuationToken === undefined ? {} : { startAfter: lower(continuationToken) };
    return await list({ ...rest, ...before, keysMax: 4 }, signal);
  };
  await deleteTree('d/', { store, writer });
  t.same([...store.objects.keys()].sort(), ['d', 'dd/stays', 'e']);
});

void t.test('progress of a listing', (t) => {
  const page = (keys: readonly string[], nextToken: string | undefined) =>
    packPage({ objects: keys.map((key) => ({ ...plain, key })), commonPrefixes: [], nextToken }, '', true);
  const watch = (...pages: (readonly [readonly string[], string | undefined])[]): string => {
    const progress = new ListingProgress('p/');
    try {
      for (const [keys, token] of pages) progress.took(page(keys, token));
      return 'ended';
    } catch (error) {
      return (error as StoreError).message;
    }
  };
  t.equal(watch([['a'], 'x'], [['b'], 'x'], [['c'], undefined]), 'ended', 'a token that stands for a cursor');
  t.equal(watch([['a', 'b'], '1'], [['b', 'c'], '2'], [['c', 'd'], '3'], [[], undefined]), 'ended', 'overlapping');
  t.equal(watch([['z'], '1'], [['b'], '2'], [['a'], '3'], [['y'], undefined]), 'ended', 'in no order');
  t.match(watch([['a'], '1'], [[], '2'], [[], '2']), /gives empty pages and says that there is more/);
  t.match(watch([['a'], '1'], [['a'], '1']), /'p\/' does not end: the store gives the same keys again/);
  t.match(watch([['a'], '1'], [['b'], '2'], [['a'], '3'], [['b'], '4'], [['a'], '5']), /the same keys again/);
  t.equal(watch([['a'], '1'], [['a'], undefined]), 'ended');
  t.end();
});
