/** Run files: found while their process lives, ignored when stale, foreign or broken, kept in a private directory. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { processStartTicks } from '../../src/base/process-identity.js';
import t, { type Test } from 'tap';
import { findRunFile, removeDeadRunFiles, writeRunFile } from '../../src/main/run-file.js';
import { makePrivateDirectory, mountId, runtimeCandidates, stateCandidates } from '../../src/main/state-directory.js';

const uid = process.getuid?.() ?? 0;

function directory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'mount-s3x-run-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('write, find, remove', (t) => {
  const root = directory(t);
  const owner = { env: { XDG_RUNTIME_DIR: root }, uid };
  const note = { mountPoint: '/mnt/data', source: 's3://b/', log: 'syslog', version: '1' };
  t.equal(findRunFile('/mnt/data', owner), undefined);
  const remove = writeRunFile(note, owner);
  t.match(findRunFile('/mnt/data', owner), { ...note, pid: process.pid });
  t.equal(findRunFile('/mnt/other', owner), undefined);
  t.equal(statSync(join(root, 'mount-s3x')).mode & 0o777, 0o700);
  remove();
  t.equal(findRunFile('/mnt/data', owner), undefined);
  t.strictSame(readdirSync(join(root, 'mount-s3x')), []);
  t.end();
});

t.test('what dead processes left is taken away by name, but for last words', (t) => {
  const root = directory(t);
  const owner = { env: { XDG_RUNTIME_DIR: root }, uid };
  const place = join(root, 'mount-s3x');
  mkdirSync(place, { mode: 0o700 });
  writeFileSync(join(root, 'precious'), '');
  const mountPoint = join(root, 'mnt');
  const file = (ending: string, of = mountPoint): string => join(place, `${mountId(of)}.${ending}`);
  const note = { mountPoint, source: '', log: '', version: '', socket: join(root, 'precious') };
  const living = { ...note, pid: process.pid, startTicks: processStartTicks(process.pid) };
  for (const ending of ['sock', 'supervisor.sock', 'stderr']) writeFileSync(file(ending), '');
  writeFileSync(file('json', '/m'), '');
  writeFileSync(file('json'), JSON.stringify(living));
  removeDeadRunFiles(mountPoint, owner);
  t.equal(readdirSync(place).length, 5, 'it lives');
  writeFileSync(file('json'), JSON.stringify({ ...living, startTicks: 1 }));
  removeDeadRunFiles(mountPoint, owner);
  t.strictSame(readdirSync(place), [`${mountId('/m')}.json`]);
  t.ok(statSync(join(root, 'precious')).isFile(), 'what the note calls its socket is not believed');
  writeFileSync(file('json'), JSON.stringify({ ...living, startTicks: 1 }));
  writeFileSync(file('stderr'), 'died of this');
  removeDeadRunFiles(mountPoint, owner);
  t.ok(readdirSync(place).includes(`${mountId(mountPoint)}.stderr`));
  t.end();
});

t.test('stale, broken and foreign files', (t) => {
  const root = directory(t);
  const owner = { env: { XDG_RUNTIME_DIR: root }, uid };
  mkdirSync(join(root, 'mount-s3x'), { mode: 0o700 });
  const file = join(root, 'mount-s3x', `${mountId('/m')}.json`);
  const good = {
    pid: process.pid,
    startTicks: processStartTicks(process.pid),
    mountPoint: '/m',
    source: '',
    log: '',
    version: '',
  };
  const cases: Readonly<Record<string, string>> = {
    'another process has the pid now': JSON.stringify({ ...good, startTicks: 1 }),
    'no such process': JSON.stringify({ ...good, pid: 2 ** 30 }),
    'another mount point': JSON.stringify({ ...good, mountPoint: '/n' }),
    'a field is missing': JSON.stringify({ pid: 1 }),
    'not JSON': '{',
    empty: '',
  };
  for (const [name, text] of Object.entries(cases)) {
    writeFileSync(file, text);
    t.equal(findRunFile('/m', owner), undefined, name);
  }
  writeFileSync(file, JSON.stringify(good));
  t.ok(findRunFile('/m', owner), 'and the good one is found');
  t.end();
});

t.test('a removal leaves the note of a later mount alone', (t) => {
  const root = directory(t);
  const owner = { env: { XDG_RUNTIME_DIR: root }, uid };
  const remove = writeRunFile({ mountPoint: '/m', source: '', log: '', version: '' }, owner);
  const file = join(root, 'mount-s3x', `${mountId('/m')}.json`);
  writeFileSync(
    file,
    JSON.stringify({ pid: 1, startTicks: processStartTicks(1), mountPoint: '/m', source: '', log: '', version: '' }),
  );
  remove();
  t.equal(findRunFile('/m', owner)?.pid, 1);
  t.end();
});

t.test('directories', (t) => {
  const root = directory(t);
  t.strictSame(runtimeCandidates({ env: { XDG_RUNTIME_DIR: '/r', TMPDIR: '/t' }, uid: 5 }), [
    '/r/mount-s3x',
    '/run/mount-s3x-5',
    '/t/mount-s3x-5',
  ]);
  t.strictSame(runtimeCandidates({ env: { XDG_RUNTIME_DIR: 'relative' }, uid: 0 }), [
    '/run/mount-s3x',
    '/tmp/mount-s3x-0',
  ]);
  t.strictSame(stateCandidates({ env: { HOME: '/h' }, uid: 5 }), ['/h/.local/state/mount-s3x']);
  t.strictSame(stateCandidates({ env: { HOME: '/root', XDG_STATE_HOME: '/s' }, uid: 0 }), [
    '/s/mount-s3x',
    '/var/log/mount-s3x',
    '/root/.local/state/mount-s3x',
  ]);
  mkdirSync(join(root, 'open'));
  chmodSync(join(root, 'open'), 0o777);
  symlinkSync(root, join(root, 'link'));
  t.equal(makePrivateDirectory([join(root, 'open'), join(root, 'link'), join(root, 'mine')], uid), join(root, 'mine'));
  t.equal(makePrivateDirectory([join(root, 'mine')], uid + 1), undefined, "somebody else's");
  t.equal(makePrivateDirectory(['/proc/nothing'], uid), undefined);
  t.not(mountId('/a/b'), mountId('/a-b'));
  t.match(mountId('/mnt/ü ber/x'), /^_ber-x-[0-9a-f]{10}$|^ber-x-[0-9a-f]{10}$/);
  t.match(mountId('/'), /^[0-9a-f]{10}$/);
  t.end();
});
