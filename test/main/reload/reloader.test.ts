/** What a reload applies, what it names, and that wrong settings and many reloads at once do no harm. */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { silentLog } from '../../../src/base/log.js';
import { mountOptionNames } from '../../../src/cli/options.js';
import { CommandError } from '../../../src/main/command-error.js';
import type { MountConfig } from '../../../src/main/config.js';
import { openLogging } from '../../../src/main/logging.js';
import { liveSettings, type LiveKnobs } from '../../../src/main/reload/live-settings.js';
import { changesBetween, Reloader, type ReloaderDeps } from '../../../src/main/reload/reloader.js';
import type { SaidSetting } from '../../../src/main/settings-record.js';
import { projectRoot } from '../../support/mount.js';
import { sampleConfig as makeSample } from '../sample-config.js';

const sampleConfig = makeSample();

const said = (all: Record<string, SaidSetting['value']>): SaidSetting[] =>
  Object.entries(all).map(([name, value]) => ({ name, value, origin: { kind: 'flag' } }));

function withSaid(config: MountConfig, all: Record<string, SaidSetting['value']>): MountConfig {
  return { ...config, settings: { typed: [], said: said(all), cwd: '/', uid: 0, gid: 0 } };
}

interface Bench {
  readonly reloader: Reloader;
  readonly turned: string[];
  readonly told: MountConfig[];
  next: MountConfig | Error;
}

function bench(before: MountConfig, refuses: Partial<Record<keyof LiveKnobs, string>> = {}): Bench {
  const turned: string[] = [];
  const told: MountConfig[] = [];
  const knob =
    (name: keyof LiveKnobs) =>
    (...values: unknown[]): string | undefined => {
      turned.push(
        `${name} ${values.map((value) => (typeof value === 'object' && value ? '{}' : String(value))).join(' ')}`,
      );
      return refuses[name];
    };
  const deps: ReloaderDeps = {
    log: silentLog,
    reread: async () => {
      await Promise.resolve();
      turned.push('reread');
      if (made.next instanceof Error) throw made.next;
      return { config: made.next, notes: ['a note'] };
    },
    knobs: {
      setLogLevel: knob('setLogLevel'),
      setMetricsLog: knob('setMetricsLog'),
      setBandwidth: knob('setBandwidth'),
      setTransfers: knob('setTransfers'),
      setTtl: knob('setTtl'),
      setReadAround: knob('setReadAround'),
      setShutdownTimeout: knob('setShutdownTimeout'),
    },
    reopenLog: () => 'log opened',
    rereadCredentials: () => Promise.resolve('credentials read'),
    changed: (config) => void told.push(config),
  };
  const made: Bench = { reloader: new Reloader(before, deps), turned, told, next: before };
  return made;
}

t.test('applied, pending, and what is in force afterwards', async (t) => {
  const before = withSaid(sampleConfig, { uid: '1', 'metadata-ttl': '5', tag: ['a=b'], config: '/c' });
  const made = bench(before, { setTtl: 'not now' });
  made.next = withSaid(
    { ...sampleConfig, uid: 99, maxBandwidthBytesPerSecond: 1000, metadataTtlMs: 9000 },
    { uid: '2', 'metadata-ttl': '9', tag: ['a=b'], 'max-bandwidth': '1', config: '/d' },
  );
  const report = await made.reloader.reload('test');
  t.match(report, {
    applied: [{ name: 'max-bandwidth', before: undefined, after: '1' }],
    pending: [
      { name: 'uid', before: '1', after: '2', why: /fixed when the mount is made/ },
      { name: 'metadata-ttl', before: '5', after: '9', why: 'not now' },
    ],
    done: ['log opened', 'credentials read'],
    notes: ['a note'],
  });
  const { config } = made.reloader;
  t.equal(config.maxBandwidthBytesPerSecond, 1000);
  t.equal(config.uid, sampleConfig.uid);
  t.equal(config.metadataTtlMs, sampleConfig.metadataTtlMs);
  t.strictSame(
    new Map(config.settings?.said.map(({ name, value }) => [name, value])),
    new Map<string, SaidSetting['value']>([
      ['tag', ['a=b']],
      ['max-bandwidth', '1'],
      ['config', '/d'],
      ['uid', '1'],
      ['metadata-ttl', '5'],
    ]),
  );
  t.strictSame(made.told, [config], 'the supervisor is told');
  made.next = withSaid(sampleConfig, { uid: '1', 'metadata-ttl': '5', tag: ['a=b'] });
  t.match(await made.reloader.reload('test'), { applied: [{ name: 'max-bandwidth', after: undefined }], pending: [] });
  t.notOk('maxBandwidthBytesPerSecond' in made.reloader.config, 'a limit that is gone is gone');
});

t.test('wrong settings change nothing; a mount without a record says so', async (t) => {
  const made = bench(withSaid(sampleConfig, { uid: '1' }));
  made.next = new CommandError(2, 'c.yaml:1:1: bad');
  await t.rejects(made.reloader.reload('test'), { message: 'c.yaml:1:1: bad' });
  t.strictSame(made.turned, ['reread']);
  t.strictSame(made.told, []);
  const { settings: _none, ...bare } = withSaid(sampleConfig, {});
  await t.rejects(bench(bare).reloader.reload('test'), /does not know where its settings are from/);
});

t.test('one at a time, one waits, others join it', async (t) => {
  const made = bench(withSaid(sampleConfig, {}));
  const all = await Promise.all([1, 2, 3, 4].map(() => made.reloader.reload('test')));
  t.equal(made.turned.filter((each) => each === 'reread').length, 2);
  t.equal(all[1], all[3]);
  await made.reloader.reload('test');
  t.equal(made.turned.filter((each) => each === 'reread').length, 3);
});

t.test('each live row is an option, and takes exactly what is its own', (t) => {
  const other: MountConfig = {
    ...sampleConfig,
    maxBandwidthBytesPerSecond: 7,
    connectionsMax: 7,
    readPartBytes: 7,
    metadataTtlMs: 7,
    negativeMetadataTtlMs: 7,
    readAround: !sampleConfig.readAround,
    write: { ...sampleConfig.write, shutdownTimeoutMs: 7 },
    log: { ...sampleConfig.log, metrics: !sampleConfig.log.metrics, level: 'debug', engineDebug: true },
  };
  for (const [name, row] of Object.entries(liveSettings)) {
    t.ok(
      mountOptionNames.some((each) => each === name),
      name,
    );
    const mixed = row.fields(sampleConfig, other);
    t.notSame(mixed, sampleConfig, `${name} brings something`);
    t.strictSame(row.fields(mixed, sampleConfig), row.fields(sampleConfig, sampleConfig), `${name} brings it back`);
  }
  const all = Object.values(liveSettings).reduce((config, row) => row.fields(config, other), sampleConfig);
  t.strictSame(all, other);
  t.end();
});

t.test('what counts as a change', (t) => {
  const names = (a: Record<string, SaidSetting['value']>, b: Record<string, SaidSetting['value']>): string[] =>
    changesBetween(said(a), said(b)).map(({ name }) => name);
  t.strictSame(names({ debug: false }, {}), []);
  t.strictSame(names({}, { debug: false }), []);
  t.strictSame(names({}, { debug: true }), ['debug']);
  t.strictSame(names({ tag: ['a=b', 'c=d'] }, { tag: ['a=b'] }), ['tag']);
  t.strictSame(names({ config: 'a', 'profile-file': 'b' }, { config: 'c' }), []);
  t.end();
});

t.test('a log that was moved away is opened anew, at another level', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-reopen-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const config = { ...sampleConfig, log: { ...sampleConfig.log, directory, level: 'info' as const } };
  const logging = openLogging(config, { owner: { env: {}, uid: 0 }, isTerminal: false });
  const path = logging.description;
  logging.log.debug({}, 'one');
  logging.log.info({}, 'two');
  renameSync(path, `${path}.moved`);
  t.equal(logging.reopen(), path);
  t.equal(logging.setLevel('debug'), undefined);
  logging.log.debug({}, 'three');
  t.match(logging.setLevel('silent'), /opened once/);
  rmSync(directory, { recursive: true });
  t.equal(logging.reopen(), path, 'a directory that is gone');
  logging.log.info({}, 'four');
  logging.close();
  t.notOk(existsSync(path));
  t.end();
});

t.test('lines of before and after', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-reopen-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const config = { ...sampleConfig, log: { ...sampleConfig.log, directory, level: 'info' as const } };
  const logging = openLogging(config, { owner: { env: {}, uid: 0 }, isTerminal: false });
  const path = logging.description;
  logging.log.info({}, 'before');
  renameSync(path, `${path}.1`);
  logging.log.info({}, 'between');
  logging.reopen();
  logging.setLevel('debug');
  logging.log.debug({}, 'after');
  logging.close();
  const words = (file: string): string[] =>
    readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg);
  t.strictSame(words(`${path}.1`), ['before', 'between']);
  t.strictSame(words(path), ['after']);
  t.end();
});

t.test('the documented table is the one that is used', (t) => {
  const docs = readFileSync(join(projectRoot, 'docs/CONFIG.md'), 'utf8').replace(/ +\|/g, ' |');
  for (const [name, { how }] of Object.entries(liveSettings)) t.ok(docs.includes(`| \`${name}\` | ${how} |`), name);
  t.end();
});
