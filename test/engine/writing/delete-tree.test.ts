/** rm -r of a prefix: batches, several at once, failures by name, interruption. Over the memory store. */
import t from 'tap';
import { EINTR, ErrnoError } from '../../../src/base/errno.js';
import { deleteTree, type DeleteProgress } from '../../../src/engine/writing/delete-tree.js';
import { MemorySlots } from '../../support/memory-slots.js';
import { MemoryStore } from '../../support/memory-store.js';
import { MemoryWriter, storeError } from '../../support/memory-store-writer.js';

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
