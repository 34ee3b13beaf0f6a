/**
 * Nodes that are rows of listing pages, against a model that keeps an object for each: ids, versions, lookup counts and
 * opens must come out the same whichever way a file became known; and the index below them against a Map.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import type { ObjectHead } from '../../src/engine/api.js';
import { packPage } from '../../src/engine/listing/row-collector.js';
import { inoOfKey } from '../../src/fs/ino.js';
import { InodeTable } from '../../src/fs/inode-table.js';
import { ListingPage } from '../../src/fs/listing-page.js';
import { NodeIndex } from '../../src/fs/node-index.js';

const NAMES = Array.from({ length: 100 }, (_, index) => `f${index}`);

interface Known {
  readonly id: number;
  readonly name: string;
  readonly etag: string;
  seenAtMs: number;
  lookups: number;
  opens: number;
  wasOpened: boolean;
  current: boolean;
}

type Step =
  | { readonly kind: 'list'; readonly versions: readonly number[]; readonly agoMs: number }
  | {
      readonly kind: 'readdirplus';
      readonly page: number;
      readonly from: number;
      readonly rows: number;
      readonly fits: boolean;
    }
  | { readonly kind: 'head'; readonly name: number; readonly version: number; readonly agoMs: number }
  | { readonly kind: 'forget' | 'open' | 'close' | 'retire' | 'look'; readonly which: number }
  | { readonly kind: 'forgetMany'; readonly every: number };

const index = fc.nat(999);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('list' as const),
      versions: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: NAMES.length }),
      agoMs: fc.integer({ min: 0, max: 5 }),
    }),
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('readdirplus' as const),
        page: index,
        from: fc.nat(99),
        rows: fc.integer({ min: 1, max: 100 }),
        fits: fc.boolean(),
      }),
    },
    fc.record({
      kind: fc.constant('head' as const),
      name: index,
      version: fc.integer({ min: 1, max: 3 }),
      agoMs: fc.nat(5),
    }),
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constantFrom('forget' as const, 'open', 'close', 'retire', 'look'),
        which: index,
      }),
    },
    fc.record({ kind: fc.constant('forgetMany' as const), every: fc.integer({ min: 2, max: 40 }) }),
  ),
  { maxLength: 40 },
);

function headOf(name: string, version: number): ObjectHead {
  const sizeBytes = version * 10;
  return { key: `d/${name}`, etag: `"${version}"`, sizeBytes, lastModifiedMs: 5000, storageClass: '', restored: false };
}

class Model {
  readonly known = new Map<number, Known>();
  readonly given = new Set<number>();
  nowMs = 100;

  /** What the table answered for a name of which `etag` was seen at `sentAtMs`. */
  answered(id: number, name: string, etag: string, sentAtMs: number): Known {
    const current = [...this.known.values()].find((node) => node.name === name && node.current);
    if (current && (current.etag === etag || current.seenAtMs > sentAtMs)) {
      assert.equal(id, current.id, `${name} has a node`);
      if (current.etag === etag) current.seenAtMs = Math.max(current.seenAtMs, sentAtMs);
      return current;
    }
    if (current) current.current = false;
    assert.ok(!this.given.has(id), `id ${id} is given again`);
    const node = { id, name, etag, seenAtMs: sentAtMs, lookups: 0, opens: 0, wasOpened: false, current: true };
    this.known.set(id, node);
    return node;
  }

  reap(node: Known): void {
    if (node.lookups === 0 && node.opens === 0) this.known.delete(node.id);
  }

  pick(which: number): Known | undefined {
    const all = [...this.known.values()];
    return all[which % Math.max(1, all.length)];
  }
}

t.test('whatever happens to files, in whatever way they became known', (t) => {
  fc.assert(
    fc.property(steps, (script) => {
      const forgotten: number[] = [];
      const table = new InodeTable({ rootKey: '', firstNodeId: 10 }, { forgotten: (id) => forgotten.push(id) });
      const model = new Model();
      const gone: number[] = [];
      const pages: ListingPage[] = [];
      const reap = (node: Known): void => {
        model.reap(node);
        if (!model.known.has(node.id) && node.wasOpened) gone.push(node.id);
      };
      const forget = (node: Known): void => {
        assert.ok(table.forget(node.id, 1));
        node.lookups--;
        reap(node);
      };
      for (const step of script) {
        model.nowMs += 3;
        switch (step.kind) {
          case 'list': {
            const objects = NAMES.flatMap((name, at) => {
              const version = step.versions[at % step.versions.length] ?? 0;
              return version === 0 ? [] : [headOf(name, version)];
            });
            const columns = packPage({ objects, commonPrefixes: [], nextToken: undefined }, 'd/');
            const sentAtMs = model.nowMs - step.agoMs;
            pages.push(new ListingPage({ directoryKey: 'd/', startKey: '', sentAtMs, columns }));
            break;
          }
          case 'readdirplus': {
            const page = pages[step.page % Math.max(1, pages.length)];
            for (let row = step.from; page && row < Math.min(page.rows, step.from + step.rows); row++) {
              const head = page.head(row);
              const ino = inoOfKey(head.key);
              const id = table.listed(page, row, ino);
              const node = model.answered(id, page.name(row), head.etag, page.sentAtMs);
              const last = row === page.rows - 1 || row === step.from + step.rows - 1;
              assert.equal(table.view(id, ino).ino, ino);
              if (last && !step.fits) {
                table.discardListed(id);
                model.reap(node);
                continue;
              }
              model.given.add(id);
              table.rememberListed(id);
              node.lookups++;
            }
            break;
          }
          case 'head': {
            const name = NAMES[step.name % NAMES.length] ?? '';
            const head = headOf(name, step.version);
            const sentAtMs = model.nowMs - step.agoMs;
            const found = table.fileOf(head, sentAtMs);
            const node = model.answered(found.nodeId, name, head.etag, sentAtMs);
            model.given.add(found.nodeId);
            table.remember(found);
            node.lookups++;
            assert.equal(table.currentFile(head.key), found);
            break;
          }
          case 'forget': {
            const node = model.pick(step.which);
            if (node && node.lookups > 0) forget(node);
            break;
          }
          case 'forgetMany':
            for (const [at, node] of [...model.known.values()].entries()) {
              while (at % step.every !== 0 && node.lookups > 0) forget(node);
            }
            break;
          case 'open': {
            const node = model.pick(step.which);
            if (!node) break;
            table.opened(table.file(node.id));
            node.opens++;
            node.wasOpened = true;
            break;
          }
          case 'close': {
            const node = [...model.known.values()].find(({ opens }) => opens > 0);
            if (!node) break;
            table.closed(table.file(node.id));
            node.opens--;
            reap(node);
            break;
          }
          case 'retire': {
            const node = model.pick(step.which);
            if (!node) break;
            table.retire(table.file(node.id));
            node.current = false;
            break;
          }
          case 'look': {
            const node = model.pick(step.which);
            if (!node) break;
            const file = table.file(node.id);
            assert.deepEqual(
              [file.key, file.etag, file.lookups, file.opens, file.current, file.validatedAtMs, file.wasOpened],
              [`d/${node.name}`, node.etag, node.lookups, node.opens, node.current, node.seenAtMs, node.wasOpened],
            );
            break;
          }
        }
        assert.equal(table.size, model.known.size);
        for (const node of model.known.values()) {
          const view = table.view(node.id);
          assert.ok(view.kind === 'file' && view.sizeBytes === Number(node.etag.slice(1, -1)) * 10);
        }
      }
      for (const node of [...model.known.values()]) {
        while (node.opens > 0) {
          table.closed(table.file(node.id));
          node.opens--;
        }
        while (node.lookups > 0) forget(node);
        if (node.opens === 0 && node.lookups === 0 && model.known.has(node.id)) reap(node);
      }
      assert.equal(table.size, 0);
      const least = new InodeTable({ rootKey: '', firstNodeId: 2 }, { forgotten: () => undefined }).bytes;
      assert.equal(table.bytes, least, 'no page is kept for nothing');
      assert.deepEqual(forgotten.toSorted(), gone.toSorted());
    }),
    { numRuns: 300 },
  );
  t.pass('300 histories');
  t.end();
});

t.test('a hundred thousand listed files cost their pages and little else', (t) => {
  const table = new InodeTable({ rootKey: '', firstNodeId: 2 }, { forgotten: () => undefined });
  let pageBytes = 0;
  const ids: number[] = [];
  for (let part = 0; part < 100; part++) {
    const objects = Array.from({ length: 1000 }, (_, at) => headOf(`n0144_${part * 1000 + at + 100_000}.JPEG`, 7));
    const columns = packPage({ objects, commonPrefixes: [], nextToken: undefined }, 'd/');
    const page = new ListingPage({ directoryKey: 'd/', startKey: '', sentAtMs: 0, columns });
    pageBytes += page.bytes;
    for (let row = 0; row < page.rows; row++) {
      const id = table.listed(page, row, inoOfKey(`d/${page.name(row)}`));
      table.rememberListed(id);
      ids.push(id);
    }
  }
  const extra = (table.bytes - pageBytes) / ids.length;
  t.ok(extra < 45, `${extra.toFixed(1)} bytes a file beside the pages`);
  // The kernel forgets most: what is left does not keep the pages.
  for (const [at, id] of ids.entries()) if (at % 100 !== 0) table.forget(id, 1);
  t.equal(table.size, 1000);
  t.ok(table.bytes < 1_000_000, `${table.bytes} bytes for 1000 files of 100 pages`);
  t.end();
});

t.test('the index agrees with a Map, inode numbers that collide included', (t) => {
  const operations = fc.array(fc.tuple(fc.boolean(), fc.nat(40), fc.nat(3)), { maxLength: 3000, minLength: 500 });
  fc.assert(
    fc.property(operations, fc.constantFrom(1, 2 ** 32, 2 ** 31 + 7), (list, spread) => {
      const nodes = new NodeIndex();
      const model = new Map<number, number>();
      let nextId = 1;
      for (const [adds, low, high] of list) {
        const ino = 16 + low * spread + high * 2 ** 40;
        if (adds) {
          model.set(nextId, ino);
          nodes.add(ino, nextId++);
        } else {
          const some = [...model].find(([, value]) => value === ino);
          nodes.remove(ino, some?.[0] ?? 4_000_000);
          if (some) model.delete(some[0]);
        }
      }
      assert.equal(nodes.size, model.size);
      for (const [id, ino] of model) {
        let found = false;
        for (let candidate = nodes.first(ino); candidate !== 0; candidate = nodes.next()) found ||= candidate === id;
        assert.ok(found);
      }
    }),
    { numRuns: 30 },
  );
  t.pass('30 histories');
  t.end();
});
