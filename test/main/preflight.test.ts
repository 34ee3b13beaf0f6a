/** What is refused before anything starts, each with its exit code and remedy; the mount table is given, not made. */
import { accessSync, chmodSync, constants, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CommandError } from '../../src/main/command-error.js';
import type { MountConfig } from '../../src/main/config.js';
import type { MountRecord } from '../../src/fuse/mountinfo.js';
import { findProgram, preflight, preflightDeps, type PreflightDeps } from '../../src/main/preflight.js';
import { sampleConfig } from './sample-config.js';

const noFuse = canOpen('/dev/fuse') ? false : '/dev/fuse cannot be opened here';

function canOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function setup(t: Test) {
  const root = mkdtempSync(join(tmpdir(), 'mount-s3x-pre-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, 'dir'));
  const write = { ...sampleConfig().write, spoolDirectory: join(root, 'spool') };
  const config = (changes: Partial<MountConfig> = {}): MountConfig =>
    // The native binding needs no /dev/fuse of this machine: these rows are about the rest.
    sampleConfig({ mountPoint: join(root, 'dir'), fuseBinding: 'native', write, ...changes });
  const deps = (changes: Partial<PreflightDeps> = {}): PreflightDeps => ({
    ...preflightDeps(0, process.env),
    readMounts: () => [],
    ...changes,
  });
  return { root, config, deps };
}

function refused(t: Test, run: () => unknown, exitCode: number, message: RegExp, remedy: RegExp): void {
  try {
    run();
    t.fail(`should be refused: ${String(message)}`);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    t.match(error, { exitCode, message });
    t.match(error.remedy ?? '', remedy);
  }
}

function mounted(mountPoint: string, type: string): () => MountRecord[] {
  const source = 's3://b/';
  return () => [{ mountId: 1, major: 0, minor: 1, mountPoint, type, source, options: ['rw'], superOptions: ['rw'] }];
}

t.test('a spool directory that cannot be used is said, and does not stop the mount', (t) => {
  const { root, config, deps } = setup(t);
  writeFileSync(join(root, 'file'), '');
  const notesOf = (spool: string, changes: Partial<MountConfig> = {}): readonly string[] => {
    const readOnly = { readOnly: false, immutable: false, ...changes };
    const write = { ...config().write, spoolDirectory: join(root, spool) };
    return preflight(config({ ...readOnly, write }), deps()).notes;
  };
  t.same(notesOf('made/on/demand'), []);
  for (const spool of ['file', 'file/spool']) {
    t.match(notesOf(spool), [/^the spool directory .*file.* cannot be written \((ENOTDIR|EACCES)\): .*--spool-dir$/]);
    t.same(notesOf(spool, { readOnly: true }), [], 'not needed');
  }
  t.end();
});

t.test('directory', (t) => {
  const { root, config, deps } = setup(t);
  writeFileSync(join(root, 'file'), '');
  symlinkSync(join(root, 'dir'), join(root, 'link'));
  t.strictSame(preflight(config(), deps()), { mountPoint: join(root, 'dir'), notes: [] });
  t.equal(preflight(config({ mountPoint: join(root, 'link') }), deps()).mountPoint, join(root, 'dir'), 'the real path');
  const at = (path: string) => () => preflight(config({ mountPoint: join(root, path) }), deps());
  refused(t, at('none'), 3, /none does not exist/, /mkdir -p .*none/);
  refused(t, at('file'), 3, /is not a directory/, /name a directory/);
  refused(t, at('file/x'), 3, /not a directory/, /correct/);
  refused(t, () => preflight(config({ mountPoint: '/' }), deps()), 3, /cannot be a mount point/, /another/);
  writeFileSync(join(root, 'dir', 'x'), '');
  t.match(preflight(config(), deps()).notes, [/is not empty/]);
  t.end();
});

t.test('mounted already', (t) => {
  const { root, config, deps } = setup(t);
  const at = join(root, 'dir');
  symlinkSync(at, join(root, 'link'));
  const over = (fsType: string) => preflight(config(), deps({ readMounts: mounted(at, fsType) }));
  refused(t, () => over('fuse.mount-s3x'), 3, /is mounted already: s3:\/\/b\//, /mount-s3x unmount/);
  refused(t, () => over('fuse.sshfs'), 3, /is mounted already/, /`umount /);
  const link = config({ mountPoint: join(root, 'link') });
  refused(t, () => preflight(link, deps({ readMounts: mounted(at, 'fuse') })), 3, /is mounted already/, /umount/);
  t.match(over('tmpfs').notes, [/mount point of tmpfs/]);
  t.strictSame(over('autofs').notes, [], 'systemd waits there for us');
  t.end();
});

t.test('files and cards that flags name', (t) => {
  const { root, config, deps } = setup(t);
  const pem = join(root, 'ca.pem');
  const ca = (path: string) => () => preflight(config({ store: { ...config().store, caBundle: path } }), deps());
  refused(t, ca(pem), 2, /--ca-bundle .*ca.pem cannot be read \(ENOENT\)/, /PEM/);
  refused(t, ca(root), 2, /EISDIR/, /PEM/);
  writeFileSync(pem, 'no certificate');
  refused(t, ca(pem), 2, /holds no certificate/, /PEM/);
  writeFileSync(pem, '-----BEGIN CERTIFICATE-----\n');
  t.doesNotThrow(ca(pem));
  mkdirSync(join(root, 'net/eth0'), { recursive: true });
  const nicDirectory = join(root, 'net');
  refused(
    t,
    () => preflight(config({ bindNics: ['eth7'] }), deps({ nicDirectory })),
    2,
    /--bind eth7: there is no/,
    /eth0/,
  );
  t.doesNotThrow(() => preflight(config({ bindNics: ['eth0'] }), deps({ nicDirectory })));
  t.end();
});

t.test('fuse', (t) => {
  const { root, config, deps } = setup(t);
  const device =
    (fuseDevice: string, changes: Partial<PreflightDeps> = {}) =>
    () =>
      preflight(config({ fuseBinding: 'dev' }), deps({ fuseDevice, ...changes }));
  refused(t, device(join(root, 'fuse')), 4, /fuse is missing/, /modprobe fuse.*--device \/dev\/fuse/);
  refused(t, device('/dev/null'), 4, /is not the FUSE device/, /container/);
  writeFileSync(join(root, 'plain'), '');
  refused(t, device(join(root, 'plain')), 4, /is not the FUSE device/, /container/);
  t.end();
});

t.test('an ordinary user', { skip: noFuse }, (t) => {
  const { root, config, deps } = setup(t);
  chmodSync(root, 0o755);
  writeFileSync(join(root, 'fuse.conf'), '# user_allow_other\n');
  const bin = join(root, 'bin');
  mkdirSync(bin);
  const user =
    (changes: Partial<MountConfig>, env: NodeJS.ProcessEnv = process.env, fuseConf = join(root, 'fuse.conf')) =>
    () =>
      preflight(config({ fuseBinding: 'dev', ...changes }), deps({ uid: 1000, env, fuseConf }));
  if (findProgram('fusermount3', {}) === undefined) {
    refused(t, user({}), 4, /fusermount3 is missing/, /fuse3/);
    writeFileSync(join(bin, 'fusermount3'), '#!/bin/sh\n', { mode: 0o755 });
  } else {
    t.comment('fusermount3 is installed in a standard place: its absence is tested end to end only');
  }
  const env = { PATH: bin };
  refused(t, user({ allowOther: true }, env), 4, /--allow-other is not allowed/, /user_allow_other/);
  refused(t, user({ allowRoot: true }, env, '/nonexistent'), 4, /--allow-root is not allowed/, /user_allow_other/);
  writeFileSync(join(root, 'fuse.conf'), 'mount_max = 10\nuser_allow_other # yes\n');
  t.doesNotThrow(user({ allowOther: true }, env));
  t.end();
});

t.test('programs', (t) => {
  t.equal(findProgram('sh', { PATH: '/usr/bin:/bin' })?.endsWith('/sh'), true);
  t.ok(findProgram('sh', {}), 'also without PATH');
  t.equal(findProgram('no-such-program', process.env), undefined);
  t.end();
});
