/**
 * A mount from a file of settings, looked at while it runs: `config DIR`, `reload` and SIGHUP with what can change and what
 * cannot, log files opened anew, credentials read again, `list`; and the next daemon keeps what a reload changed.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import type { ListedMount } from '../../src/cli/list.js';
import type { ReloadReport } from '../../src/main/reload/answer.js';
import { mountId } from '../../src/main/state-directory.js';
import { cliPath, run, serverEnvironment, shell, startMount, whyNoMount, type Result } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';

t.setTimeout(120_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('settings of a mount', { skip: noMount });
  process.exit();
}

const work = realpathSync(mkdtempSync(join(tmpdir(), 'mount-s3x-settings-')));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const dataDir = join(work, 'buckets');
mkdirSync(join(dataDir, 'bucket'), { recursive: true });
writeFileSync(join(dataDir, 'bucket', 'file'), 'hello');
const server = await startBuiltinProcess({ dataDir });
t.teardown(() => server.stop());
const runtime = join(work, 'run');
const logs = join(work, 'logs');
mkdirSync(runtime, { mode: 0o700 });
const credentials = join(work, 'credentials');
const writeCredentials = (more = ''): void =>
  writeFileSync(
    credentials,
    `${more}[default]\naws_access_key_id = ${server.accessKey}\naws_secret_access_key = ${server.secretKey}\n`,
  );
writeCredentials();
const { AWS_ACCESS_KEY_ID: _key, AWS_SECRET_ACCESS_KEY: _secret, ...rest } = serverEnvironment(server);
const env = {
  ...rest,
  XDG_RUNTIME_DIR: runtime,
  AWS_SHARED_CREDENTIALS_FILE: credentials,
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
};
const file = join(work, 'mount.yaml');
const settings = (lines: string): void => writeFileSync(file, `log-directory: logs\n${lines}`);

const ask = (...args: readonly string[]): Promise<Result> =>
  run(process.execPath, [cliPath, ...args], { env, timeoutMs: 30_000, cwd: work });

interface Shown {
  readonly settings: readonly { name: string; value: string; from: string }[];
}

async function inForce(path: string): Promise<Map<string, string>> {
  const result = await ask('config', path, '--json');
  t.equal(result.code, 0, result.stderr);
  return new Map((JSON.parse(result.stdout) as Shown).settings.map((row) => [row.name, `${row.value} | ${row.from}`]));
}

settings('max-bandwidth: 5\nmetadata-ttl: 30\ngid: 7\ntag: [a=b]\n');
const mount = await startMount(server, {
  bucket: 'bucket',
  env: { ...env, MOUNT_S3X_UID: '1234' },
  flags: ['--config', file, '--shutdown-timeout', '20'],
});
t.teardown(() => mount.stop());
const logFile = join(logs, `mount-s3x-${mountId(mount.path)}.log`);

await t.test('what is in force, and where it is from', async (t) => {
  const shown = await inForce(mount.path);
  t.equal(shown.get('uid'), '1234 | environment MOUNT_S3X_UID');
  t.equal(shown.get('gid'), `7 | ${file}:4`);
  t.equal(shown.get('metadata-ttl'), `30 | ${file}:3`);
  t.equal(shown.get('shutdown-timeout'), '20 | flag');
  t.equal(shown.get('bucket'), 'bucket | flag');
  t.match(shown.get('memory-target'), /iB \| hardware: /);
  t.equal((await shell(mount, 'stat -c "%u %g" $M/file')).stdout, '1234 7\n');
});

await t.test('reload: what can change does, what cannot is named', async (t) => {
  const quiet = await ask('reload', mount.path);
  t.match(quiet.stdout, `${mount.path}: nothing is set differently.`);
  t.match(quiet.stdout, /^Log file \S+\.log opened anew\.$/m);
  t.match(quiet.stdout, /^Credentials read again \(.*\): the same as before\.$/m);

  settings(
    '# moved by a line\nmax-bandwidth: 2\nmetadata-ttl: 60\ngid: 8\ndebug: true\nread-around: off\nmax-connections: 4\n',
  );
  const result = await ask('reload', mount.path);
  t.equal(result.code, 0, result.stderr);
  t.match(result.stdout, /In force now:\n(.*\n)* {2}max-bandwidth: 5 → 2 {2}\(at once/);
  t.match(result.stdout, / {2}metadata-ttl: 30 → 60 {2}/);
  t.match(result.stdout, / {2}debug: - → true {2}/);
  t.match(result.stdout, / {2}max-connections: - → 4 {2}/);
  t.match(result.stdout, /Not in force; [^:]*:\n(.*\n)* {2}gid: 7 → 8 {2}\(it is fixed when the mount is made\)/);
  t.match(result.stdout, / {2}tag: a=b → - {2}/);
  const shown = await inForce(mount.path);
  t.equal(shown.get('max-bandwidth'), `2 | ${file}:3`);
  t.equal(shown.get('gid'), `7 | ${file}:4`, 'what stays keeps its place of then');
  t.equal(shown.get('tag'), `a=b | ${file}:5`);
  t.equal((await shell(mount, 'stat -c "%u %g" $M/file')).stdout, '1234 7\n');
  const explained = JSON.parse((await ask('explain', mount.path, '--json')).stdout) as {
    setting: { connections: number };
  };
  t.equal(explained.setting.connections, 4);
  t.match(readFileSync(logFile, 'utf8'), /"by":"mount-s3x reload".*"read the settings again"/);

  const json = JSON.parse((await ask('reload', mount.path, '--json')).stdout) as ReloadReport;
  t.strictSame(json.applied, []);
  t.strictSame(
    json.pending.map(({ name, before, after }) => ({ name, before, after })),
    [
      { name: 'gid', before: '7', after: '8' },
      { name: 'tag', before: 'a=b', after: undefined },
    ],
  );
});

await t.test('wrong settings change nothing', async (t) => {
  settings('max-bandwidth: 1\nmetadata-ttl: soon\n');
  const result = await ask('reload', mount.path);
  t.equal(result.code, 1);
  t.match(result.stderr, /nothing has changed: \S+mount\.yaml:3:1: metadata-ttl soon: not a time to live; allowed: /);
  t.match((await inForce(mount.path)).get('max-bandwidth'), '2 | ');
  rmSync(file);
  t.match((await ask('reload', mount.path)).stderr, /nothing has changed: --config \S+ cannot be read: ENOENT/);
  t.notMatch(result.stderr, 'mount it again');
  t.equal((await shell(mount, 'cat $M/file')).stdout, 'hello');
});

await t.test('SIGHUP does the same: a moved log file, other credentials', async (t) => {
  settings('max-bandwidth: 3\n');
  renameSync(logFile, `${logFile}.old`);
  writeCredentials('# others\n');
  const rows = JSON.parse((await ask('list', '--json')).stdout) as ListedMount[];
  const supervisor = rows.find(({ directory }) => directory === mount.path)?.supervisorPid;
  t.ok(supervisor !== undefined && supervisor !== mount.pid);
  process.kill(supervisor ?? 0, 'SIGHUP');
  const line = await until('a line in the new file', () =>
    existsSync(logFile)
      ? readFileSync(logFile, 'utf8')
          .split('\n')
          .find((each) => each.includes('SIGHUP'))
      : undefined,
  );
  t.match(JSON.parse(line), { by: 'SIGHUP', applied: [{ name: 'max-bandwidth', before: '2', after: '3' }] });
  t.match((await inForce(mount.path)).get('max-bandwidth'), '3 | ');
  t.equal((await shell(mount, 'cat $M/file')).stdout, 'hello');
});

await t.test('list', async (t) => {
  const text = await ask('list');
  t.match(text.stdout, /^directory +source +state +pids +up +version$/m);
  const rows = JSON.parse((await ask('list', '--json')).stdout) as ListedMount[];
  const row = rows.find(({ directory }) => directory === mount.path);
  t.match(row, { source: 's3://bucket/', state: 'serving', readOnly: false, pid: mount.pid, log: logFile });
  t.ok((row?.uptimeSeconds ?? -1) >= 0 && (row?.uptimeSeconds ?? 1e9) < 120, String(row?.uptimeSeconds));
  t.match(
    text.stdout,
    new RegExp(`^${mount.path} +s3://bucket/ +serving +rw +${row?.supervisorPid}/${mount.pid} +\\d+ (s|min) +`, 'm'),
  );
});

await t.test('the next daemon has what the reload changed', async (t) => {
  const pidOf = async (): Promise<number | undefined> =>
    (JSON.parse((await ask('list', '--json')).stdout) as ListedMount[]).find(({ directory, state }) => {
      return directory === mount.path && state === 'serving';
    })?.pid;
  const before = (await pidOf()) ?? 0;
  t.ok(before > 0);
  process.kill(before, 'SIGKILL');
  const after = await until('another daemon', async () => {
    const pid = await pidOf();
    return pid === before ? undefined : pid;
  });
  t.not(after, before);
  t.match((await inForce(mount.path)).get('max-bandwidth'), '3 | ');
  t.equal((await shell(mount, 'cat $M/file')).stdout, 'hello');
});
