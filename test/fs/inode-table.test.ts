/**
 * Lookup counts, versions, and nodes that vanish when nobody needs them.
 */
import t from 'tap';
import { EISDIR, ENOTDIR, ESTALE } from '../../src/base/errno.js';
import type { ObjectHead } from '../../src/engine/api.js';
import { isVersion } from '../../src/fs/file-node.js';
import { InodeTable } from '../../src/fs/inode-table.js';
import { errnoOf } from '../support/memory-store-kernel.js';

function head(key: string, etag: string, extra: Partial<ObjectHead> = {}): ObjectHead {
  return { key, etag, sizeBytes: 5, lastModifiedMs: 1000, storageClass: '', restored: false, ...extra };
}

function make(firstNodeId = 2): { table: InodeTable; forgotten: number[] } {
  const forgotten: number[] = [];
  const table = new InodeTable({ rootKey: 'p/', firstNodeId }, { forgotten: (nodeId) => forgotten.push(nodeId) });
  return { table, forgotten };
}

void t.test('a node lives from its first lookup to its last forget', (t) => {
  const { table, forgotten } = make(1000);
  const node = table.fileOf(head('p/a', '"1"'), 10);
  t.equal(node.nodeId, 1000, 'ids start where they are told');
  table.remember(node);
  table.remember(node);
  t.ok(table.forget(node.nodeId, 1));
  t.equal(table.node(node.nodeId), node);
  t.ok(table.forget(node.nodeId, 1));
  t.equal(table.size, 0);
  t.same(forgotten, [], 'never opened: the prefetcher has nothing of it');
  t.equal(table.fileOf(head('p/a', '"1"'), 11).nodeId, 1001, 'ids are never given twice');
  t.end();
});

void t.test('an open handle keeps a forgotten node', (t) => {
  const { table, forgotten } = make();
  const node = table.fileOf(head('p/a', '"1"'), 10);
  table.remember(node);
  table.opened(node);
  table.forget(node.nodeId, 1);
  t.equal(table.size, 1);
  table.closed(node);
  t.equal(table.size, 0);
  t.same(forgotten, [node.nodeId]);
  t.end();
});

void t.test('a new version is a new node with the same st_ino; the old one stays while it is needed', (t) => {
  const { table } = make();
  const first = table.fileOf(head('p/a', '"1"'), 10);
  table.remember(first);
  const second = table.fileOf(head('p/a', '"2"'), 20);
  table.remember(second);
  t.not(second.nodeId, first.nodeId);
  t.equal(second.ino, first.ino);
  t.same([first.current, second.current], [false, true]);
  t.equal(table.node(first.nodeId), first, 'the old one goes on');
  t.equal(table.fileOf(head('p/a', '"1"'), 15), second, 'a late answer does not bring the past back');
  table.forget(first.nodeId, 1);
  t.equal(table.fileOf(head('p/a', '"2"'), 30), second, 'forgetting the old one leaves the new one');
  t.equal(second.validatedAtMs, 30);
  table.forget(second.nodeId, 1);
  t.equal(table.size, 0);
  t.end();
});

void t.test('what is a version', (t) => {
  const { table } = make();
  const node = table.fileOf(head('p/a', '"1"', { lastModifiedMs: 5500 }), 10);
  t.ok(isVersion(node, head('p/a', '"1"', { lastModifiedMs: 9000 })), 'the same bytes written again');
  t.notOk(isVersion(node, head('p/a', '"2"')), 'another ETag');
  t.notOk(isVersion(node, head('p/a', '"1"', { sizeBytes: 6 })), 'another size');
  const bare = table.fileOf(head('p/b', '', { lastModifiedMs: 5500 }), 10);
  t.ok(isVersion(bare, head('p/b', '', { lastModifiedMs: 5000 })), 'no ETag: the same second');
  t.notOk(isVersion(bare, head('p/b', '', { lastModifiedMs: 6000 })), 'no ETag: another second');
  t.end();
});

void t.test('an older confirmation changes nothing', (t) => {
  const { table } = make();
  const node = table.fileOf(head('p/a', '"1"', { storageClass: 'GLACIER', restored: true }), 20);
  table.fileOf(head('p/a', '"1"', { storageClass: 'GLACIER', restored: false }), 10);
  t.equal(node.restored, true);
  table.fileOf(head('p/a', '"1"', { storageClass: 'GLACIER', restored: false }), 30);
  t.equal(node.restored, false);
  t.end();
});

void t.test('an entry that was not sent leaves nothing behind', (t) => {
  const { table } = make();
  table.discard(table.fileOf(head('p/a', '"1"'), 10));
  table.discard(table.directoryOf('p/d/'));
  t.equal(table.size, 0);
  const node = table.directoryOf('p/d/');
  table.remember(node);
  table.discard(table.directoryOf('p/d/'));
  t.equal(table.size, 1, 'but a node that was known stays');
  t.end();
});

void t.test('forgetting too much is noticed and does no harm', (t) => {
  const { table } = make();
  const node = table.directoryOf('p/d/');
  table.remember(node);
  t.notOk(table.forget(node.nodeId, 2));
  t.equal(table.size, 0);
  t.ok(table.forget(4711, 3), 'ids of an earlier daemon are not ours to count');
  t.ok(table.forget(1, 100), 'the root is not counted');
  t.end();
});

void t.test('wrong kinds and unknown ids', async (t) => {
  const { table } = make();
  const file = table.fileOf(head('p/a', '"1"'), 10);
  t.equal(await errnoOf(() => table.directory(file.nodeId)), ENOTDIR);
  t.equal(await errnoOf(() => table.file(1)), EISDIR);
  t.equal(await errnoOf(() => table.node(4711)), ESTALE);
});
