/** `mount-s3x config`: each setting once, with its value and its place; defaults are those that a mount has. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { configCommand, settingsText } from '../../src/cli/config.js';
import { execute } from '../../src/cli/main.js';
import { mountOptionNames, mountOptions } from '../../src/cli/options.js';
import {
  defaultWords,
  effectiveSettings,
  isChanged,
  sourceText,
  type SettingRow,
} from '../../src/cli/settings/effective.js';
import type { Reason } from '../../src/main/sizing/reason.js';
import { fakeIo, type FakeIo } from './fake-io.js';
import { makeDesk } from './settings/support.js';

const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-config-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, 'c.yaml');
writeFileSync(file, 'bucket: my-bucket\ndirectory: /mnt/data\npart-size: 16777216\nread-only: true\n');

async function config(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<FakeIo & { readonly code: number }> {
  const io = fakeIo({ owner: { env, uid: 0 }, cwd: directory });
  const code = await execute(['config', ...args], io);
  return { ...io, code };
}

t.test('places, for people', async (t) => {
  const { code, printed, complained } = await config(['--config', 'c.yaml', '--gid', '7'], {
    MOUNT_S3X_UID: '5',
    AWS_REGION: 'eu-west-1',
    MOUNT_S3X_PARTSIZE: '1',
  });
  t.equal(code, 0);
  t.match(complained, [/MOUNT_S3X_PARTSIZE in the environment is not known/]);
  const lines = printed.join('\n').split('\n');
  const line = (name: string): string => lines.find((each) => each.startsWith(`  ${name} `))?.replace(/ +/g, ' ') ?? '';
  t.equal(line('bucket'), ` bucket my-bucket ${file}:1`);
  t.equal(line('uid'), ' uid 5 environment MOUNT_S3X_UID');
  t.equal(line('gid'), ' gid 7 flag');
  t.equal(line('region'), ' region eu-west-1 environment AWS_REGION');
  t.equal(line('part-size'), ` part-size 16777216 ${file}:3`);
  t.equal(line('read-part-size'), ' read-part-size 16777216 as --part-size says');
  t.match(line('memory-target'), /^ memory-target [\d.,]+ [MG]iB hardware: /);
  t.equal(line('dir-mode'), ' dir-mode 0755 default');
  const columns = lines.map((each) => /^ {2}\S+ +/.exec(each)?.[0].length).filter((each) => each !== undefined);
  t.equal(new Set(columns).size, 1, 'values stand below each other');
});

t.test('--json and --changed', async (t) => {
  const { printed } = await config(['--config', 'c.yaml', '--json', '--changed', '--immutable']);
  const { settings } = JSON.parse(printed.join('\n')) as { settings: { name: string; source: object; from: string }[] };
  t.strictSame(settings.map(({ name }) => name).sort(), [
    'bucket',
    'config',
    'directory',
    'immutable',
    'metadata-ttl',
    'negative-metadata-ttl',
    'part-size',
    'read-only',
    'read-part-size',
    'write-part-size',
  ]);
  t.match(
    settings.find(({ name }) => name === 'part-size'),
    { value: '16777216', source: { kind: 'file', path: file, line: 3, column: 1 }, from: `${file}:3` },
  );
  const all = await config(['--json']);
  const every = (JSON.parse(all.printed.join('\n')) as { settings: { name: string }[] }).settings.map(
    ({ name }) => name,
  );
  const shown = mountOptionNames.filter((name) => !mountOptions[name].state && !mountOptions[name].hidden);
  t.strictSame(every.sort(), ['bucket', 'directory', ...shown].sort(), 'every option once');
  t.match((await config(['--changed'])).printed.join('\n'), 'Nothing is set');
});

t.test('of another name, and without effect', async (t) => {
  const { printed, complained } = await config([
    'b-b',
    '/d',
    '--max-memory-target',
    '300',
    '--cache',
    '/c',
    '--changed',
  ]);
  t.match(printed.join('\n'), /memory-target +300 +flag/);
  t.notMatch(printed.join('\n'), /max-memory-target/);
  t.match(printed.join('\n'), /cache +\/c +flag/);
  t.match(complained.join(), /no effect yet: --cache/);
});

t.test('refusals', async (t) => {
  const refused = async (args: string[], env: NodeJS.ProcessEnv, line: RegExp): Promise<void> => {
    const { code, complained, printed } = await config(args, env);
    t.equal(code, 2, args.join(' '));
    t.match(complained.join(), line);
    t.strictSame(printed, []);
  };
  await refused(['b-b', '/d', '--uid', 'x'], {}, /--uid x: not a whole number/);
  await refused([], { MOUNT_S3X_UID: 'x' }, /MOUNT_S3X_UID: x: not a whole number/);
  await refused(['/d', '--uid', '1'], {}, /--uid says nothing about a running mount/);
  await refused(['a-b', '/d', 'e'], {}, /unexpected argument e/);
  await refused(['--jsno'], {}, /unknown option --jsno; did you mean --json\?/);
  const { code } = await config([directory]);
  t.equal(code, 12, 'nothing is mounted there');
});

t.test('the defaults that are told are those of a mount', (t) => {
  const { read } = makeDesk(t);
  const bare = read({ env: { HOME: '/home/user' } }).config;
  let compared = 0;
  for (const name of mountOptionNames) {
    const words = defaultWords(mountOptions[name].describe);
    if (words === undefined || mountOptions[name].kind !== 'value') continue;
    if (words.includes(' ')) continue;
    let config: typeof bare;
    try {
      ({ config } = read({ args: [`--${name}`, words], env: { HOME: '/home/user' } }));
    } catch {
      // Words rather than a value: `from the cores`.
      t.notMatch(words, /^\d+$/, `${name}: ${words}`);
      continue;
    }
    // Their defaults are not in the configuration: sizing, the SDK and the log sink have them.
    if (['part-size', 'ca-bundle', 'log-max-size', 'log-files'].includes(name)) continue;
    t.strictSame(config, bare, `${name} ${words}`);
    compared++;
  }
  t.ok(compared >= 10, `${compared} compared`);
  t.end();
});

t.test('a line no longer than the terminal', (t) => {
  const reasons: Reason[] = [{ setting: 'connections', value: '25', why: 'x'.repeat(200), flag: '--max-connections' }];
  const { read } = makeDesk(t);
  const { config, record } = read({});
  const rows: SettingRow[] = effectiveSettings({ config, said: record.said, reasons, awsEnvironment: {} });
  for (const line of settingsText(rows, 80).split('\n')) t.ok(line.length <= 80);
  t.match(settingsText(rows, 0), 'x'.repeat(200));
  t.equal(rows.filter(isChanged).length, 2, 'bucket and directory');
  t.equal(sourceText({ kind: 'profile', path: '/p', line: 3, column: 1 }), 'profile /p:3');
  t.ok(configCommand.describe.length > 0);
  t.end();
});
