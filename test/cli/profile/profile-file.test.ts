/** Profiles: our names, boto3's names, what is refused, and who wins. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { KIB, MIB } from '../../../src/base/units.js';
import type { BuiltConfig } from '../../../src/cli/build-config.js';
import { declareMount, readMount } from '../../../src/cli/mount.js';
import { mountOptionNames, mountOptions } from '../../../src/cli/options.js';
import { createParser, type ParsedArguments } from '../../../src/cli/parse.js';
import { boto3Names, boto3Table } from '../../../src/cli/profile/boto3-names.js';
import { parseProfile } from '../../../src/cli/profile/profile-file.js';
import { CommandError } from '../../../src/main/command-error.js';
import { projectRoot } from '../../support/mount.js';

const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-profile-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

/** A whole command line with a profile. */
function build(yaml: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): BuiltConfig {
  writeFileSync(join(directory, 'p.yaml'), yaml);
  let parsed: ParsedArguments = {};
  createParser(['bucket', '/mnt', '--profile-file', 'p.yaml', ...args])
    .command('$0 [bucket] [directory]', '', declareMount, (given) => {
      parsed = given;
    })
    .parseSync();
  return readMount(parsed, { owner: { env, uid: 1000 }, gid: 100, cwd: directory });
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CommandError) return `${error.message} | ${error.remedy ?? ''}`;
    throw error;
  }
  return 'accepted';
}

t.test('our own names, as they would be typed', (t) => {
  const { config } = build(`
part-size: 16777216
max-connections: 48
maximum-throughput-gbps: 2.5
dir-mode: 0o700
file-mode: 0640
read-only: true
allow-other: false
metadata-ttl: indefinite
bind: [eth0, eth1]
tag: team=ml
verify: off
`);
  t.match(config, {
    readPartBytes: 16 * MIB,
    connectionsMax: 48,
    throughputGbps: 2.5,
    dirMode: 0o700,
    fileMode: 0o640,
    readOnly: true,
    allowOther: false,
    metadataTtlMs: null,
    bindNics: ['eth0', 'eth1'],
    verify: 'off',
    write: { partBytes: 16 * MIB, objects: { tags: [{ key: 'team', value: 'ml' }] } },
  });
  t.end();
});

t.test('a tuned TransferConfig as it is', (t) => {
  const { config, notes } = build(`
multipart_threshold: 16777216
max_concurrency: 32
multipart_chunksize: 16777216
num_download_attempts: 7
max_io_queue: 1000
io_chunksize: 262144
max_bandwidth: 125000000
use_threads: true
`);
  t.match(config, {
    connectionsMax: 32,
    readPartBytes: 16 * MIB,
    maxBandwidthBytesPerSecond: 125_000_000,
    store: { maxAttempts: 7 },
    write: { partBytes: 16 * MIB },
  });
  const own = notes.filter((note) => note.includes('p.yaml'));
  t.equal(own.length, 2, 'the two without a counterpart are named');
  t.match(own.join('\n'), /p\.yaml: max_io_queue has no effect.*\n.*io_chunksize has no effect/);
  t.end();
});

t.test("the rest of boto3's meanings", (t) => {
  t.equal(build('use_threads: false\nmax_concurrency: 20').config.connectionsMax, 1);
  t.match(build('use_threads: false\nmax_concurrency: 20').notes, [/max_concurrency is ignored/]);
  t.equal(build('multipart_chunksize: 16MB').config.readPartBytes, 16 * MIB);
  t.equal(build('multipart_chunksize: 64KiB').config.readPartBytes, 64 * KIB);
  t.equal(build('max_bandwidth: 50MB/s').config.maxBandwidthBytesPerSecond, 50 * MIB);
  t.match(build('multipart_threshold: 67108864').notes, [/longer than a part \(8388608\)/]);
  t.strictSame(build('multipart_threshold: 8388608').notes, []);
  t.end();
});

t.test('the command line wins, also where names differ', (t) => {
  t.equal(build('max_concurrency: 32', ['--max-connections', '8']).config.connectionsMax, 8);
  t.equal(build('max-connections: 32', ['-o', 'max_connections=8']).config.connectionsMax, 8);
  t.strictSame(build('bind: [eth0]', ['--bind', 'eth7']).config.bindNics, ['eth7']);
  const both = build('part-size: 16777216', ['--read-part-size', '8388608']);
  t.equal(both.config.readPartBytes, 8 * MIB);
  t.match(both.notes, [/--read-part-size is given, so the profile's part-size is left out/]);
  t.match(build('no-log: true', ['--debug']).config.log.level, 'debug');
  t.equal(build('num_download_attempts: 3', [], { AWS_MAX_ATTEMPTS: '9' }).config.store.maxAttempts, 3);
  t.equal(build('max-attempts: 3', ['--max-attempts', '4']).config.store.maxAttempts, 4);
  t.end();
});

t.test('several profiles', (t) => {
  const file = 'profiles:\n  fast: {max-connections: 64}\n  small: {max-connections: 4}\n';
  t.equal(build(file, ['--profile-name', 'small']).config.connectionsMax, 4);
  t.match(
    refusal(() => build(file)),
    /several profiles \| choose with --profile-name: it has fast, small/,
  );
  t.match(
    refusal(() => build(file, ['--profile-name', 'huge'])),
    /no profile huge \| it has fast, small/,
  );
  t.equal(build('profiles: {only: {max-connections: 4}}').config.connectionsMax, 4, 'one needs no name');
  t.match(
    refusal(() => build('profiles: {a: {}}\npart-size: 1')),
    /part-size stands beside `profiles`/,
  );
  t.match(
    refusal(() => build('part-size: 1', ['--profile-name', 'a'])),
    /no profiles by name/,
  );
  t.match(
    refusal(() => build('profiles: [a]')),
    /is not a list of/,
  );
  t.match(
    refusal(() => build('profiles: {a: 1}')),
    /profile a is not a list/,
  );
  t.end();
});

t.test('what is refused, with where and what to write instead', (t) => {
  const rows: (readonly [string, RegExp])[] = [
    ['\npart-sise: 1', /p\.yaml:2:1: unknown setting part-sise \| did you mean part-size\?/],
    ['max_concurency: 1', /did you mean max_concurrency\?/],
    ['part_size: 1', /unknown setting part_size \| did you mean part-size\?/],
    ['max_connections: 1', /unknown setting max_connections \| did you mean max-connections\?/],
    ['zzzzz: 1', /docs\/PROFILES\.md lists the names/],
    ['preferred_transfer_client: crt', /no other transfer client to choose here \| leave it out/],
    ['preferred_transfer_client: auto', /no other transfer client/],
    ['foreground: true', /foreground belongs to one mount/],
    ['profile-file: x', /profile-file belongs to one mount/],
    ['read-only: yes', /read-only is true or false/],
    ['part-size:', /part-size has no value/],
    ['part-size: [1]', /part-size has no value/],
    ['part-size: true', /not a text or a number/],
    ['part-size: 8MB', /p\.yaml:1:1: part-size 8MB: not a whole number/],
    ['max_concurrency: 1.5', /1\.5 is not a whole number/],
    ['max_concurrency: "10"', /"10" is not a whole number/],
    ['max_concurrency: 0', /0 is not a whole number/],
    ['max_concurrency: [1, 2]', /what is given is not a whole number/],
    ['max_concurrency: 1e400', /Infinity is not a whole number/],
    ['multipart_chunksize: big', /"big" is no size \| allowed: bytes, or e\.g\. 16MB/],
    ['multipart_chunksize: 16MB/s', /is no size/],
    ['max_bandwidth: 50MB', /is no size \| allowed: bytes a second/],
    ['use_threads: 1', /1 is neither true nor false/],
    ['max_concurrency: 8\nmax-connections: 9', /max-connections is given twice/],
    ['part-size: 1\npart-size: 2', /p\.yaml:2:\d+: Map keys must be unique/],
    ['a: [', /p\.yaml:\d+:\d+: /],
    ['just text', /not a list of/],
    ['- 1', /not a list of/],
    ['a: &x 1\npart-size: *x', /unknown setting a/],
    ['read-part-size: 1048576\npart-size: 1048576', /cannot be given together/],
    ['cache-xz: b', /p\.yaml:1:1: cache-xz is not supported/],
  ];
  for (const [yaml, expected] of rows)
    t.match(
      refusal(() => build(yaml)),
      expected,
      yaml,
    );
  t.match(
    refusal(() => build('', ['--profile-file', 'q.yaml'])),
    /--profile-file was given more than once/,
  );
  t.end();
});

t.test('the file itself', (t) => {
  const only = (args: readonly string[]): string =>
    refusal(() => {
      let parsed: ParsedArguments = {};
      createParser(['bucket', '/mnt', ...args])
        .command('$0 [bucket] [directory]', '', declareMount, (given) => {
          parsed = given;
        })
        .parseSync();
      return readMount(parsed, { owner: { env: {}, uid: 1000 }, gid: 100, cwd: directory });
    });
  t.match(only(['--profile-file', 'nowhere.yaml']), /nowhere\.yaml cannot be read: ENOENT/);
  t.match(only(['--profile-file', '.']), /not a file/);
  writeFileSync(join(directory, 'long.yaml'), '#'.repeat(70_000));
  t.match(only(['--profile-file', 'long.yaml']), /longer than 65536 bytes/);
  t.match(only(['--profile-name', 'x']), /--profile-name needs --profile-file/);
  t.equal(build('').config.connectionsMax, undefined, 'an empty one says nothing');
  t.equal(build('# nothing\n').config.connectionsMax, undefined);
  t.end();
});

t.test('any text is a profile or a refusal', (t) => {
  const line = fc.tuple(fc.constantFrom<string>(...mountOptionNames, ...boto3Names, 'x'), fc.json());
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(line).map((all) => all.map(([k, v]) => `${k}: ${v}`).join('\n')),
      ),
      (text) => {
        try {
          parseProfile(text, 'p', undefined);
        } catch (error) {
          return error instanceof CommandError;
        }
        return true;
      },
    ),
  );
  t.end();
});

t.test('the documented table is the one that is used', (t) => {
  const docs = readFileSync(join(projectRoot, 'docs/PROFILES.md'), 'utf8');
  for (const [name, becomes] of boto3Table) {
    const row = docs.split('\n').find((each) => each.startsWith(`| \`${name}\``));
    t.ok(row?.includes(becomes), `${name}: ${becomes}`);
  }
  for (const name of mountOptionNames) if (name.startsWith('profile-')) t.equal(mountOptions[name].kind, 'value');
  t.end();
});
