/**
 * `mount-s3x doctor` as a person runs it: on the machine, on a bucket of a real server, on a mount that runs and on one whose daemon
 * has died; its text, its data, its exit codes, and that it leaves the bucket as it was.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { examine } from '../../src/doctor/examine.js';
import type { DoctorReport } from '../../src/doctor/report.js';
import { mountFuse } from '../../src/fuse/mount.js';
import { EXIT_DOCTOR_ERRORS, EXIT_DOCTOR_WARNINGS, EXIT_OK, EXIT_USAGE } from '../../src/main/exit-codes.js';
import { sampleConfig } from '../main/sample-config.js';
import { startMount, whyNoMount } from '../support/mount.js';
import { startBuiltin, startBuiltinProcess } from '../support/servers/builtin.js';
import { makePlace, serverFlags } from './command.js';

t.setTimeout(120_000);

const codes = { ok: EXIT_OK, note: EXIT_OK, warning: EXIT_DOCTOR_WARNINGS, error: EXIT_DOCTOR_ERRORS };

function reportOf(stdout: string): DoctorReport {
  return JSON.parse(stdout) as DoctorReport;
}

t.test('the machine: every check a line, data that says the same', async (t) => {
  const place = makePlace(t);
  const plain = await place.command(['doctor'], { timeoutMs: 30_000 });
  const data = await place.command(['doctor', '--json'], { timeoutMs: 30_000 });
  const report = reportOf(data.stdout);
  t.equal(data.code, codes[report.severity]);
  t.match(report, { format: 1, subject: 'this machine', wallMs: Number, versions: { mountS3x: String, node: String } });
  t.equal(plain.stderr, '');
  for (const { name, summary, severity, findings } of report.checks) {
    t.match(plain.stdout, new RegExp(`^(ok|note|warning|error|-) +${name} `, 'm'), name);
    t.not(summary, '');
    for (const found of findings) t.match(found, { id: /^[a-z]+\.[a-z-]+$/, found: /./, why: /./, fix: /./ }, found.id);
    t.equal(severity === 'ok', findings.length === 0, `${name}: ${severity}`);
  }
  t.notMatch(plain.stdout, '\u001b', 'no colours in a pipe');
});

t.test('a bucket: what is allowed is found out, and nothing is changed', async (t) => {
  const server = await startBuiltin({ buckets: ['data'] });
  t.teardown(() => server.stop());
  writeFileSync(join(server.dataDir, 'data', 'a.txt'), 'hello');
  const place = makePlace(t, server);
  const doctor = (...args: string[]) =>
    place.command(['doctor', ...args, ...serverFlags(server)], { timeoutMs: 60_000 });
  const { stdout, code } = await doctor('data', '--json');
  const report = reportOf(stdout);
  const check = (name: string) => report.checks.find((each) => each.name === name);
  t.equal(report.subject, 's3://data/');
  t.equal(code, codes[report.severity]);
  t.match(check('credentials'), { severity: 'ok', summary: /^from environment, without an end/ });
  t.match(check('permissions'), {
    severity: 'ok',
    summary: /s3:GetObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts, s3:PutObject, s3:DeleteObject$/,
  });
  t.match(check('uploads'), { severity: 'ok', summary: '0 open' });
  t.strictSame(readdirSync(join(server.dataDir, 'data')), ['a.txt'], 'nothing came, nothing went');
  const written = reportOf((await doctor('s3://data/some/', '--json', '--probe-write')).stdout);
  t.match(
    written.checks.find(({ name }) => name === 'write-probe'),
    { severity: 'ok', summary: /^wrote and deleted some\/\.mount-s3x-doctor-[0-9a-f]{16}$/ },
  );
  t.strictSame(readdirSync(join(server.dataDir, 'data')), ['a.txt'], '--probe-write cleans up');

  server.controls.setFaults([{ operation: 'UploadPart', status: 403, code: 'AccessDenied' }]);
  const refused = await doctor('data');
  t.match(refused.stdout, /^warning {2}permissions {2}allowed: s3:ListBucket, s3:GetObject/m);
  t.match(
    refused.stdout,
    /\[permissions\.write-denied\]\n +why: .*\n +fix: allow s3:PutObject on arn:aws:s3:::data\/\*/,
  );
  // A mount that another test has just killed is an error of this machine, and not of the bucket.
  t.notMatch(refused.stdout, /^error +(?! |mounts )/m);
  t.equal(refused.code, /^error +mounts /m.test(refused.stdout) ? EXIT_DOCTOR_ERRORS : EXIT_DOCTOR_WARNINGS);
  const readOnly = await doctor('data', '--read-only');
  t.match(readOnly.stdout, /writing is not tried for a read-only mount/);

  const wrong = await place.command(['doctor', 'data', ...serverFlags(server)], {
    timeoutMs: 60_000,
    env: { AWS_SECRET_ACCESS_KEY: 'wrong' },
  });
  t.equal(wrong.code, EXIT_DOCTOR_ERRORS);
  t.match(wrong.stdout, /\[credentials\.refused\]/);
  t.match(wrong.stdout, /^- +permissions +not looked at/m, 'what follows from it is not told again');
});

t.test('mistakes', async (t) => {
  const place = makePlace(t);
  for (const [args, words] of [
    [['doctor', '--throughput'], /--throughput needs a bucket/],
    [['doctor', 'some-bucket', '--probe-rite'], /did you mean --probe-write/],
    [['doctor', 'a', 'b'], /unexpected argument b/],
    [['doctor', '--bundle', ''], /--bundle takes one file/],
    [['doctor', 's3://a-bucket', '--region', 'not a region'], /--region/],
  ] as const) {
    const result = await place.command(args);
    t.equal(result.code, EXIT_USAGE, args.join(' '));
    t.match(result.stderr, words);
  }
  const none = await place.command(['doctor', place.mountPoint, '--json'], { timeoutMs: 30_000 });
  t.match(
    reportOf(none.stdout).checks.find(({ name }) => name === 'mount'),
    { severity: 'error', findings: [{ id: 'mount.none' }] },
  );
});

const skip = whyNoMount() ?? false;

t.test('a mount that runs: its own settings and its own keys', { skip }, async (t) => {
  const server = await startBuiltinProcess({ buckets: ['data'] });
  t.teardown(() => server.stop());
  writeFileSync(join(server.dataDir, 'data', 'a.txt'), 'hello');
  const place = makePlace(t, server);
  const mount = await startMount(server, { bucket: 'data', flags: ['--read-only'], env: place.env });
  t.teardown(() => mount.stop());
  // Whoever asks has other keys.
  const env = { AWS_ACCESS_KEY_ID: 'NOBODY', AWS_SECRET_ACCESS_KEY: 'nothing' };
  const { stdout } = await place.command(['doctor', mount.path, '--json'], { timeoutMs: 60_000, env });
  const report = reportOf(stdout);
  const check = (name: string) => report.checks.find((each) => each.name === name);
  t.match(check('mount'), { summary: /^s3:\/\/data\/ served by process \d+/, findings: [] });
  t.match(check('bucket'), { severity: 'ok', summary: /^s3:\/\/data\// }, 'asked where the mount asks');
  t.match(check('permissions'), { summary: /writing is not tried for a read-only mount/ });
});

t.test('a mount whose daemon is dead', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-dead-'));
  const options = { source: 's3://gone/', readOnly: true, allowOther: false, allowRoot: false, extra: [] };
  const mount = await mountFuse(directory, options);
  t.teardown(() => {
    spawnSync('umount', ['-l', directory]);
    spawnSync('fusermount3', ['-uz', directory]);
    rmdirSync(directory);
  });
  closeSync(mount.fd);
  const place = makePlace(t);
  mkdirSync(join(place.root, 'run'));
  const owner = { env: place.env, uid: process.getuid?.() ?? 0 };
  const wish = { hasBucket: false, config: sampleConfig(), probesWrite: false, measuresThroughput: false };
  const { report } = await examine(wish, owner);
  const found = report.checks.flatMap(({ findings }) => findings).find(({ found: text }) => text.includes(directory));
  t.match(found, { id: 'mounts.dead', severity: 'error', fix: `umount -l ${directory} (as an ordinary user` });
});
