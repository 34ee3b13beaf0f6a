/**
 * `mount-s3x bench` from the outside: on a plain directory, on a mount, on a bucket that it mounts itself, two against each
 * other; what it says where it cannot write; and that nothing is left behind, whatever happened.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { BenchResults, Figure } from '../../src/cli/bench/results.js';
import { workloads } from '../../src/cli/bench/workloads.js';
import { makePlace, serverFlags, type Place } from '../cli/command.js';
import { cliPath, ended, run, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltin } from '../support/servers/builtin.js';
import { until } from '../support/until.js';
import { storeView } from './support/store-view.js';

const WAIT_MS = 120_000;
t.setTimeout(5 * WAIT_MS);
const NOBODY = 65_534;
const tiny = ['--bytes', '1048576', '--scale', '0.01'];
const small = [...tiny, '--rounds', '1'];

function directory(t: Test, name = 'data'): string {
  const path = mkdtempSync(join(tmpdir(), `mount-s3x-${name}-`));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function bench(place: Place, args: readonly string[]): Promise<BenchResults> {
  const done = await place.command(['bench', '--json', ...args], { timeoutMs: WAIT_MS });
  if (done.code !== 0) throw new Error(`exit code ${done.code ?? 'none'}: ${done.stderr} ${done.stdout.slice(-2000)}`);
  return JSON.parse(done.stdout) as BenchResults;
}

function one(results: BenchResults, figure: string, target?: string): Figure {
  const found = results.figures.find(
    (each) => each.figure === figure && (target === undefined || each.target === target),
  );
  if (!found) throw new Error(`no figure ${figure}`);
  return found;
}

t.test('every workload on a plain directory, and a report that needs nothing else', async (t) => {
  const place = makePlace(t);
  const path = directory(t);
  const html = join(place.root, 'report.html');
  const results = await bench(place, [path, ...small, '--verify', '--html', html]);
  t.same(
    results.figures.map(({ figure }) => figure),
    workloads.flatMap(({ figures }) => figures.map(({ name }) => name)),
  );
  for (const { figure, samples, skipped, failures } of results.figures) {
    t.same(failures, [], figure);
    // Not every file system has O_DIRECT.
    if (skipped !== undefined) t.match(skipped, /O_DIRECT/, figure);
    else t.ok((samples[0]?.value ?? 0) > 0, figure);
  }
  t.equal(one(results, 'seq1').samples[0]?.bytes, 1_048_576);
  t.equal(one(results, 'list').samples[0]?.operations, 20);
  t.same(readdirSync(path), [], 'the data set is gone');
  const page = readFileSync(html, 'utf8');
  t.match(page, /^<!doctype html>/);
  t.match(page, '<svg');
  t.notMatch(page, /<script|<link|<img|@import|url\(|\bsrc=|\bhref=|https?:/, 'nothing is loaded from elsewhere');
  const tags = (name: string): readonly number[] => [
    page.split(new RegExp(`<${name}[ >]`)).length,
    page.split(`</${name}>`).length,
  ];
  for (const name of ['svg', 'g', 'table', 'tr', 'td', 'ul', 'li', 'main', 'body']) {
    const [opened, closed] = tags(name);
    t.equal(opened, closed, `every ${name} is closed`);
  }
});

t.test('two directories in turn, and the table', async (t) => {
  const place = makePlace(t);
  const [first, second] = [directory(t, 'first'), directory(t, 'second')];
  const args = ['bench', first, '--against', second, ...tiny, '--rounds', '2', '--workloads', 'seq4,small16,list'];
  const done = await place.command(args, { timeoutMs: WAIT_MS });
  t.equal(done.code, 0, done.stderr);
  for (const name of ['seq4', 'small16', 'list']) {
    for (const letter of ['A', 'B'])
      t.match(done.stdout, new RegExp(`^${name} +${letter} +[\\d,.]+ \\S+ +[\\d,.]+-[\\d,.]+`, 'm'));
  }
  t.match(done.stdout, `A is ${first}\nB is ${second}`);
  t.same([...readdirSync(first), ...readdirSync(second)], []);
});

t.test('existing files, which are left as they are', async (t) => {
  const place = makePlace(t);
  const path = directory(t);
  mkdirSync(join(path, 'sub'));
  writeFileSync(join(path, 'sub', 'large'), Buffer.alloc(9 << 20, 1));
  for (let at = 0; at < 5; at++) writeFileSync(join(path, 'sub', `small-${at}`), 'x'.repeat(100));
  const results = await bench(place, [path, '--files', 'sub', '--rounds', '1']);
  t.equal(one(results, 'seq1').samples[0]?.bytes, 9 << 20);
  t.equal(one(results, 'small1').samples[0]?.operations, 5);
  t.match(one(results, 'seq4').skipped ?? '', /only 1 files of 8 MiB or more for 4 streams/);
  t.match(one(results, 'write1').skipped ?? '', /nothing is written with --files/);
  t.same(readdirSync(path), ['sub']);
  t.equal(statSync(join(path, 'sub', 'large')).size, 9 << 20);
});

t.test('where it cannot be', async (t) => {
  const place = makePlace(t);
  const path = directory(t);
  const refused = async (args: readonly string[], words: RegExp): Promise<void> => {
    const done = await place.command(['bench', ...args], { timeoutMs: WAIT_MS });
    t.equal(done.code, 1, args.join(' '));
    t.equal(done.stdout, '');
    t.match(done.stderr, words);
    t.equal(done.stderr.trim().split('\n').length, 1, 'one line');
  };
  writeFileSync(join(path, 'file'), '');
  await refused(
    [join(path, 'missing')],
    /missing cannot be measured: .*no such file or directory \(ENOENT\); give a directory/,
  );
  await refused([join(path, 'file')], /that is no directory \(ENOTDIR\)/);
  await refused([path, '--files', 'nothing'], /--files .*nothing cannot be read: .*ENOENT/);
  await refused(
    [path, '--bytes', '4398046511104'],
    /the data set needs \S+ TiB and .* has .* left; give a smaller --scale/,
  );
  t.same(readdirSync(path), ['file']);
});

t.test('without permission', { skip: whyNotNobody() }, async (t) => {
  const path = directory(t);
  chmodSync(path, 0o755);
  const done = await run(process.execPath, [cliPath, 'bench', path, ...small], { uid: NOBODY, gid: NOBODY, cwd: '/' });
  t.equal(done.code, 1);
  t.match(
    done.stderr,
    /the data set cannot be made: .*this user may not write there \(EACCES\); read what is there with --files/,
  );
});

/** Only root can become somebody else, and nobody must be able to read the project. */
function whyNotNobody(): string | false {
  if (process.getuid?.() !== 0) return 'only root can try it as another user';
  for (let path = cliPath; path !== '/'; path = join(path, '..')) {
    if ((statSync(path).mode & (path === cliPath ? 0o004 : 0o001)) === 0) return `${path} is closed to the user nobody`;
  }
  return false;
}

t.test(
  'a disk that fills up meanwhile',
  { skip: process.getuid?.() === 0 ? false : 'only root can mount a tmpfs' },
  async (t) => {
    const place = makePlace(t);
    const path = directory(t);
    // 2 x 1 MiB, 20 x 40 kB and half a MiB are wanted: room for the check, then 20 inodes for 37 files.
    t.equal((await run('mount', ['-t', 'tmpfs', '-o', 'size=16m,nr_inodes=20', 'none', path])).code, 0);
    t.teardown(() => run('umount', ['-l', path]));
    const done = await place.command(['bench', path, ...small], { timeoutMs: WAIT_MS });
    t.equal(done.code, 1);
    t.match(
      done.stderr,
      /the data set cannot be made: .*the file system is full \(ENOSPC\); make room, or give a smaller --scale/,
    );
    t.same(readdirSync(path), [], 'what was made of it is gone');
  },
);

t.test('Ctrl-C', async (t) => {
  const path = directory(t);
  const args = [cliPath, 'bench', path, '--bytes', '16777216', '--rounds', '1000'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  await until('it has made something', () => readdirSync(path).length > 0, { waitMs: WAIT_MS });
  t.match(readdirSync(path).join(), /^\.mount-s3x-bench-/);
  child.kill('SIGINT');
  t.ok(await ended(child, WAIT_MS), 'it ends');
  t.equal(child.exitCode, 130);
  t.match(said, /SIGINT: ending, and removing what was made/);
  t.same(readdirSync(path), []);
});

t.test('on mounts', { skip: whyNoMount() ?? false }, async (t) => {
  const server = await startBuiltin({ buckets: ['data'] });
  t.teardown(() => server.stop());
  const store = storeView(server, 'data');
  t.teardown(() => store.close());

  t.test('a mount as it is: what the daemon cost and what it fetched', async (t) => {
    const place = makePlace(t, server);
    const mounted = await startMount(server, { bucket: 'data', env: place.env });
    t.teardown(() => mounted.stop());
    const results = await bench(place, [
      mounted.path,
      ...small,
      '--verify',
      '--workloads',
      'seq1,small16,write1,mixed',
    ]);
    for (const name of ['seq1', 'small16', 'write1', 'mixed-read', 'mixed-write']) {
      const [sample] = one(results, name).samples;
      t.ok((sample?.daemonPeakBytes ?? 0) > 0, `${name}: memory of the daemon`);
      t.ok(sample?.traffic !== undefined, `${name}: requests`);
    }
    const { bytesOut = 0 } = one(results, 'write1').samples[0]?.traffic ?? {};
    t.ok(bytesOut >= 1_048_576 && bytesOut < 1_100_000, `what was written was sent once: ${bytesOut}`);
    t.match(results.targets[0]?.describe, /fuse\.mount-s3x of s3:\/\/data\/, process \d+/);
    t.same([...(await store.keys()).keys()], [], 'the bucket is as it was');
  });

  t.test('a bucket, mounted for the purpose', async (t) => {
    const place = makePlace(t, server);
    const temporary = directory(t, 'tmp');
    const args = ['data', ...small, '--workloads', 'seq1,rand4k', '--json', '--', ...serverFlags(server)];
    const done = await place.command(['bench', ...args], { timeoutMs: WAIT_MS, env: { TMPDIR: temporary } });
    t.equal(done.code, 0, done.stderr);
    const results = JSON.parse(done.stdout) as BenchResults;
    const [sample] = one(results, 'seq1').samples;
    // Listings are payload too.
    const { bytesIn = 0 } = sample?.traffic ?? {};
    t.ok(bytesIn >= 1_048_576 && bytesIn < 1_100_000, `a fresh mount fetches it, and once: ${bytesIn}`);
    t.equal(sample?.cachedShare, 0);
    t.same([...(await store.keys()).keys()], [], 'the bucket is as it was');
    t.notMatch(readFileSync('/proc/self/mounts', 'utf8'), 'mount-s3x-bench-', 'nothing is left mounted');
    t.same(readdirSync(temporary), [], 'and no directory');
  });

  t.test('what a mount says, with its exit code', async (t) => {
    const place = makePlace(t, server);
    const likeCommand = await place.command(['bench', 's3://list', '--', ...serverFlags(server)], {
      timeoutMs: WAIT_MS,
    });
    t.match(likeCommand.stderr, /list cannot be mounted: .*bucket/, 'not taken for the command of that name');
    const missing = await place.command(['bench', 'nosuchbucket', '--', ...serverFlags(server)], {
      timeoutMs: WAIT_MS,
    });
    t.equal(missing.code, 7, missing.stderr);
    t.match(missing.stderr, /nosuchbucket cannot be mounted: .*bucket/);
    const flag = await place.command(['bench', 'data', '--', '--regoin', 'x'], { timeoutMs: WAIT_MS });
    t.equal(flag.code, 2);
    t.match(flag.stderr, /unknown option --regoin; did you mean --region\?/);
    const both = await place.command(['bench', place.root, '--', '--read-only'], { timeoutMs: WAIT_MS });
    t.equal(both.code, 2);
    t.match(both.stderr, /is a directory, and flags of a mount \(--read-only\) do not change it/);
  });

  t.test('a read-only mount: how to measure it all the same', async (t) => {
    const place = makePlace(t, server);
    await store.put('set/large', Buffer.alloc(9 << 20, 7));
    t.teardown(() => store.delete('set/large'));
    const flags = ['--', ...serverFlags(server), '--read-only'];
    const refused = await place.command(['bench', 'data', ...small, ...flags], { timeoutMs: WAIT_MS });
    t.equal(refused.code, 1);
    t.match(
      refused.stderr,
      /the data set cannot be made: .*the file system is read-only \(EROFS\); read what is there with --files/,
    );
    const results = await bench(place, ['data', '--files', 'set', '--rounds', '1', '--workloads', 'seq1d', ...flags]);
    t.equal(one(results, 'seq1d').samples[0]?.bytes, 9 << 20);
  });
});

t.test('an announced data set, beside clients', { skip: whyNoMount() ?? false }, async (t) => {
  const server = await startBuiltin({ buckets: ['data'] });
  t.teardown(() => server.stop());
  const store = storeView(server, 'data');
  t.teardown(() => store.close());
  const python = ['python3', process.env['PYTHON'] ?? ''].find(
    (one) => one !== '' && spawnSync(one, ['-c', 'import boto3']).status === 0,
  );
  const dataSet = ['--dataset', 'caltech', '--scale', '0.001', '--rounds', '1', '--json', '--', ...serverFlags(server)];

  t.test('none of them installed', async (t) => {
    const place = makePlace(t, server);
    const env = { PATH: '/nonexistent', PYTHON: '/nonexistent/python' };
    const done = await place.command(['bench', 's3://data/sub/', ...dataSet], { timeoutMs: WAIT_MS, env });
    t.equal(done.code, 0, done.stderr);
    const results = JSON.parse(done.stdout) as BenchResults;
    t.same(
      results.figures.map(({ figure, target }) => [figure, target]),
      [
        ['write', 'mount'],
        ['read', 'mount'],
      ],
    );
    // 30,607 files at a scale of 0.001, together a thousandth of the bytes.
    for (const figure of ['write', 'read']) t.equal(one(results, figure).samples[0]?.bytes, 31 * 39_493, figure);
    t.match(results.notes.join('\n'), /not measured: aws s3 cp: the AWS CLI is not installed/);
    t.match(results.notes.join('\n'), /not measured: boto3: \/nonexistent\/python cannot import it/);
    t.same([...(await store.keys()).keys()], [], 'the bucket is as it was');
  });

  t.test(
    'one that works',
    { skip: python === undefined ? 'no Python with boto3 (PYTHON names one)' : false },
    async (t) => {
      const place = makePlace(t, server);
      const env = { PYTHON: python ?? '' };
      const done = await place.command(['bench', 'data', ...dataSet], { timeoutMs: WAIT_MS, env });
      t.equal(done.code, 0, done.stderr);
      const results = JSON.parse(done.stdout) as BenchResults;
      for (const figure of ['write', 'read']) {
        const [sample] = one(results, figure, 'boto3-classic').samples;
        t.ok((sample?.value ?? 0) > 0, figure);
        t.ok((sample?.daemonCpuSeconds ?? 0) > 0, `${figure}: its CPU`);
      }
      t.same([...(await store.keys()).keys()], [], 'the bucket is as it was');
    },
  );

  t.test('one that fails, and one that brings the wrong bytes', async (t) => {
    const place = makePlace(t, server);
    const bin = directory(t, 'bin');
    // Uploads nothing; downloads 31 files of zeros with the names that are meant; the other client fails.
    const program = `#!/bin/sh
case "$1 $2" in
  "--version "*) echo aws-cli/2.99.0 Python/3 ;;
  "configure set") echo "$4" > "$AWS_CONFIG_FILE" ;;
  *)
    [ "$(cat "$AWS_CONFIG_FILE")" = path ] || exit 4
    case "$AWS_CONFIG_FILE" in *crt*) echo "fatal error: no luck" >&2; exit 3 ;; esac
    case "$5" in s3://*) for at in $(seq -w 0 30); do head -c 40000 /dev/zero > "$6/caltech-$at.jpg"; done ;; esac ;;
esac
`;
    writeFileSync(join(bin, 'aws'), program, { mode: 0o755 });
    const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}`, PYTHON: '/nonexistent/python' };
    const done = await place.command(['bench', 'data', ...dataSet], { timeoutMs: WAIT_MS, env });
    t.equal(done.code, 1, done.stderr);
    const results = JSON.parse(done.stdout) as BenchResults;
    t.match(one(results, 'write', 'aws-crt').failures, [/exit code 3: fatal error: no luck/]);
    t.equal(one(results, 'write', 'aws-classic').failures.length, 0);
    t.match(one(results, 'read', 'aws-classic').failures, [/WRONG BYTES: .*caltech-00\.jpg .* first at byte \d/]);
    t.ok((one(results, 'read', 'mount').samples[0]?.value ?? 0) > 0, 'the mount is measured all the same');
  });
});
