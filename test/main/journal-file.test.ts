/**
 * Where a mount's journal lies: in the first place that has room for it, without a name; a full or missing /dev/shm is no
 * reason to lose what is open when a daemon dies.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { openJournalAt } from '../../src/main/supervisor/journal-file.js';
import { readPage } from '../../src/main/supervisor/page.js';

const MIB = 1024 * 1024;

function directory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 's3x-journal-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A tmpfs of its own below `root`. */
function tmpfs(t: Test, root: string, name: string, bytes: number): string {
  const path = join(root, name);
  mkdirSync(path);
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path]);
  t.equal(status, 0, `${name} is mounted`);
  t.teardown(() => spawnSync('umount', ['-l', path]));
  return path;
}

/** The directory that the journal went to. */
function placeOf(places: readonly string[]): string {
  const fd = openJournalAt(places);
  try {
    const target = readlinkSync(`/proc/self/fd/${fd}`);
    if (readPage(fd) === undefined || !target.endsWith(' (deleted)')) return `not a journal without a name: ${target}`;
    return target.slice(0, target.lastIndexOf('/'));
  } finally {
    closeSync(fd);
  }
}

t.test('a place that is not there is passed over', (t) => {
  const root = directory(t);
  t.equal(placeOf([join(root, 'nowhere'), root]), root);
  t.same(readdirSync(root), [], 'it has no name');
  t.throws(() => openJournalAt([join(root, 'nowhere')]), /no place for the journal/);
  t.end();
});

const noRoot = process.getuid?.() === 0 ? false : 'needs root to mount a small tmpfs';
t.test('room comes first', { skip: noRoot }, (t) => {
  const root = directory(t);
  const small = tmpfs(t, root, 'small', MIB);
  const roomy = tmpfs(t, root, 'roomy', 64 * MIB);
  const used = tmpfs(t, root, 'used', 64 * MIB);
  writeFileSync(join(used, 'of-others'), Buffer.alloc(60 * MIB));
  t.equal(placeOf([small, roomy]), roomy);
  t.equal(placeOf([used, roomy]), roomy);
  t.equal(placeOf([roomy, small]), roomy);
  t.equal(placeOf([small, used]), small, 'where none has room, one that takes a page');
  const full = tmpfs(t, root, 'full', 4096);
  writeFileSync(join(full, 'all'), Buffer.alloc(4096));
  t.equal(placeOf([full, small]), small);
  t.end();
});
