/**
 * Without opens (`--immutable`) the kernel never asks for a name again, so every node that it was told of must mean the same file
 * after a daemon's death, or nothing.
 */
import t from 'tap';
import { ESTALE } from '../../../src/base/errno.js';
import { HeirBench } from '../../support/heir-bench.js';
import { context, errnoOf, ROOT } from '../../support/memory-store-kernel.js';

const options = { withoutOpens: true, metadataTtlMs: null, negativeMetadataTtlMs: null, limits: { listKeysMax: 7 } };

async function readOnce(bench: HeirBench, nodeId: number): Promise<string | number | undefined> {
  await bench.fs.revived(nodeId);
  return bench.kernel.read(nodeId, 0, 0, 100);
}

async function listed(bench: HeirBench): Promise<Map<string, number>> {
  const nodes = new Map<string, number>();
  for (const { item, entry } of await bench.kernel.readdir(ROOT, true)) if (entry) nodes.set(item.name, entry.nodeId);
  return nodes;
}

void t.test('every file that the kernel was told of is the same file', async (t) => {
  const bench = new HeirBench(options);
  for (let index = 0; index < 40; index++) bench.store.put(`f${String(index).padStart(2, '0')}`, `bytes of ${index}`);
  bench.store.put('d/e/looked-up', 'alone');
  const nodes = await listed(bench);
  t.equal(nodes.size, 41);
  const alone = (await bench.kernel.walk('d/e/looked-up'))!;
  // Some were read, some forgotten, before the kill.
  for (let index = 0; index < 10; index++) t.equal(bench.kernel.read(nodes.get(`f0${index}`)!, 0, 0, 5), 'bytes');
  for (let index = 35; index < 40; index++) {
    bench.kernel.forget(nodes.get(`f${index}`)!);
    nodes.delete(`f${index}`);
  }
  for (let kill = 0; kill < 3; kill++) {
    bench.kill();
    bench.store.reset();
    for (const [name, nodeId] of nodes) {
      if (name === 'd') continue;
      t.equal(await readOnce(bench, nodeId), `bytes of ${Number(name.slice(1))}`);
      t.equal(bench.fs.getattr(context(), nodeId).attributes.sizeBytes, 8 + 1 + String(Number(name.slice(1))).length);
    }
    t.equal(await readOnce(bench, alone.nodeId), 'alone');
  }
  bench.kernel.forgetAll();
  t.notOk(
    bench.log.lines.some(({ level }) => level === 'error' || level === 'warn'),
    'no trouble',
  );
  t.equal(bench.fs.stats().nodes, 0);
});

void t.test('a directory that has changed all the same: ESTALE, never another file', async (t) => {
  for (const change of ['removed', 'replaced', 'added'] as const) {
    const bench = new HeirBench(options);
    for (let index = 0; index < 5; index++) bench.store.put(`f${index}`, `bytes of ${index}`);
    const nodes = await listed(bench);
    if (change === 'removed') bench.store.delete('f1');
    else if (change === 'replaced') bench.store.put('f1', 'others of 1');
    else bench.store.put('f00', 'new');
    bench.kill();
    for (const nodeId of nodes.values()) t.equal(await errnoOf(() => readOnce(bench, nodeId)), ESTALE, change);
    const fresh = await listed(bench);
    for (const nodeId of fresh.values())
      t.type(await readOnce(bench, nodeId), 'string', 'and is readable when it is looked up again');
  }
});

void t.test('what the kernel has forgotten leaves nothing behind', async (t) => {
  const bench = new HeirBench(options);
  for (let index = 0; index < 20; index++) bench.store.put(`f${index}`, 'x');
  for (let round = 0; round < 3; round++) {
    const nodes = await listed(bench);
    for (const nodeId of [...nodes.values()].slice(0, 5)) bench.kernel.read(nodeId, 0, 0, 1);
    bench.kernel.forgetAll();
  }
  const before = bench.fs.stats().nodes;
  bench.kill();
  t.equal(before, 0);
  t.equal(bench.fs.revived(5), undefined, 'no page is inherited');
  t.equal(bench.fs.stats().nodes, 0);
});
