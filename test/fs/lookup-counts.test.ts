/**
 * Random sequences of everything that counts lookups, on a bucket that changes meanwhile: whatever happened, after the
 * kernel has forgotten and closed all, the table is empty and the prefetcher was told of every version that was open.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { context, errnoOf, makeBench, ROOT } from '../support/memory-store-kernel.js';

const names = ['a', 'b', 'a-b', 'd', 'missing'];
const step = fc.oneof(
  fc.record({ do: fc.constant('lookup' as const), name: fc.constantFrom(...names) }),
  fc.record({ do: fc.constant('lookups at once' as const), name: fc.constantFrom(...names) }),
  fc.record({ do: fc.constant('interrupted lookup' as const), name: fc.constantFrom(...names) }),
  fc.record({ do: fc.constant('readdirplus' as const), room: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ do: fc.constant('forget' as const), pick: fc.nat(), all: fc.boolean() }),
  fc.record({ do: fc.constant('open' as const), pick: fc.nat() }),
  fc.record({ do: fc.constant('release' as const), pick: fc.nat() }),
  fc.record({ do: fc.constant('put' as const), key: fc.constantFrom('a', 'b', 'a-b', 'd/x', 'a/y') }),
  fc.record({ do: fc.constant('delete' as const), key: fc.constantFrom('a', 'b', 'a-b', 'd/x', 'a/y') }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 500, 1001) }),
);

void t.test('lookup counts are exact', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (steps, listKeysMax) => {
      const { store, kernel, fs, clock, prefetcher } = makeBench({ limits: { listKeysMax } });
      for (const key of ['a', 'b', 'a-b', 'd/x']) store.put(key, key);
      const open: { nodeId: number; handle: number }[] = [];
      const openedNodes = new Set<number>();
      const picked = <T>(list: readonly T[], pick: number): T | undefined => list[pick % Math.max(1, list.length)];
      for (const now of steps) {
        switch (now.do) {
          case 'lookup':
            await kernel.lookup(ROOT, now.name);
            break;
          case 'lookups at once':
            await Promise.all([1, 2, 3].map(() => kernel.lookup(ROOT, now.name)));
            break;
          case 'interrupted lookup': {
            const abort = new AbortController();
            const asked = errnoOf(() => kernel.lookup(ROOT, now.name, context(abort)));
            abort.abort();
            await asked;
            break;
          }
          case 'readdirplus': {
            const handle = await kernel.opendir(ROOT);
            await kernel.readdirOnce(ROOT, handle, 0, true, now.room);
            fs.releasedir(context(), ROOT, handle);
            break;
          }
          case 'forget': {
            const held = picked([...kernel.counts], now.pick);
            // The kernel keeps an inode, and its lookups, while a file of it is open.
            if (!held || open.some(({ nodeId }) => nodeId === held[0])) break;
            kernel.forget(held[0], now.all ? held[1] : 1);
            break;
          }
          case 'open': {
            const nodeId = picked([...kernel.counts.keys()], now.pick);
            if (nodeId === undefined) break;
            await errnoOf(async () => {
              const { handle } = await fs.open(context(), nodeId, 0);
              open.push({ nodeId, handle });
              openedNodes.add(nodeId);
            });
            break;
          }
          case 'release': {
            const last = open.splice(now.pick % Math.max(1, open.length), 1)[0];
            if (last) fs.release(context(), last.nodeId, last.handle);
            break;
          }
          case 'put':
            store.put(now.key, `${now.key} again`);
            break;
          case 'delete':
            store.delete(now.key);
            break;
          case 'wait':
            clock.advance(now.ms);
            break;
        }
        assert.ok(fs.stats().nodes >= kernel.counts.size, 'no node that the kernel knows is gone');
        for (const nodeId of kernel.counts.keys()) fs.getattr(context(), nodeId);
      }
      for (const { nodeId, handle } of open) fs.release(context(), nodeId, handle);
      kernel.forgetAll();
      assert.equal(fs.stats().nodes, 0);
      assert.equal(fs.stats().openFiles, 0);
      assert.equal(prefetcher.closed, prefetcher.opened.length);
      assert.deepEqual(new Set(prefetcher.forgotten), openedNodes);
      fs.destroy();
    }),
    { numRuns: 200 },
  );
  t.pass('200 random cases agree');
});
