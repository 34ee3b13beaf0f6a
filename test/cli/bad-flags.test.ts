/** Mistyped command lines: one line that names the flag, the value and what is allowed; exit code 2; nothing on stdout. */
import t from 'tap';
import { execute } from '../../src/cli/main.js';
import { executeMountHelper } from '../../src/cli/mount-helper.js';
import { fakeIo } from './fake-io.js';

const B = 'bucket /mnt';

const rows: readonly (readonly [args: string, line: RegExp])[] = [
  ['', /bucket and directory are missing/],
  ['bucket', /the directory is missing/],
  [`${B} extra`, /unexpected argument extra/],
  ['mount bucket /mnt extra', /unexpected argument extra/],
  [`${B} --regoin x`, /unknown option --regoin; did you mean --region\?/],
  [`${B} --readonly`, /unknown option --readonly; did you mean --read-only\?/],
  [`${B} --allow_other`, /unknown option --allow_other; did you mean --allow-other\?/],
  [`${B} --endpoint http://h`, /unknown option --endpoint; an address is --endpoint-url URL, a region --region NAME/],
  [`${B} --umask 022`, /unknown option --umask; give the permissions themselves: --dir-mode 0750 and --file-mode 0640/],
  [`${B} --implicit-dirs`, /unknown option --implicit-dirs; leave it out: directories show without/],
  [`${B} --fips`, /unknown option --fips; set AWS_USE_FIPS_ENDPOINT=true/],
  [`${B} --frobnicate`, /unknown option --frobnicate; `mount-s3x --help` lists/],
  [`${B} -z`, /unknown option -z/],
  [`${B} --read-only=no`, /--read-only takes no value/],
  [`${B} --uid`, /--uid needs a value/],
  [`${B} -l`, /-?-l(og-directory)? needs a value/],
  [`${B} --prefix --debug`, /--prefix needs a value/],
  [`${B} --region a --region b`, /--region was given more than once \(a, b\)/],
  [`${B} --uid -1`, /--uid needs a value|--uid -1: not a whole number/],
  [`${B} --uid root`, /--uid root: not a whole number; allowed: a whole number from 0 to 4294967294/],
  [`${B} --gid 4294967295`, /--gid 4294967295: out of range/],
  [`${B} --dir-mode 888`, /--dir-mode 888: not octal permissions; allowed: 0000 to 0777/],
  [`${B} --file-mode 01777`, /--file-mode 01777/],
  [`${B} --file-mode rw`, /--file-mode rw/],
  [`${B} --metadata-ttl soon`, /--metadata-ttl soon: not a time to live; allowed: SECONDS/],
  [`${B} --metadata-ttl 1.5`, /--metadata-ttl 1.5/],
  [`${B} --metadata-ttl 99999999999`, /out of range/],
  [`${B} --negative-metadata-ttl x`, /--negative-metadata-ttl x/],
  [`${B} --max-threads 0`, /--max-threads 0: out of range; allowed: a whole number from 1/],
  [`${B} --net-threads 1e3`, /--net-threads 1e3/],
  [`${B} --max-connections 0x10`, /--max-connections 0x10/],
  [`${B} --maximum-throughput-gbps fast`, /--maximum-throughput-gbps fast: not a number/],
  [`${B} --maximum-throughput-gbps 0`, /out of range/],
  [`${B} --part-size 8MB`, /--part-size 8MB: not a whole number; allowed: .* bytes/],
  [`${B} --part-size 0`, /out of range/],
  [`${B} --read-around maybe`, /--read-around maybe: not known[^]*on, off/],
  [`${B} --read-part-size 5368709121`, /out of range/],
  [`${B} --part-size 1 --read-part-size 1`, /--part-size and --read-part-size cannot be given together/],
  [`${B} --memory-target 100`, /--memory-target 100: out of range; allowed: a whole number from 256 .* MiB/],
  [`${B} --memory-target 1GiB`, /--memory-target 1GiB/],
  [
    `${B} --endpoint-url localhost:9000`,
    /--endpoint-url localhost:9000: not a URL \(http:\/\/ or https:\/\/ is missing\)/,
  ],
  [`${B} --endpoint-url ftp://h`, /neither http nor https/],
  [`${B} --endpoint-url http://user:pass123@h`, /credentials do not belong into the URL/],
  [`${B} --endpoint-url http://h/?x=1`, /query/],
  [`${B} --endpoint-url http://h:99999`, /not a URL/],
  [`${B} --region eu_west/1`, /--region eu_west\/1/],
  [`${B} --bucket-type express`, /--bucket-type express: not known; allowed: general-purpose, directory/],
  [`data--use1-az4--x-s3${B.slice(B.indexOf(' '))} --tag a=b`, /--tag: objects of directory buckets have no tags/],
  [`data--use1-az4--x-s3${B.slice(B.indexOf(' '))} --storage-class GLACIER`, /allowed: EXPRESS_ONEZONE/],
  [`data--use1-az4--x-s3${B.slice(B.indexOf(' '))} --sse aws:kms`, /default encryption/],
  [`${B} --expected-bucket-owner me`, /12 digits/],
  [`${B} --verify sometimes`, /allowed: auto, strict, off/],
  [`${B} --fuse-binding kernel`, /allowed: dev, native/],
  [`${B} --bind a/b`, /--bind a\/b/],
  [`${B} --allow-other --allow-root`, /--allow-other and --allow-root cannot/],
  [`${B} --immutable --metadata-ttl 60`, /--immutable and --metadata-ttl cannot be given together: .*nothing expires/],
  [`${B} --no-log --debug`, /--no-log and --debug cannot/],
  [`${B} --dual-stack --endpoint-url http://h`, /--dual-stack and --endpoint-url cannot/],
  [`${B} --transfer-acceleration --force-path-style`, /cannot be given together/],
  [`${B} --max-cache-size 5`, /--max-cache-size needs --cache/],
  [`${B} --sse-kms-key-id k`, /--sse-kms-key-id needs --sse/],
  [`${B} --sse AES256 --sse-kms-key-id k`, /--sse-kms-key-id needs --sse; give --sse aws:kms/],
  [`${B} --sse-kms-key-id a,b --sse aws:kms`, /not the name of a key/],
  [`${B} --sse none`, /--sse none: not known; allowed: AES256, aws:kms, aws:kms:dsse/],
  [`${B} --storage-class cold`, /--storage-class cold: not a storage class/],
  [`${B} --upload-checksums md5`, /allowed: crc32, crc32c, crc64nvme, off/],
  [`${B} --write-part-size 1048576`, /out of range; allowed: a whole number from 5242880/],
  [`${B} --conflict never`, /allowed: fail, last-writer/],
  [`${B} --commit-interval soon`, /--commit-interval soon: not a whole number; allowed: .* seconds/],
  [`${B} --tag novalue`, /--tag novalue: not a tag; allowed: KEY=VALUE/],
  [`${B} --tag =v`, /not a tag/],
  [`${B} --tag aws:x=v`, /reserved/],
  [`${B} --tag a=1 --tag a=2`, /given twice/],
  [`${B} ${Array.from({ length: 11 }, (_, at) => `--tag k${at}=v`).join(' ')}`, /--tag was given 11 times; .* 10/],
  [`${B} --store-capabilities appends`, /appends is not known; allowed: conditional-writes, /],
  [`${B} --store-capabilities renames,`, /an empty word is not known/],
  [`${B} --no-delete --allow-delete`, /--no-delete and --allow-delete cannot/],
  [`${B} --rename-dir-max -1`, /needs a value|not a whole number/],
  [`${B} --cache-xz b`, /--cache-xz is not supported/],
  [`${B} -o ro,rw`, /-o ro,rw: both were given/],
  [`${B} -o readonly`, /-o readonly: unknown option; did you mean read-only\?/],
  [`${B} -o --read-only`, /needs a value|without their dashes/],
  [`${B} -o foreground`, /cannot be given here/],
  [`${B} -o uid`, /uid needs a value/],
  [`${B} -o read_only=1`, /read_only takes no value/],
  [`${B} -o uid=1 --uid 2`, /--uid was given more than once/],
  [`${B} -o a"b`, /a bare quote/],
  [`${B} -o context="a:b`, /a quote that is not closed/],
  [`${B} -o context="a"b`, /a quote that is not closed/],
  [
    `${B} -o umask=022`,
    /-o umask=022: unknown option; give the permissions themselves: dir-mode=0750 and file-mode=0640/,
  ],
  [`${B} -o use_path_request_style`, /unknown option; the same is force-path-style/],
  [`${B} -o passwd_file=/etc/passwd-s3fs`, /unknown option; credentials are found .*; profile=NAME chooses/],
  [`${B} -o endpoint=eu-west-1`, /unknown option; an address is endpoint-url=URL, a region region=NAME/],
  [`${B} -o a\\b`, /backslash/],
  ['unmount', /directory to unmount is missing/],
  ['unmount /a /b', /unexpected argument \/b/],
  ['unmount /a --lasy', /unknown option --lasy; did you mean --lazy\?/],
  ['hwinfo now', /unexpected argument now/],
  ['bench', /what to measure is missing; give a directory/],
  ['bench /tmp more', /unexpected argument more; flags of the mount stand after --/],
  ['bench /tmp --wrokloads seq1', /unknown option --wrokloads; did you mean --workloads\?/],
  ['bench /tmp --workloads seq2', /--workloads seq2: not known; did you mean seq\S+\?; allowed: .*seq1, seq4/],
  ['bench /tmp --workloads ,', /--workloads ,: empty; allowed: /],
  ['bench /tmp --rounds 0', /--rounds 0: out of range; allowed: a whole number from 1/],
  ['bench /tmp --rounds 1 --rounds 2', /--rounds was given more than once \(1, 2\)/],
  ['bench /tmp --scale big', /--scale big: not a number/],
  ['bench /tmp --bytes 1000', /--bytes 1000: out of range; allowed: .* bytes/],
  ['bench /tmp --pid 0', /--pid 0: out of range/],
  ['bench /tmp --files x --scale 2', /--files reads what is there, --scale and --bytes make a data set; give one/],
  ['bench /tmp --dataset imagenet', /--dataset imagenet: not known; allowed: caltech, webdataset, c4, checkpoint/],
  ['bench /tmp --dataset c4 --against /var', /--dataset is written and read whole; leave --workloads/],
  ['bench /tmp --files x --verify', /--verify knows only bytes that were written here/],
];

for (const [args, line] of rows) {
  t.test(args === '' ? 'no arguments' : args, async (t) => {
    const io = fakeIo();
    t.equal(await execute(args === '' ? [] : args.split(' '), io), 2);
    t.equal(io.complained.length, 1);
    const said = io.complained[0] ?? '';
    t.match(said, line);
    t.match(said, /^mount-s3x: [^\n]+; \S/, 'what happened; what to do');
    t.notMatch(said, 'pass123');
    t.strictSame(io.printed, []);
  });
}

t.test('the fstab helper says the same with exit codes of mount(8)', async (t) => {
  const cases: readonly (readonly [string[], number, RegExp])[] = [
    [['bucket'], 1, /bucket and a directory/],
    [['bucket', '/mnt', '-x'], 1, /unknown option -x/],
    [['bucket', '/mnt', '-o'], 1, /-o needs a value/],
    [['bucket', '/mnt', '-o', 'rw,regoin=x'], 1, /regoin=x: unknown option; did you mean region/],
    [['bucket', '/nonexistent', '-sn', '-o', 'ro', '-t', 's3x'], 32, /does not exist/],
    [['bucket', '/nonexistent', '-f'], 32, /does not exist/],
    [['bucket', '/nonexistent', '-v', '-oro,_netdev'], 32, /does not exist/],
  ];
  for (const [args, exitCode, line] of cases) {
    const io = fakeIo();
    t.equal(await executeMountHelper(args, io), exitCode, args.join(' '));
    t.equal(io.complained.length, 1);
    t.match(io.complained[0], line);
  }
});

t.test('a report that cannot be written is told before anything is measured', async (t) => {
  for (const file of ['/nonexistent/x.html', '/tmp']) {
    const io = fakeIo();
    t.equal(await execute(['bench', '/nonexistent/data', '--html', file], io), 1);
    t.match(io.complained, [
      new RegExp(`^mount-s3x: --html ${file}: .*; give a file in a directory that may be written$`),
    ]);
  }
});

t.test('not mounted', async (t) => {
  const io = fakeIo();
  t.equal(await execute(['unmount', '/nonexistent/x'], io), 12);
  t.match(io.complained, [/\/nonexistent\/x is not a mount point; /]);
  const proc = fakeIo();
  t.equal(await execute(['unmount', '/proc'], proc), 12);
  t.match(proc.complained, [/\/proc is a mount of proc .*not of mount-s3x; use `umount \/proc`/]);
});
