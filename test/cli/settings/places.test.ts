/** Command line, environment, file and profile: who wins, what each may say, and that an error names the place. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { mountOptionNames, mountOptions, storeOptionNames, type OptionName } from '../../../src/cli/options.js';
import { isOptionVariable, isOwnVariable, otherVariables, variableOf } from '../../../src/cli/settings/environment.js';
import { fromSaid, asSaid } from '../../../src/cli/settings/layers.js';
import type { MountConfig } from '../../../src/main/config.js';
import { projectRoot } from '../../support/mount.js';
import { aboveEnvironment } from '../../../src/cli/settings/settle.js';
import { makeDesk } from './support.js';

// Thousands of command lines: no hurry on a machine that is busy.
t.setTimeout(240_000);

t.test('each place alone', (t) => {
  const { read, directory } = makeDesk(t);
  const { config } = read({
    env: {
      MOUNT_S3X_READ_ONLY: 'True',
      MOUNT_S3X_PART_SIZE: '16777216',
      MOUNT_S3X_TAG: 'a=b,c=d',
      MOUNT_S3X_DEBUG: '0',
      MOUNT_S3X_REGION: '',
      MOUNT_S3X_OPTIONS: 'noatime,nodev',
      MOUNT_S3X_ENDPOINT_URL: 'http://h:9',
    },
  });
  t.match(config, {
    readOnly: true,
    readPartBytes: 16777216,
    log: { level: 'info' },
    mountOptions: ['noatime', 'nodev'],
    store: { endpointUrl: 'http://h:9' },
    write: { objects: { tags: [{ key: 'a' }, { key: 'c' }] } },
  });
  t.equal(config.store.region, undefined, 'an empty variable says nothing');
  const filed = read({
    args: ['mount'],
    file: 'bucket: s3://bkt/p/\ndirectory: data\nlog-directory: logs\nspool-dir: /s\nuid: 7\ntag: [a=b]\nallow-other: false\n',
  });
  t.match(filed.config, {
    store: { bucket: 'bkt', prefix: 'p/' },
    mountPoint: join(directory, 'data'),
    log: { directory: join(directory, 'logs') },
    write: { spoolDirectory: '/s' },
    uid: 7,
    allowOther: false,
  });
  t.match(read({ args: ['mount'], env: { MOUNT_S3X_BUCKET: 'bkt', MOUNT_S3X_DIRECTORY: '/d' } }).config, {
    store: { bucket: 'bkt' },
    mountPoint: '/d',
  });
  t.end();
});

t.test('what is above wins', (t) => {
  const { read } = makeDesk(t);
  const file = 'uid: 1\ngid: 1\nread-only: true\ntag: [a=1, b=1]\nregion: f\n';
  const { config, record } = read({
    args: ['--uid', '3'],
    env: { MOUNT_S3X_UID: '2', MOUNT_S3X_GID: '2', MOUNT_S3X_READ_ONLY: 'false', MOUNT_S3X_TAG: 'c=2' },
    file,
    profile: 'uid: 9\nregion: p\ndebug: true\n',
  });
  t.match(config, { uid: 3, gid: 2, readOnly: false, store: { region: 'f' }, log: { level: 'debug' } });
  t.strictSame(config.write.objects.tags, [{ key: 'c', value: '2' }], 'a list is taken whole');
  const origin = (name: string): string | undefined => record.said.find((each) => each.name === name)?.origin.kind;
  t.strictSame(['uid', 'gid', 'read-only', 'region', 'debug', 'dir-mode'].map(origin), [
    'flag',
    'environment',
    'environment',
    'file',
    'profile',
    undefined,
  ]);
  const said = record.said.find((each) => each.name === 'region');
  t.match(said?.origin, { line: 5, column: 1, path: /c\.yaml$/ });
  t.match(read({ args: ['bkt', '/d'], env: { MOUNT_S3X_BUCKET: 'x' }, file: 'bucket: y\ndirectory: /z\n' }).config, {
    store: { bucket: 'bkt' },
    mountPoint: '/d',
  });
  t.end();
});

t.test('what stands against each other: the higher place wins, and a line says so', (t) => {
  const { read, refusal } = makeDesk(t);
  const { config, notes } = read({ args: ['--immutable'], file: 'metadata-ttl: 5\n', env: { MOUNT_S3X_DEBUG: '1' } });
  t.equal(config.metadataTtlMs, null);
  t.match(notes.join('\n'), /--immutable is given, so metadata-ttl of \S+c\.yaml:1:1 is left out/);
  const quiet = read({ env: { MOUNT_S3X_NO_LOG: 'true' }, file: 'debug: true\n' });
  t.equal(quiet.config.log.level, 'silent');
  t.match(quiet.notes.join('\n'), /MOUNT_S3X_NO_LOG is given, so debug of \S+c\.yaml:1:1 is left out/);
  t.match(
    refusal({ file: 'no-log: true\ndebug: true\n' }),
    /c\.yaml:1:1: no-log and debug cannot be given together/,
    'but not within one place',
  );
  t.match(read({ env: { MOUNT_S3X_NO_LOG: 'false' }, file: 'debug: true\n' }).config.log.level, 'debug');
  t.end();
});

t.test('errors name the place', (t) => {
  const { refusal, directory } = makeDesk(t);
  const at = `${directory}/c.yaml`;
  const files: readonly (readonly [string, string | RegExp])[] = [
    ['part-size: 8MB', `${at}:1:1: part-size 8MB: not a whole number | allowed: a whole number from 1`],
    ['\n  uid: -1', `${at}:2:3: uid -1: not a whole number`],
    ['part-sise: 1', `${at}:1:1: unknown key part-sise | did you mean part-size?`],
    ['part_size: 1', 'did you mean part-size?'],
    ['read-only: yes', `${at}:1:1: read-only is true or false | write \`read-only: true\``],
    ['uid: [1]', `${at}:1:1: uid has no value`],
    ['uid:', 'uid has no value'],
    ['uid: true', 'uid is not a text or a number'],
    ['uid: 1\nuid: 2', `${at}:2:1: Map keys must be unique`],
    ['a: &x 1\nuid: *x', 'unknown key a'],
    ['uid: &x 1\ngid: *x', 'gid is an alias'],
    ['tag: [&a x=1, *a]', 'tag is an alias'],
    ['\tuid: 1', /c\.yaml:1:1: .*[Tt]abs? /],
    ['uid: 1\n---\nuid: 2', /c\.yaml:\d:1: a second document begins/],
    ['just text', 'not a list of `name: value`'],
    ['[1, 2]', 'not a list of'],
    ['foreground: true', 'foreground does not belong here | it says how the command runs'],
    ['config: x', 'config does not belong here'],
    ['max_concurrency: 4', "boto3's names belong into a --profile-file"],
    ['aws_secret_access_key: hunter2', 'secrets do not belong into this file | keep them in ~/.aws/credentials'],
    ['secret: hunter2', 'secrets do not belong into this file'],
    ['AWS_SESSION_TOKEN: hunter2', 'secrets do not belong'],
    ['access-key-id: hunter2', 'secrets do not belong'],
    ['password: hunter2', 'secrets do not belong'],
    ['options: [uid=4]', `${at}:1:1: uid=4 does not belong into options`],
    ['options: [frob]', `${at}:1:1: -o frob: unknown option`],
    ['bucket: a/b', 'accepted'],
    ['bind: [eth0, a/b]', `${at}:1:1: bind a/b: not the name of a network interface`],
    ['sse-kms-key-id: k', `${at}:1:1: sse-kms-key-id needs`],
    ['cache-xz: b', `${at}:1:1: cache-xz is not supported`],
    ['? [a, b]\n: 1', 'a key that is no text'],
    ['profile-name: x', 'profile-name needs'],
    ['profile-file: nowhere.yaml', `${directory}/nowhere.yaml cannot be read: ENOENT`],
    ['endpoint-url: http://user:hunter2@h', 'credentials do not belong into the URL'],
  ];
  for (const [file, expected] of files) {
    const said = refusal({ file });
    t.match(said, expected, file);
    t.notMatch(said, 'hunter2');
  }
  t.match(refusal({ args: ['mount'], file: 'bucket: a/b\ndirectory: /d' }), `${at}:1:1: a/b is not a bucket name`);
  t.match(refusal({ args: ['mount'], file: 'bucket: bkt\ndirectory: ""' }), `${at}:2:1: the directory to mount at is`);
  t.match(refusal({ args: ['mount'], file: 'bucket: bkt' }), 'the directory is missing');
  t.match(refusal({ args: ['mount'], file: 'directory: b' }), 'the bucket is missing');

  const variables: readonly (readonly [string, string, string])[] = [
    ['MOUNT_S3X_PART_SIZE', '8MB', 'MOUNT_S3X_PART_SIZE: 8MB: not a whole number | allowed: a whole number'],
    ['MOUNT_S3X_READ_ONLY', 'maybe', 'MOUNT_S3X_READ_ONLY: maybe: neither true nor false | allowed: true, false'],
    ['MOUNT_S3X_VERIFY', 'x', 'MOUNT_S3X_VERIFY: x: not known | allowed: auto'],
    ['MOUNT_S3X_TAG', 'a=1,a', 'MOUNT_S3X_TAG: a: not a tag'],
    ['MOUNT_S3X_BIND', 'eth0\\', 'MOUNT_S3X_BIND: eth0\\: ends with a backslash'],
    ['MOUNT_S3X_CONFIG', 'nowhere.yaml', 'nowhere.yaml cannot be read: ENOENT'],
    ['MOUNT_S3X_OPTIONS', 'uid=4', 'MOUNT_S3X_OPTIONS: uid=4 does not belong into options'],
  ];
  for (const [name, value, expected] of variables) t.match(refusal({ env: { [name]: value } }), expected, name);
  t.match(
    refusal({ env: { MOUNT_S3X_ALLOW_OTHER: '1', MOUNT_S3X_ALLOW_ROOT: '1' } }),
    /^MOUNT_S3X_ALLOW_OTHER: and MOUNT_S3X_ALLOW_ROOT cannot be given together|^MOUNT_S3X_ALLOW_OTHER:? and/,
  );
  t.end();
});

t.test('variables that nobody knows', (t) => {
  const { read } = makeDesk(t);
  const { notes } = read({ env: { MOUNT_S3X_PARTSIZE: '1', MOUNT_S3X_ZZZZZZ: '1', MOUNT_S3X_REGISTRY: 'off' } });
  t.strictSame(
    notes.map((note) => note.replace(/ in the.*;/, ':')),
    ['MOUNT_S3X_PARTSIZE: did you mean MOUNT_S3X_PART_SIZE?', 'MOUNT_S3X_ZZZZZZ: docs/CONFIG.md lists them'],
  );
  t.end();
});

t.test('one variable an option, and every variable that is read is known', (t) => {
  const variables = mountOptionNames.map(variableOf);
  t.equal(new Set(variables).size, variables.length);
  for (const variable of variables) t.notOk(Object.hasOwn(otherVariables, variable), variable);
  const docs = readFileSync(join(projectRoot, 'docs/CONFIG.md'), 'utf8');
  for (const variable of Object.keys(otherVariables)) t.match(docs, `\`${variable}\``);
  // A field of journald's, not a variable.
  const fields = new Set(['MOUNT_S3X_MOUNT_POINT']);
  const unknown = new Set<string>();
  for (const file of sources(join(projectRoot, 'src'))) {
    for (const [variable] of readFileSync(file, 'utf8').matchAll(/\bMOUNT_S3X_[A-Z][A-Z_]*[A-Z]\b/g)) {
      if (isOwnVariable(variable) || fields.has(variable)) continue;
      if (!isOptionVariable(variable) && !Object.hasOwn(otherVariables, variable)) unknown.add(variable);
    }
  }
  t.strictSame([...unknown], [], 'src/ speaks of no other MOUNT_S3X_ variable');
  t.end();
});

function sources(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? sources(path) : path.endsWith('.ts') ? [path] : [];
  });
}

/** For each option two values that it takes and a way to tell which one is in force. */
const samples: readonly {
  readonly name: OptionName;
  readonly values: readonly string[];
  readonly of: (config: MountConfig) => unknown;
}[] = [
  { name: 'uid', values: ['1', '2', '3', '4'], of: (config) => String(config.uid) },
  { name: 'gid', values: ['1', '2', '3', '4'], of: (config) => String(config.gid) },
  { name: 'region', values: ['r1', 'r2', 'r3', 'r4'], of: (config) => config.store.region },
  {
    name: 'memory-target',
    values: ['301', '302', '303', '304'],
    of: (c) => String((c.memoryTargetBytes ?? 0) / 2 ** 20),
  },
  { name: 'net-threads', values: ['1', '2', '3', '4'], of: (config) => String(config.netThreads) },
  { name: 'metadata-ttl', values: ['11', '12', '13', '14'], of: (c) => String((c.metadataTtlMs ?? 0) / 1000) },
  { name: 'storage-class', values: ['A', 'B', 'C', 'D'], of: (config) => config.write.objects.storageClass },
  { name: 'commit-interval', values: ['1', '2', '3', '4'], of: (c) => String((c.write.commitIntervalMs ?? 0) / 1000) },
  { name: 'conflict', values: ['fail', 'last-writer', 'fail', 'last-writer'], of: (config) => config.write.conflict },
  { name: 'bind', values: ['n1', 'n2', 'n3', 'n4'], of: (config) => config.bindNics.join() },
  { name: 'tag', values: ['k=1', 'k=2', 'k=3', 'k=4'], of: (c) => `k=${c.write.objects.tags[0]?.value ?? ''}` },
  { name: 'allow-other', values: ['true', 'false', 'false', 'true'], of: (config) => String(config.allowOther) },
  { name: 'log-metrics', values: ['true', 'true', 'false', 'true'], of: (config) => String(config.log.metrics) },
  { name: 'requester-pays', values: ['true', 'false', 'true', 'false'], of: (c) => String(c.store.requesterPays) },
];

t.test('for any subset in the four places the highest place wins', (t) => {
  const { read } = makeDesk(t);
  const subset = fc.subarray([...samples]);
  fc.assert(
    fc.property(subset, subset, subset, subset, (typed, environment, file, profile) => {
      const yaml = (those: typeof samples, at: number): string =>
        those.map(({ name, values }) => `${name}: ${values[at] ?? ''}\n`).join('');
      const { config, record } = read({
        args: typed.flatMap(({ name, values }) =>
          mountOptions[name].kind !== 'flag' ? [`--${name}`, values[0] ?? ''] : [`--${name}`],
        ),
        env: Object.fromEntries(environment.map(({ name, values }) => [variableOf(name), values[1]])),
        file: yaml(file, 2),
        profile: yaml(profile, 3),
      });
      const bare = read({}).config;
      for (const sample of samples) {
        const places = [typed, environment, file, profile];
        const at = places.findIndex((those) => those.includes(sample));
        const expected = at < 0 ? sample.of(bare) : sample.values[at];
        if (sample.of(config) !== expected) return false;
        const origin = record.said.find((each) => each.name === sample.name)?.origin.kind;
        if (origin !== ['flag', 'environment', 'file', 'profile'][at]) return false;
      }
      return true;
    }),
    { numRuns: 120 },
  );
  t.end();
});

t.test('the record gives back what was said', (t) => {
  const { read } = makeDesk(t);
  const { settled, record } = read({
    args: ['--uid', '3', '-o', 'noatime,gid=4'],
    env: { MOUNT_S3X_READ_ONLY: 'false', MOUNT_S3X_TAG: 'c=2,d=3' },
    file: 'region: f\nallow-other: true\n',
  });
  const again = fromSaid(JSON.parse(JSON.stringify(record.said)) as typeof record.said);
  t.strictSame(asSaid(again), asSaid(settled.given));
  t.strictSame(
    record.typed.map(({ name }) => name),
    ['bucket', 'directory', 'uid', 'gid', 'options', 'config'],
  );
  t.end();
});

t.test('commands without a mount know the variables of what they take', (t) => {
  const given = aboveEnvironment(
    { flags: new Set(), values: new Map([['region', 'typed']]), lists: new Map() },
    { MOUNT_S3X_REGION: 'r', MOUNT_S3X_ENDPOINT_URL: 'http://h', MOUNT_S3X_UID: 'x', MOUNT_S3X_FORCE_PATH_STYLE: '1' },
    storeOptionNames,
  );
  t.strictSame(
    [...given.values],
    [
      ['endpoint-url', 'http://h'],
      ['region', 'typed'],
    ],
  );
  t.ok(given.flags.has('force-path-style'));
  t.end();
});

t.test('any value of any variable is a setting or a refusal of one line', (t) => {
  const { refusal } = makeDesk(t);
  const variable = fc.constantFrom(...mountOptionNames.map(variableOf), 'MOUNT_S3X_BUCKET', 'MOUNT_S3X_DIRECTORY');
  const value = fc.oneof(
    fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
    fc.constantFrom('true', '0', ',', '\\', 'a,b\\,c', '-1', '1e9', '../..', 's3://', 'http://h', '8MB', 'on', 'x=y'),
  );
  fc.assert(
    fc.property(fc.dictionary(variable, value, { maxKeys: 4 }), (env) => {
      const said = refusal({ args: ['mount'], env });
      return said === 'accepted' || /^[^\n]*(MOUNT_S3X_|missing|--(config|profile-file|profile-name) )/.test(said);
    }),
    { numRuns: 100 },
  );
  t.end();
});
