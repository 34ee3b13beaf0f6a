/**
 * `mount-s3x systemd`: what install writes and says, what it refuses, what uninstall takes back, what prepare makes; and
 * what systemd itself thinks of the units (systemd-analyze verify and security), the installed ones and a user's.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { configText, placesFor } from '../../src/cli/systemd/plan.js';
import { systemUnit, unitWord, userUnit } from '../../src/cli/systemd/unit-text.js';
import { parseConfigFile } from '../../src/cli/settings/config-file.js';
import { execute } from '../../src/cli/main.js';
import { fakeIo } from './fake-io.js';

const units = ['mount-s3x@.service', 'mount-s3x-gpu@.service'] as const;
const shipped = (unit: string): string => readFileSync(new URL(`../../../systemd/${unit}`, import.meta.url), 'utf8');

function home(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 's3x-systemd-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

function ioIn(directory: string) {
  const env = { HOME: directory, XDG_CONFIG_HOME: join(directory, 'config'), PATH: process.env['PATH'] };
  const io = fakeIo({ cwd: directory, owner: { uid: process.getuid?.() ?? 0, env } });
  return { io, printed: io.printed, complained: io.complained };
}

void t.test(
  'install writes a file that mounts and a unit that runs this program; uninstall takes them back',
  async (t) => {
    const directory = home(t);
    const { io, printed, complained } = ioIn(directory);
    const install = ['systemd', 'install', 'data', 's3://my-bucket/train/', 'mnt', '--user', '--region', 'eu-west-1'];
    const argv = [...install, '--read-only', '--metadata-ttl', '300', '-o', 'noatime,uid=7'];
    t.equal(await execute(argv, io), 0, complained.join('\n'));
    const config = join(directory, 'config/mount-s3x/data.yaml');
    const settings = parseConfigFile(readFileSync(config, 'utf8'), config);
    t.match(settings, { bucket: 's3://my-bucket/train/', directory: join(directory, 'mnt') });
    t.ok(settings.given.flags.has('read-only'));
    t.equal(settings.given.values.get('metadata-ttl'), '300');
    t.equal(settings.given.values.get('region'), 'eu-west-1');
    const unit = readFileSync(join(directory, 'config/systemd/user/mount-s3x@.service'), 'utf8');
    t.match(
      unit,
      new RegExp(`ExecStart=${process.execPath} \\S+mount-s3x.js --config %E/mount-s3x/%i.yaml --foreground`),
    );
    t.match(printed.join('\n'), /systemctl --user enable --now mount-s3x@data.service/);
    t.match(printed.join('\n'), /data.env: not written/);
    t.equal(statSync(config).mode & 0o022, 0, 'nobody else may change what root mounts');
    t.same(readdirSync(join(directory, 'config/mount-s3x')), ['data.yaml'], 'no temporary file is left');

    t.equal(await execute(argv, io), 0, 'the same again is fine');
    t.equal(await execute([...install, '--uid', '9'], io), 2, 'something else is not');
    t.match(complained.join('\n'), /data.yaml exists and says something else.*--force/);
    t.equal(await execute([...install, '--uid', '9', '--force'], io), 0);
    t.match(readFileSync(config, 'utf8'), /^uid: "9"$/m);

    t.equal(await execute(['systemd', 'install', 'more', 'bucket', 'more', '--user'], io), 0);
    t.equal(await execute(['systemd', 'uninstall', 'data', '--user'], io), 0);
    t.notOk(existsSync(config));
    t.ok(existsSync(join(directory, 'config/systemd/user/mount-s3x@.service')), 'another mount needs the unit');
    t.equal(await execute(['systemd', 'uninstall', 'more', '--user'], io), 0);
    t.notOk(existsSync(join(directory, 'config/systemd/user/mount-s3x@.service')));
    t.equal(await execute(['systemd', 'uninstall', 'more', '--user'], io), 1, 'nothing is left to take back');
  },
);

void t.test('--dry-run writes nothing and shows all', async (t) => {
  const directory = home(t);
  const { io, printed } = ioIn(directory);
  t.equal(await execute(['systemd', 'install', 'x', 'bucket', '/mnt/x', '--user', '--dry-run', '--gpu'], io), 0);
  const text = printed.join('\n');
  for (const part of [/x\.yaml/, /bucket: "bucket"/, /mount-s3x-gpu@\.service/, /daemon-reload/]) t.match(text, part);
  t.same(readdirSync(directory), []);
});

void t.test('what is refused, before anything is written', async (t) => {
  const directory = home(t);
  for (const [words, said] of [
    [['install', '../x', 'bucket', '/m'], /cannot be the name of a unit/],
    [['install', 'a b', 'bucket', '/m'], /cannot be the name of a unit/],
    [['install', 'x', 'bucket'], /a bucket and a directory are needed/],
    [['install', 'x', 'bucket', '/m', '--metadata-ttl', 'soon'], /metadata-ttl/],
    [['install', 'x', 'bucket', '/m', '--reed-only'], /did you mean --read-only/],
    [['install', 'x', 'bucket', '/m', '--config', 'f.yaml'], /--config does not belong here/],
    [['instal', 'x'], /no such action/],
  ] as const) {
    const { io, complained } = ioIn(directory);
    t.equal(await execute(['systemd', ...words, '--user'], io), 2, words.join(' '));
    t.match(complained.join('\n'), said);
  }
  t.same(readdirSync(directory), []);
});

void t.test('prepare makes the directory, for everybody to go through', async (t) => {
  const directory = home(t);
  const { io, complained } = ioIn(directory);
  const file = join(directory, 'x.yaml');
  writeFileSync(file, 'bucket: b\ndirectory: deep/er/mnt\n');
  const before = process.umask(0o077);
  t.equal(await execute(['systemd', 'prepare', file], io), 0, complained.join('\n'));
  process.umask(before);
  t.equal(statSync(join(directory, 'deep/er')).mode & 0o777, 0o755);
  t.equal(await execute(['systemd', 'prepare', file], io), 0, 'again');
  writeFileSync(join(directory, 'file'), '');
  writeFileSync(file, 'bucket: b\ndirectory: file\n');
  t.equal(await execute(['systemd', 'prepare', file], io), 3, 'a file is no mount point');
});

void t.test('texts: words of a unit, strings of the YAML file', (t) => {
  t.equal(unitWord('/usr/bin/node'), '/usr/bin/node');
  t.equal(unitWord('/a b/%h/$X/"q"\\'), '"/a b/%%h/$$X/\\"q\\"\\\\"');
  t.match(systemUnit('ExecStart=/usr/bin/mount-s3x -f', ['/opt/no de', 'x.js']), 'ExecStart="/opt/no de" x.js -f');
  const nasty = 'a: b # "c"\n\t\'%\\';
  const given = { flags: new Set(), values: new Map([['prefix', nasty]]), lists: new Map([['tag', ['k=v', nasty]]]) };
  const text = configText('x', nasty, `/${nasty}`, given as never);
  const read = parseConfigFile(text, '/x.yaml');
  t.equal(read.bucket, nasty);
  t.equal(read.given.values.get('prefix'), nasty);
  t.same(read.given.lists.get('tag'), ['k=v', nasty]);
  t.throws(() => placesFor(true, { uid: 1, env: {} }), /no home directory/);
  t.end();
});

void t.test('nothing in a unit gives it a mount namespace of its own: its mount would be invisible', (t) => {
  const namespaces =
    /^(ProtectSystem|ProtectHome|PrivateTmp|PrivateDevices|PrivateMounts|MountFlags|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|ProtectProc|ProcSubset|ProtectKernel\w+|ProtectControlGroups|BindPaths|BindReadOnlyPaths|TemporaryFileSystem|RootDirectory|RootImage|DynamicUser|PrivateIPC|LogNamespace|ProtectHostname)=/m;
  for (const unit of units) {
    t.notMatch(shipped(unit), namespaces, unit);
    t.match(shipped(unit), /^OOMPolicy=continue$/m);
    t.match(shipped(unit), /^Type=notify$/m);
  }
  const user = userUnit(shipped(units[0]), ['/usr/bin/mount-s3x']);
  // Each of them forbids the set-uid fusermount3.
  t.notMatch(user, /^(NoNewPrivileges|SystemCall|Restrict[A-Z]\w+=(?!.)|Protect|Lock|CapabilityBoundingSet)/m);
  t.match(user, /^WantedBy=default.target$/m);
  t.match(user, /^RestartPreventExitStatus=/m);
  t.end();
});

const analyze = spawnSync('systemd-analyze', ['--version']).status === 0;
const skip = analyze ? false : 'systemd-analyze is not installed (Debian: apt install systemd)';

void t.test('systemd-analyze verify: no warning, for the system and for a user', { skip }, (t) => {
  const directory = home(t);
  const program = join(directory, 'mount-s3x');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
  for (const manager of ['system', 'user'] as const) {
    const folder = join(directory, manager);
    mkdirSync(folder);
    for (const unit of units) {
      const text = manager === 'user' ? userUnit(shipped(unit), [program]) : systemUnit(shipped(unit), [program]);
      const file = join(folder, unit);
      writeFileSync(file, text);
      const words = ['verify', `--${manager}`, '--man=no', '--recursive-errors=no', file];
      const { status, stderr } = spawnSync('systemd-analyze', words, {
        encoding: 'utf8',
        env: { ...process.env, XDG_RUNTIME_DIR: directory },
      });
      t.equal(status, 0, `${manager} ${unit}: ${stderr}`);
      t.notMatch(stderr, new RegExp(unit.replace('@.service', '@')), `${manager} ${unit}`);
    }
  }
  t.end();
});

/** What systemd 252 says of it, in tenths, with room for other versions' rules: a later line must not open it wide. */
const EXPOSURE_MAX = 60;

void t.test('systemd-analyze security: hardened as far as a mount for others can be', { skip }, (t) => {
  for (const unit of units) {
    const file = fileURLToPath(new URL(`../../../systemd/${unit}`, import.meta.url));
    const words = ['security', '--offline=true', '--no-pager', `--threshold=${EXPOSURE_MAX}`, file];
    const { status, stdout, stderr } = spawnSync('systemd-analyze', words, { encoding: 'utf8' });
    t.comment(stdout.trim().split('\n').at(-1) ?? '');
    t.equal(status, 0, stderr);
  }
  t.end();
});
