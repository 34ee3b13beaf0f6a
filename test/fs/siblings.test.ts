/**
 * Small files fetched before they are opened: which, when, with which version, and what becomes of their nodes.
 */
import t from 'tap';
import { context, makeBench, ROOT, settle, type Bench } from '../support/memory-store-kernel.js';
import { MemoryStore } from '../support/memory-store.js';

const MIB = 1024 * 1024;

interface Directory extends Bench {
  readonly nodeId: number;
  readonly names: readonly string[];
  /** Looks a name up, opens it, closes it again. */
  use(name: string): Promise<number>;
  /** Names fetched ahead since the last call. */
  ahead(): string[];
}

/** A directory of `count` files, listed; `body` makes their contents. */
async function directory(count: number, listKeysMax = 1000, body = (name: string) => name): Promise<Directory> {
  const bench = makeBench({ metadataTtlMs: 60_000, limits: { listKeysMax } }, new MemoryStore(), true);
  const names = Array.from({ length: count }, (_, index) => `f${String(index).padStart(5, '0')}`);
  for (const name of names) bench.store.put(`d/${name}`, body(name));
  const { nodeId } = (await bench.kernel.lookup(ROOT, 'd'))!;
  const handle = await bench.kernel.opendir(nodeId);
  bench.fs.releasedir(context(), nodeId, handle);
  await bench.kernel.readdir(nodeId);
  let seen = 0;
  return {
    ...bench,
    nodeId,
    names,
    async use(name) {
      const entry = (await bench.kernel.lookup(nodeId, name))!;
      const { handle: opened } = await bench.fs.open(context(), entry.nodeId, 0);
      bench.fs.release(context(), entry.nodeId, opened);
      await settle(2);
      return entry.nodeId;
    },
    ahead() {
      const keys = bench.prefetcher.speculated.slice(seen).map(({ key }) => key.slice(2));
      seen = bench.prefetcher.speculated.length;
      return keys;
    },
  };
}

void t.test(
  'in listing order: the following files, more and more, each once, each with the node of its LOOKUP',
  async (t) => {
    const dir = await directory(300, 100);
    await dir.use('f00000');
    t.same(dir.ahead(), [], 'one open means nothing');
    await dir.use('f00001');
    t.same(dir.ahead(), dir.names.slice(2, 6));
    // Whether the last name of a page is a file's or a directory's is for the next page to say: those are left out.
    const pageEnds = ['f00099', 'f00199'];
    for (const name of dir.names.slice(2, 250)) {
      const nodeId = await dir.use(name);
      if (pageEnds.includes(name)) continue;
      const fetched = dir.prefetcher.speculated.find(({ key }) => key === `d/${name}`);
      if (fetched?.nodeId !== nodeId) t.fail(`${name} was fetched as ${fetched?.nodeId} and opened as ${nodeId}`);
    }
    const following = dir.names.slice(6).filter((name) => !pageEnds.includes(name));
    t.same(dir.ahead(), following, 'over page ends to the end, none twice');
    const { fetchedAhead, fetchedAheadUsed } = dir.fs.stats();
    t.same([fetchedAhead, fetchedAheadUsed], [296, 246]);
  },
);

void t.test('in no order: the rest of the directory, at the pace of the opens', async (t) => {
  const dir = await directory(400);
  const shuffled = dir.names.map((_, index) => dir.names[(index * 151 + 77) % 400]!);
  let opens = 0;
  for (const name of shuffled) {
    await dir.use(name);
    opens++;
    const { fetchedAhead } = dir.fs.stats();
    if (fetchedAhead > 9 * opens) t.fail(`${fetchedAhead} fetched ahead after ${opens} opens`);
  }
  const { fetchedAhead, fetchedAheadUsed } = dir.fs.stats();
  t.ok(fetchedAhead > 200, `${fetchedAhead} of 400 were fetched ahead`);
  t.equal(fetchedAheadUsed, fetchedAhead, 'and all of them opened');
  t.equal(new Set(dir.prefetcher.speculated.map(({ key }) => key)).size, fetchedAhead, 'none twice');
});

void t.test('a part of the directory, in no order: hardly anything beyond it', async (t) => {
  const dir = await directory(1000);
  const part = dir.names.slice(300, 700);
  for (let at = 0; at < part.length; at++) await dir.use(part[(at * 151 + 77) % part.length]!);
  const fetched = dir.ahead();
  const beyond = fetched.filter((name) => !part.includes(name));
  t.ok(fetched.length > 200, `${fetched.length} were fetched ahead`);
  t.ok(beyond.length < 40, `${beyond.length} of them are not of the part`);
});

void t.test('left out: what is large, empty or archived, directories, and what was open before', async (t) => {
  const large = 'x'.repeat(MIB + 1);
  const dir = await directory(60, 1000, (name) => (name === 'f00003' ? large : name === 'f00004' ? '' : name));
  dir.store.put('d/f00002a/x', 'x');
  dir.store.put('d/f00005', 'cold', { storageClass: 'GLACIER' });
  dir.clock.advance(61_000);
  await dir.kernel.readdir(dir.nodeId);
  await dir.use('f00050');
  const inOrder = dir.names.slice(0, 20).filter((name) => !['f00003', 'f00004', 'f00005'].includes(name));
  for (const name of inOrder) await dir.use(name);
  const fetched = dir.prefetcher.speculated.map(({ key }) => key.slice(2));
  for (const name of ['f00003', 'f00004', 'f00005', 'f00050', 'f00002a']) t.notOk(fetched.includes(name), name);
  t.ok(fetched.includes('f00002') && fetched.includes('f00051'));
});

void t.test('replaced after it was fetched: LOOKUP gives another node, and the old one goes', async (t) => {
  const dir = await directory(40);
  await dir.use('f00000');
  await dir.use('f00001');
  const old = dir.prefetcher.speculated.find(({ key }) => key === 'd/f00002')!;
  const { etag } = dir.store.objects.get('d/f00002')!;
  dir.store.put('d/f00002', 'quite another');
  // The store refused the GET: If-Match did not match.
  dir.fs.versionLost(old.nodeId, etag);
  t.equal(dir.log.lines.length, 0, 'nobody reads it, so nobody is told');
  const young = (await dir.kernel.lookup(dir.nodeId, 'f00002'))!;
  t.not(young.nodeId, old.nodeId);
  t.equal(young.attributes.sizeBytes, 13);
  const { handle } = await dir.fs.open(context(), young.nodeId, 0);
  t.equal(dir.kernel.read(young.nodeId, handle, 0, 100), 'quite another');
  dir.fs.release(context(), young.nodeId, handle);
});

void t.test('a listing that has become old is not used', async (t) => {
  const dir = await directory(100);
  await dir.use('f00000');
  dir.clock.advance(61_000);
  await dir.kernel.lookup(dir.nodeId, 'f00001');
  await dir.use('f00001');
  t.same(dir.ahead(), []);
});

void t.test('bounded by the pool: what nobody opens is given up, and its blocks with it', async (t) => {
  const dir = await directory(1000);
  // Room for 32 files of one small slot each: half of 64.
  dir.prefetcher.poolBytes = 64 * 64 * 1024;
  const mostHeld = 32;
  let index = 5;
  for (let opens = 0; opens < 200; opens++) {
    index = (index * 421 + 97) % 1000;
    await dir.use(dir.names[index]!);
    const held = dir.prefetcher.speculated.filter(({ nodeId }) => dir.prefetcher.holds(nodeId));
    const unread = held.filter(({ nodeId }) => !dir.prefetcher.opened.some((version) => version.nodeId === nodeId));
    if (unread.length > mostHeld) t.fail(`${unread.length} files lie unread`);
    dir.clock.advance(100);
  }
  t.ok(dir.prefetcher.forgotten.length > 0, 'some were given up');
  t.ok(dir.fs.stats().fetchedAhead < 250, `stopped after ${dir.fs.stats().fetchedAhead} that few opened`);
  dir.kernel.forgetAll();
  dir.fs.destroy();
  t.equal(dir.fs.stats().nodes, 0, 'no node is left');
  const kept = dir.prefetcher.speculated.filter(({ nodeId }) => !dir.prefetcher.forgotten.includes(nodeId));
  t.same(kept, [], 'every version fetched ahead is forgotten in the end');
});

void t.test('no room for it now: tried again at the next open', async (t) => {
  const dir = await directory(100);
  dir.prefetcher.speculates = false;
  await dir.use('f00000');
  await dir.use('f00001');
  const before = dir.fs.stats().nodes;
  t.same(dir.ahead(), []);
  dir.prefetcher.speculates = true;
  await dir.use('f00002');
  t.same(dir.ahead(), dir.names.slice(3, 7));
  t.equal(dir.fs.stats().nodes, before + 5);
});
