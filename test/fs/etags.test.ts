/**
 * Stores that give objects no ETag in listings, weak ones, or none at all: what can be tied to a version by a HEAD is read and
 * edited like any other; the rest is refused when it is opened, in words that name the store's behaviour.
 */
import t from 'tap';
import { EIO, EPERM, ESTALE } from '../../src/base/errno.js';
import type { ListPage, ListRequest, ObjectHead } from '../../src/engine/api.js';
import { MemoryStore } from '../support/memory-store.js';
import { context, errnoOf, makeBench, ROOT } from '../support/memory-store-kernel.js';
import { O_RDWR, O_WRONLY, WriteBench } from './writing/bench.js';

/** What listings and HEAD make of the ETags. */
class OddStore extends MemoryStore {
  readonly #listed: (etag: string) => string;
  readonly #headed: (etag: string) => string;

  constructor(listed: (etag: string) => string, headed: (etag: string) => string = (etag) => etag) {
    super();
    this.#listed = listed;
    this.#headed = headed;
  }

  override async head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    const head = await super.head(key, signal);
    return head && { ...head, etag: this.#headed(head.etag) };
  }

  override async listPage(request: ListRequest, signal?: AbortSignal): Promise<ListPage> {
    const page = await super.listPage(request, signal);
    return { ...page, objects: page.objects.map((head) => ({ ...head, etag: this.#listed(head.etag) })) };
  }
}

const none = (): string => '';
const weak = (etag: string): string => `W/${etag}`;
const bare = (etag: string): string => etag.slice(1, -1);

for (const [name, listed] of [
  ['no', none],
  ['weak', weak],
] as const) {
  t.test(`listings with ${name} ETags: the HEAD's is read by`, async (t) => {
    const { store, kernel, fs, clock } = makeBench({}, new OddStore(listed));
    store.put('a', 'hello');
    const [row] = await kernel.readdir(ROOT, true);
    const nodeId = row!.entry!.nodeId;
    const { handle } = await fs.open(context(), nodeId, 0);
    t.equal(kernel.read(nodeId, handle, 0, 100), 'hello');
    for (let again = 0; again < 3; again++) {
      clock.advance(1001);
      const [same] = await kernel.readdir(ROOT, true);
      t.equal(same!.entry!.nodeId, nodeId, 'a later listing is of the same version');
      t.equal((await kernel.lookup(ROOT, 'a'))!.nodeId, nodeId);
      fs.release(context(), nodeId, (await fs.open(context(), nodeId, 0)).handle);
    }
    t.equal(kernel.read(nodeId, handle, 1, 100), 'ello', 'and the handle goes on');
    store.put('a', 'HELLO');
    clock.advance(1001);
    t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), ESTALE, 'another version is another');
    t.not((await kernel.lookup(ROOT, 'a'))!.nodeId, nodeId);
    t.equal(kernel.read(nodeId, handle, 0, 100), -ESTALE);
  });
}

t.test('listings whose ETags lack their quotes are of the same version', async (t) => {
  const { store, kernel, fs, clock } = makeBench({}, new OddStore(bare));
  store.put('a', 'hello');
  const [row] = await kernel.readdir(ROOT, true);
  const { nodeId } = row!.entry!;
  clock.advance(1001);
  fs.release(context(), nodeId, (await fs.open(context(), nodeId, 0)).handle);
  t.equal((await kernel.lookup(ROOT, 'a'))!.nodeId, nodeId);
});

for (const [name, etags, says] of [
  [
    'none at all',
    none,
    /open of 'a' is refused with EIO: the store gives it no ETag, in listings and in HEAD.*; read it through/,
  ],
  [
    'weak ones only',
    weak,
    /only the weak ETag W\/"0+1", for which no If-Match holds.*; have what stands before the store/,
  ],
] as const) {
  t.test(`objects with ${name} are refused at open`, async (t) => {
    const { store, kernel, fs, log } = makeBench({}, new OddStore(etags, etags));
    store.put('a', 'hello');
    store.put('empty', '');
    const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
    t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), EIO);
    t.match(log.lines, [{ level: 'warn', message: says }]);
    const empty = (await kernel.lookup(ROOT, 'empty'))!;
    const { handle } = await fs.open(context(), empty.nodeId, 0);
    t.equal(kernel.read(empty.nodeId, handle, 0, 100), '', 'there is nothing to mix in an empty one');
  });

  t.test(`objects with ${name}, without opens`, async (t) => {
    const options = { metadataTtlMs: null, negativeMetadataTtlMs: null, withoutOpens: true };
    const { store, kernel, fs, log } = makeBench(options, new OddStore(etags, etags));
    store.put('a', 'hello');
    const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
    const errno = await new Promise((resolve) =>
      fs.read(context(), nodeId, 0, 0, 5, {
        ticket: undefined,
        data: () => resolve(0),
        error: resolve,
        handedOver: () => ({ finished: () => undefined }),
      }),
    );
    t.equal(errno, EIO);
    t.match(log.lines[0]?.message, /read of 'a' is refused/);
  });
}

t.test('without opens: the HEAD of the first read is read by', async (t) => {
  const options = { metadataTtlMs: null, negativeMetadataTtlMs: null, withoutOpens: true };
  const { store, kernel, fs } = makeBench(options, new OddStore(none));
  store.put('a', 'hello');
  const [row] = await kernel.readdir(ROOT, true);
  const nodeId = row!.entry!.nodeId;
  const text = await new Promise<unknown>((resolve) =>
    fs.read(context(), nodeId, 0, 0, 5, {
      ticket: undefined,
      data: (parts) => resolve(Buffer.concat(parts).toString()),
      error: resolve,
      handedOver: () => ({ finished: () => undefined }),
    }),
  );
  t.equal(text, 'hello');
  t.equal(kernel.read(nodeId, 0, 0, 5), 'hello');
  t.equal(store.count('head'), 1);
});

t.test('a file that was listed without an ETag is edited, not replaced', async (t) => {
  const bench = new WriteBench(t, { store: new OddStore(none) });
  bench.store.put('a', 'hello world');
  await bench.kernel.readdir(ROOT, true);
  const file = await bench.open('a', O_RDWR);
  await file.write(6, 'there');
  await file.close();
  t.equal(bench.object('a'), 'hello there');

  bench.store.put('b', 'hello world');
  bench.clock.advance(1001);
  const [, row] = await bench.kernel.readdir(ROOT, true);
  await bench.fs.setattr(bench.context(), row!.entry!.nodeId, { sizeBytes: 5 });
  const other = await bench.open('b', 0);
  await other.close();
  t.equal(bench.object('b'), 'hello', 'truncate of a path');
});

t.test('what was set before the ETag was known stays', async (t) => {
  const bench = new WriteBench(t, { store: new OddStore(none) });
  bench.store.put('a', 'hello world');
  const [row] = await bench.kernel.readdir(ROOT, true);
  const { nodeId } = row!.entry!;
  await bench.fs.setattr(bench.context(), nodeId, { mode: 0o755 });
  await (await bench.open('a', 0)).close();
  t.equal(bench.fs.getattr(bench.context(), nodeId).attributes.mode & 0o777, 0o755);
});

t.test('what cannot be pinned is not written either', async (t) => {
  const bench = new WriteBench(t, { store: new OddStore(none, none) });
  bench.store.put('a', 'hello world');
  const { nodeId } = (await bench.kernel.lookup(ROOT, 'a'))!;
  t.equal(await errnoOf(() => bench.open('a', O_WRONLY)), EIO);
  t.equal(await errnoOf(() => bench.fs.setattr(bench.context(), nodeId, { sizeBytes: 5 })), EIO);
  t.equal(bench.object('a'), 'hello world');
  const made = await bench.create('new');
  await made.write(0, 'x');
  await made.close();
  t.equal(bench.object('new'), 'x', 'new files are');
});

t.test('renames of what has no ETag move the object', async (t) => {
  for (const headed of [none, weak, undefined]) {
    const bench = new WriteBench(t, { store: new OddStore(none, headed) });
    bench.store.put('a', 'hello world');
    await bench.kernel.readdir(ROOT, true);
    await bench.fs.rename(bench.context(), ROOT, 'a', ROOT, 'b', 0);
    t.equal(bench.object('b'), 'hello world');
    t.equal(bench.object('a'), undefined);
    await bench.fs.unlink(bench.context(), ROOT, 'b');
    t.equal(bench.object('b'), undefined);
  }
});

t.test('--no-overwrite holds for what has no ETag', async (t) => {
  const bench = new WriteBench(t, { store: new OddStore(none), fs: { noOverwrite: true } });
  bench.store.put('a', 'hello world');
  await bench.kernel.readdir(ROOT, true);
  t.equal(await errnoOf(() => bench.open('a', O_WRONLY)), EPERM);
});
