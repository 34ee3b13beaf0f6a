/**
 * What is remembered while the mount lives is there after a daemon's death, as it was last, and no more.
 */
import t from 'tap';
import { HEADER_BYTES, MappedJournal } from '../../../src/base/journal/state-journal.js';
import { KeptDirectories } from '../../../src/fs/namespace/kept-directories.js';
import { RememberedAttributes } from '../../../src/fs/namespace/remembered-attributes.js';
import { InodeTable, type FileNode } from '../../../src/fs/inode-table.js';
import { AttributeRecords } from '../../../src/fs/restore/attribute-records.js';
import type { Attributes } from '../../../src/fuse/handlers.js';

const bytes = new Uint8Array(HEADER_BYTES + 2 * 64 * 1024);

function records(): AttributeRecords {
  const memory = {
    bytes,
    reserve: () => true,
    clear: (at: number, count: number) => void bytes.fill(0, at, at + count),
  };
  return new AttributeRecords(new MappedJournal(memory));
}

const shown: Attributes = {
  ino: 1,
  sizeBytes: 0,
  mode: 0o100644,
  nlink: 1,
  uid: 1,
  gid: 2,
  mtimeMs: 5,
  ctimeMs: 5,
  atimeMs: 5,
  rdev: 0,
  blockSizeBytes: 4096,
};

function daemon(): { remembered: RememberedAttributes; node: (key: string, etag: string) => FileNode } {
  const remembered = new RememberedAttributes({ rootKey: '' }, { wallMs: () => 1000, records: records() });
  const table = new InodeTable({ rootKey: '', firstNodeId: 2 }, { forgotten: () => undefined });
  const node = (key: string, etag: string): FileNode =>
    table.fileOf({ key, etag, sizeBytes: 1, lastModifiedMs: 0, storageClass: '', restored: false }, 1);
  return { remembered, node };
}

void t.test('attributes', (t) => {
  bytes.fill(0);
  const first = daemon();
  const a = first.node('a', '"1"');
  first.remembered.change(a, { mode: 0o600, mtimeMs: 77 }, shown);
  first.remembered.setXattr(a, 'user.one', Buffer.from('1'), 0);
  first.remembered.setXattr(a, 'user.two', Buffer.from('2'), 0);
  first.remembered.removeXattr(a, 'user.one');
  const b = first.node('b', '"2"');
  first.remembered.change(b, { uid: 7 }, shown);
  first.remembered.moved('b', 'c', '"3"');
  first.remembered.change(first.node('d', '"4"'), { gid: 7 }, shown);
  first.remembered.removed('d');
  const e = first.node('e', '"5"');
  first.remembered.change(e, { mtimeMs: 99, mode: 0o640 }, shown);
  first.remembered.written(e);
  first.remembered.committed({
    key: 'e',
    etag: '"6"',
    sizeBytes: 2,
    lastModifiedMs: 0,
    storageClass: '',
    restored: false,
  });
  for (let life = 0; life < 2; life++) {
    const next = daemon();
    t.match(next.remembered.apply(next.node('a', '"1"'), shown), { mode: 0o100600, mtimeMs: 77, ctimeMs: 1000 });
    t.same(next.remembered.xattrNames(next.node('a', '"1"')), ['user.two']);
    t.equal(Buffer.from(next.remembered.xattr(next.node('a', '"1"'), 'user.two')).toString(), '2');
    t.match(next.remembered.apply(next.node('c', '"3"'), shown), { uid: 7 });
    t.match(next.remembered.apply(next.node('e', '"6"'), shown), { mode: 0o100640, mtimeMs: 5 });
    t.equal(next.remembered.size, 3, 'and nothing of b and d');
    t.ok(next.remembered.mayHave(next.node('a', '"1"').ino));
  }
  const next = daemon();
  t.equal(next.remembered.of(next.node('a', '"other"')), undefined, 'another version has none of it');
  t.equal(daemon().remembered.size, 2);
  t.end();
});

void t.test('directories that stay', (t) => {
  bytes.fill(0);
  const kept = new KeptDirectories('', undefined, records());
  kept.keep('a/b/c/');
  kept.keep('x/y/');
  kept.forget('x/');
  kept.move('a/b/', 'a/z/');
  for (let life = 0; life < 2; life++) {
    const next = new KeptDirectories('', undefined, records());
    t.ok(next.has('a/z/c/') && next.has('a/z/') && next.has('a/'));
    t.notOk(next.has('a/b/') || next.has('x/') || next.has('x/y/'));
    t.same([...next.names('a/')], ['z']);
  }
  t.end();
});
