/** Command lines and the configuration that comes of them: the whole path from argv, without a process. */
import t from 'tap';
import { GIB, MIB } from '../../src/base/units.js';
import type { BuiltConfig } from '../../src/cli/build-config.js';
import { declareMount, readMount } from '../../src/cli/mount.js';
import { isOptionName, mountOptionNames } from '../../src/cli/options.js';
import { createParser, type ParsedArguments } from '../../src/cli/parse.js';
import type { MountConfig } from '../../src/main/config.js';

const place = { owner: { env: {}, uid: 1000 }, gid: 100, cwd: '/home/user' };

function build(args: readonly string[], env: NodeJS.ProcessEnv = {}): BuiltConfig {
  let parsed: ParsedArguments = {};
  createParser(args)
    .command('$0 [bucket] [directory]', '', declareMount, (given) => {
      parsed = given;
    })
    .parseSync();
  const { config, notes } = readMount(parsed, { ...place, owner: { env, uid: 1000 } });
  return { config, notes };
}

const config = (args: readonly string[], env?: NodeJS.ProcessEnv): MountConfig =>
  build(['bucket', '/mnt', ...args], env).config;

t.test('nothing but bucket and directory', (t) => {
  t.strictSame(build(['bucket', 'data/x']), {
    config: {
      store: {
        bucket: 'bucket',
        prefix: '',
        forcePathStyle: false,
        transferAcceleration: false,
        dualStack: false,
        fips: false,
        requesterPays: false,
        anonymous: false,
      },
      mountPoint: '/home/user/data/x',
      foreground: false,
      readOnly: false,
      immutable: false,
      allowOther: false,
      allowRoot: false,
      autoUnmount: false,
      supervised: true,
      watchdogMs: 30_000,
      uid: 1000,
      gid: 100,
      dirMode: 0o755,
      fileMode: 0o644,
      metadataTtlMs: 1000,
      negativeMetadataTtlMs: 1000,
      readAround: true,
      bindNics: [],
      fuseBinding: 'dev',
      resend: true,
      verify: 'auto',
      write: {
        objects: { checksums: 'crc32', tags: [], capabilities: {} },
        overwrite: true,
        delete: true,
        conflict: 'fail',
        partBytes: 8 * MIB,
        spoolDirectory: '/tmp/mount-s3x-1000/spool',
        commitIntervalMs: null,
        recoverAgeMs: 604_800_000,
        shutdownTimeoutMs: 75_000,
        renameDirectoryKeysMax: 100_000,
        posixMetadata: false,
        inferContentType: false,
      },
      log: { metrics: false, level: 'info', engineDebug: false },
      metrics: {},
      mountOptions: [],
    },
    notes: [],
  });
  t.end();
});

const rows: readonly (readonly [args: string, expected: object])[] = [
  ['--prefix train', { store: { prefix: 'train/' } }],
  ['--prefix train/', { store: { prefix: 'train/' } }],
  ['--prefix=', { store: { prefix: '' } }],
  ['--region eu-west-1', { store: { region: 'eu-west-1' } }],
  ['--endpoint-url http://127.0.0.1:9000/', { store: { endpointUrl: 'http://127.0.0.1:9000' } }],
  ['--endpoint-url https://h/base/path', { store: { endpointUrl: 'https://h/base/path' } }],
  ['--force-path-style', { store: { forcePathStyle: true } }],
  ['--transfer-acceleration', { store: { transferAcceleration: true } }],
  ['--dual-stack', { store: { dualStack: true } }],
  ['--bucket-type directory', { store: { bucketType: 'directory' } }],
  ['--requester-pays', { store: { requesterPays: true } }],
  ['--expected-bucket-owner 123456789012', { store: { expectedBucketOwner: '123456789012' } }],
  ['--profile my-profile', { store: { profile: 'my-profile' } }],
  ['--no-sign-request', { store: { anonymous: true } }],
  ['--ca-bundle ca.pem', { store: { caBundle: '/home/user/ca.pem' } }],
  ['--user-agent-prefix job/7', { store: { userAgentPrefix: 'job/7' } }],
  ['-f', { foreground: true }],
  ['--read-only', { readOnly: true }],
  ['--auto-unmount --allow-other', { autoUnmount: true, allowOther: true }],
  ['--allow-other', { makersOwn: { uid: true, gid: true } }],
  ['--allow-other --uid 7', { uid: 7, makersOwn: { uid: false, gid: true } }],
  ['--allow-root', { allowRoot: true }],
  ['--uid 0 --gid 4294967294', { uid: 0, gid: 4_294_967_294 }],
  ['--dir-mode 0700 --file-mode 640', { dirMode: 0o700, fileMode: 0o640 }],
  ['--dir-mode 0o755', { dirMode: 0o755 }],
  ['--immutable', { immutable: true, readOnly: true, metadataTtlMs: null, negativeMetadataTtlMs: null }],
  ['--metadata-ttl 60', { metadataTtlMs: 60_000, negativeMetadataTtlMs: 60_000 }],
  ['--metadata-ttl indefinite', { metadataTtlMs: null, negativeMetadataTtlMs: null }],
  ['--metadata-ttl indefinite --negative-metadata-ttl minimal', { metadataTtlMs: null, negativeMetadataTtlMs: 1000 }],
  ['--metadata-ttl 0', { metadataTtlMs: 1000 }],
  ['--max-threads 16 --net-threads 3 --max-connections 64', { readerThreads: 16, netThreads: 3, connectionsMax: 64 }],
  ['--maximum-throughput-gbps 12.5', { throughputGbps: 12.5 }],
  ['--read-around off', { readAround: false }],
  ['--read-around on', { readAround: true }],
  ['--part-size 16777216', { readPartBytes: 16 * MIB, write: { partBytes: 16 * MIB } }],
  ['--part-size 1048576', { readPartBytes: MIB, write: { partBytes: 5 * MIB } }],
  ['--read-part-size 1 --write-part-size 5368709120', { readPartBytes: 1, write: { partBytes: 5 * GIB } }],
  ['--no-overwrite --no-delete', { write: { overwrite: false, delete: false } }],
  ['--allow-overwrite --allow-delete --incremental-upload', { write: { overwrite: true, delete: true } }],
  ['--conflict last-writer --commit-interval 30', { write: { conflict: 'last-writer', commitIntervalMs: 30_000 } }],
  ['--commit-interval 0 --recover-age 60', { write: { commitIntervalMs: null, recoverAgeMs: 60_000 } }],
  ['--shutdown-timeout 5 --rename-dir-max 10', { write: { shutdownTimeoutMs: 5000, renameDirectoryKeysMax: 10 } }],
  ['--storage-class STANDARD_IA --sse AES256', { write: { objects: { storageClass: 'STANDARD_IA', sse: 'AES256' } } }],
  ['--sse aws:kms --sse-kms-key-id alias/k', { write: { objects: { sse: 'aws:kms', sseKmsKeyId: 'alias/k' } } }],
  ['--upload-checksums crc64nvme', { write: { objects: { checksums: 'crc64nvme' } } }],
  ['--upload-checksums off', { write: { objects: { checksums: 'off' } } }],
  [
    '--tag team=vision --tag run=a=b --tag empty=',
    {
      write: {
        objects: {
          tags: [
            { key: 'team', value: 'vision' },
            { key: 'run', value: 'a=b' },
            { key: 'empty', value: '' },
          ],
        },
      },
    },
  ],
  [
    '--store-capabilities no-conditional-writes,no-copy-parts,renames',
    { write: { objects: { capabilities: { conditionalWrites: false, copyParts: false, renames: true } } } },
  ],
  ['--posix-metadata --infer-content-type', { write: { posixMetadata: true, inferContentType: true } }],
  ['--spool-dir spool', { write: { spoolDirectory: '/home/user/spool' } }],
  ['-o no_overwrite,tag=a=b,tag=c=d', { write: { overwrite: false, objects: { tags: [{}, {}] } } }],
  ['--memory-target 512', { memoryTargetBytes: 512 * MIB }],
  ['--max-memory-target 1024', { memoryTargetBytes: GIB }],
  ['--bind eth0 --bind eth1', { bindNics: ['eth0', 'eth1'] }],
  ['-l logs', { log: { directory: '/home/user/logs', level: 'info' } }],
  ['--log-metrics', { log: { metrics: true } }],
  ['-d', { log: { level: 'debug', engineDebug: false } }],
  ['--debug-crt', { log: { level: 'debug', engineDebug: true } }],
  ['--no-log', { log: { level: 'silent' } }],
  ['--fuse-binding native', { fuseBinding: 'native', supervised: false }],
  ['--no-resend', { resend: false }],
  ['--no-supervisor', { supervised: false }],
  ['--watchdog 0', { watchdogMs: null }],
  ['--watchdog 90', { watchdogMs: 90_000 }],
  ['--verify strict', { verify: 'strict' }],
  ['--verify off', { verify: 'off' }],
  ['-o ro,noatime,_netdev,x-systemd.automount,uid=5', { readOnly: true, uid: 5, mountOptions: ['noatime'] }],
  ['-o allow_other -o region=eu-west-1', { allowOther: true, store: { region: 'eu-west-1' } }],
  ['-o defaults,rw,nofail,user,comment=x,exec,dev,suid,nosuid', { readOnly: false, mountOptions: ['nosuid'] }],
  ['-o prefix=a\\,b/', { store: { prefix: 'a,b/' } }],
  ['-fd', { foreground: true, log: { level: 'debug' } }],
];

t.test('each option', (t) => {
  for (const [args, expected] of rows) t.match(config(args.split(' ')), expected, args);
  t.end();
});

t.test('environment', (t) => {
  t.match(config([], { AWS_CA_BUNDLE: '/ca.pem', AWS_MAX_ATTEMPTS: '4' }), {
    store: { caBundle: '/ca.pem', maxAttempts: 4 },
  });
  t.match(config(['--ca-bundle', '/b.pem'], { AWS_CA_BUNDLE: '/ca.pem' }), { store: { caBundle: '/b.pem' } });
  t.match(config([], { AWS_USE_FIPS_ENDPOINT: 'True', AWS_USE_DUALSTACK_ENDPOINT: 'true' }), {
    store: { fips: true, dualStack: true },
  });
  t.match(config(['--endpoint-url', 'http://h'], { AWS_USE_DUALSTACK_ENDPOINT: 'true' }), {
    store: { dualStack: false },
  });
  t.match(config([], { AWS_CA_BUNDLE: '', AWS_USE_FIPS_ENDPOINT: '' }), {
    store: { fips: false, caBundle: undefined },
  });
  t.throws(() => config([], { AWS_MAX_ATTEMPTS: 'many' }), /AWS_MAX_ATTEMPTS=many/);
  t.throws(() => config([], { AWS_USE_FIPS_ENDPOINT: 'si' }), /AWS_USE_FIPS_ENDPOINT=si/);
  t.end();
});

t.test('secrets of the environment never get into the configuration', (t) => {
  const env = { AWS_SECRET_ACCESS_KEY: 'sEcReT-1', AWS_SESSION_TOKEN: 'sEcReT-2', AWS_ACCESS_KEY_ID: 'sEcReT-3' };
  t.notMatch(JSON.stringify(config([], env)), 'sEcReT');
  t.end();
});

t.test('options of later issues', (t) => {
  const args =
    '--allow-delete --allow-overwrite --incremental-upload --storage-class STANDARD_IA --sse aws:kms --sse-kms-key-id k --upload-checksums off --cache /c --max-cache-size 100'.split(
      ' ',
    );
  const { notes } = build(['bucket', '/mnt', ...args]);
  t.equal(notes.length, 1);
  t.match(notes[0], /^accepted, has no effect yet: --cache, --max-cache-size$/);
  t.throws(() => config(['--cache-xz', 'b']), /--cache-xz is not supported/);
  t.throws(() => config(['-o', 'cache_xz=b']), /--cache-xz is not supported/);
  t.end();
});

t.test('buckets and prefixes', (t) => {
  const store = (bucket: string) => build([bucket, '/mnt']).config.store;
  t.match(store('s3://bucket'), { bucket: 'bucket', prefix: '' });
  t.match(store('s3://bucket/'), { bucket: 'bucket', prefix: '' });
  t.match(store('s3://bucket/a/b'), { bucket: 'bucket', prefix: 'a/b/' });
  t.match(store('s3://bucket/a//b/'), { bucket: 'bucket', prefix: 'a//b/' });
  t.match(store('My_Bucket.v1'), { bucket: 'My_Bucket.v1' });
  t.match(store('data--use1-az4--x-s3'), { bucket: 'data--use1-az4--x-s3' });
  const arn = 'arn:aws:s3:eu-west-1:123456789012:accesspoint/ap-1';
  t.match(build([arn, '/mnt', '--prefix', 'p']).config.store, { bucket: arn, prefix: 'p/' });
  const outpost = 'arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-1/accesspoint/ap';
  t.match(store(outpost), { bucket: outpost });
  const wrong: readonly (readonly [string, RegExp, RegExp])[] = [
    ['ab', /ab is not a bucket name/, /3 to 63/],
    ['bucket/a/b', /bucket\/a\/b is not a bucket name/, /s3:\/\/bucket\/a\/b\//],
    ['/bucket', /is not a bucket name/, /s3:\/\/bucket\//],
    ['https://h:9000/bucket', /is a URL/, /--endpoint-url/],
    ['my bucket', /not a bucket name/, /letters/],
    ['..bucket', /not a bucket name/, /begins/],
    ['s3://', /empty/, /give a bucket/],
    ['s3://bucket//x', /begins with a slash/, /write x/],
    ['arn:aws:s3:::bucket', /ARN of a bucket/, /name: bucket$/],
    ['arn:aws:s3:::bucket/p', /ARN of a bucket/, /name: bucket$/],
    ['arn:aws:s3::123456789012:accesspoint/x.mrap', /multi-Region/, /one region/],
    ['arn:aws:s3:eu-west-1:12:accesspoint/x1', /not the ARN/, /ACCOUNT/],
    ['s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/x1', /cannot be part/, /--prefix/],
  ];
  for (const [bucket, message, remedy] of wrong)
    t.throws(() => store(bucket), { message, remedy, exitCode: 2 }, bucket);
  t.throws(() => build(['s3://bucket/a', '/mnt', '--prefix', 'b']), /both name a prefix/);
  t.throws(() => config(['--prefix', '/a']), /begins with a slash/);
  t.throws(() => config(['--prefix', 'x'.repeat(1024)]), /1025 bytes/);
  t.end();
});

t.test('every option of the table is known to -o by its name', (t) => {
  t.ok(mountOptionNames.length > 45);
  for (const name of mountOptionNames) t.ok(isOptionName(name));
  t.notOk(isOptionName('toString'));
  t.end();
});
