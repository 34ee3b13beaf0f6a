/**
 * A file that grows in the bucket meets what else happens to it here: it is open for writing, opened for writing or truncated while
 * the kernel has the old end, and the daemon dies at that moment.
 */
import { createHash } from 'node:crypto';
import t from 'tap';
import { ESTALE } from '../../src/base/errno.js';
import { HeirBench, numbered } from '../support/heir-bench.js';
import { context, errnoOf, ROOT, settle } from '../support/memory-store-kernel.js';
import type { MemoryStore } from '../support/memory-store.js';
import { O_RDONLY, O_RDWR, O_WRONLY, WriteBench } from './writing/bench.js';

function put(store: MemoryStore, text: string): void {
  store.put('log', text, { etag: `"${createHash('md5').update(text).digest('hex')}"` });
}

/** tail -f, which asks each second. */
async function polls(bench: WriteBench | HeirBench, nodeId: number, count = 3): Promise<number> {
  for (let poll = 0; poll < count; poll++) {
    bench.clock.advance(1_001);
    bench.fs.getattr(context(), nodeId);
    await settle();
  }
  return bench.fs.getattr(context(), nodeId).attributes.sizeBytes;
}

void t.test('what is open for writing here stays what its writer knows', async (t) => {
  const bench = new WriteBench(t);
  const writer = await bench.create('log', O_RDWR);
  await writer.write(0, 'ours\n');
  await writer.fsync();
  const reader = await bench.open('log', O_RDONLY);
  put(bench.store, 'ours\ntheirs\n');
  t.equal(await polls(bench, reader.nodeId), 5, 'its writer would put its next bytes after what it cannot read');
  t.equal((await reader.read(0, 100)).toString(), 'ours\n');
  await writer.close();
  t.equal(await polls(bench, reader.nodeId), 12, 'it is followed again');
  t.equal((await reader.read(0, 100)).toString(), 'ours\ntheirs\n');
});

void t.test('nobody writes at an end that the kernel has from before', async (t) => {
  for (const open of [O_WRONLY, O_RDWR]) {
    const bench = new WriteBench(t);
    put(bench.store, 'one\n');
    const reader = await bench.open('log', O_RDONLY);
    let drop: () => void = () => undefined;
    bench.dropped = () => new Promise((resolve) => (drop = resolve));
    put(bench.store, 'one\ntwo\n');
    t.equal(await polls(bench, reader.nodeId), 4, 'the kernel still has the old end');
    t.equal(await errnoOf(() => bench.fs.open(context(), reader.nodeId, open)), ESTALE);
    // As the kernel does then.
    const writer = await bench.open('log', open);
    t.equal(writer.size(), 8);
    await writer.write(8, 'three\n');
    await writer.close();
    t.equal(bench.object('log'), 'one\ntwo\nthree\n');
    drop();
    await reader.close();
  }
  const bench = new WriteBench(t);
  put(bench.store, 'one\n');
  const reader = await bench.open('log', O_RDONLY);
  bench.dropped = () => new Promise(() => undefined);
  put(bench.store, 'one\ntwo\n');
  await polls(bench, reader.nodeId);
  t.equal(await errnoOf(() => bench.fs.setattr(context(), reader.nodeId, { sizeBytes: 6 })), ESTALE, 'truncate(2)');
});

void t.test('the daemon dies before the kernel has dropped the old end', async (t) => {
  const bench = new HeirBench();
  put(bench.store, 'x'.repeat(5000));
  const { nodeId } = (await bench.kernel.lookup(ROOT, 'log'))!;
  const { handle } = await bench.fs.open(numbered(), nodeId, 0);
  bench.dropped = () => new Promise(() => undefined);
  put(bench.store, `${'x'.repeat(5000)}y`);
  t.equal(await polls(bench, nodeId), 5000);
  // Somebody opens it meanwhile.
  const other = await bench.fs.open(numbered(), nodeId, 0);
  const told: number[] = [];
  bench.dropped = (_nodeId, offset) => Promise.resolve(void told.push(offset));
  bench.kill();
  t.equal(bench.fs.getattr(context(), nodeId).attributes.sizeBytes, 5000, 'the kernel has zeros behind the old end');
  t.equal(await polls(bench, nodeId), 5001);
  t.same(told, [4096]);
  for (const each of [handle, other.handle]) t.equal(bench.kernel.read(nodeId, each, 4999, 10), 'xy');
  bench.kill();
  t.equal(bench.fs.getattr(context(), nodeId).attributes.sizeBytes, 5001, 'what was shown is known to the next one');
  t.same(told, [4096]);
});

void t.test('a file that was replaced elsewhere, written here and then removed is no longer followed', async (t) => {
  const bench = new WriteBench(t, { writing: { conflict: 'last-writer' } });
  put(bench.store, 'one\n');
  const reader = await bench.open('log', O_RDONLY);
  const writer = await bench.open('log', O_RDWR);
  put(bench.store, 'other\n');
  bench.clock.advance(1_001);
  t.not((await bench.kernel.lookup(ROOT, 'log'))?.nodeId, reader.nodeId, 'it is outdated');
  await writer.write(0, 'ours\n');
  await writer.close();
  t.equal((await bench.kernel.lookup(ROOT, 'log'))?.nodeId, reader.nodeId, 'and current again');
  await bench.fs.unlink(context(), ROOT, 'log');
  put(bench.store, 'ours\nand somebody else\n');
  t.equal(await polls(bench, reader.nodeId, 5), 5, 'what is removed stays what it was');
});
