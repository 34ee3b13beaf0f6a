/**
 * What bad input gets, with the real command, daemon and server: exactly one line that names the thing and the remedy, the
 * documented exit code, within ten seconds, nothing left mounted, no process left, and no word of any library.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { findProgram } from '../../src/main/preflight.js';
import { cliPath, isMounted, run, whyNoMount, type Result } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';
import { ANSWER_WITHIN_MS, makePlace, serverFlags, type Place } from './command.js';

const noMount = whyNoMount();
const isRoot = process.getuid?.() === 0;
const canUnshare = isRoot && spawnSync('unshare', ['-m', 'true']).status === 0;
const needsNamespace = canUnshare ? false : 'needs root and unshare(1) to hide a file from one process';

if (noMount !== undefined) {
  t.pass('mounting', { skip: noMount });
  process.exit();
}

const plain = await startBuiltinProcess({ buckets: ['data', 'far'], bucketRegions: { far: 'eu-west-1' } });
t.teardown(() => plain.stop());
const secure = await startBuiltinProcess({ buckets: ['data'], tls: true });
t.teardown(() => secure.stop());
const closed = await startBuiltinProcess({
  buckets: ['data'],
  faults: [{ operation: 'ListObjectsV2', status: 403, code: 'AccessDenied' }],
});
t.teardown(() => closed.stop());

/** Accepts connections and never says a word. */
const sockets = new Set<Socket>();
const mute = createServer((socket) => {
  sockets.add(socket);
  socket.on('error', () => undefined);
});
await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
t.teardown(() => {
  for (const socket of sockets) socket.destroy();
  mute.close();
});
const mutePort = (mute.address() as AddressInfo).port;

/** A port that refuses: bound once, then closed. */
async function refusingPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function processesOf(place: Place): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(place.root);
    } catch {
      return false;
    }
  });
}

function checkRefusal(t: Test, place: Place, result: Result, exitCode: number, line: RegExp): void {
  t.equal(result.code, exitCode, 'exit code', { stderr: result.stderr });
  const lines = result.stderr.split('\n');
  t.equal(lines.pop(), '', 'the line is ended');
  t.equal(lines.length, 1, 'exactly one line', { stderr: result.stderr });
  t.match(lines[0], line);
  t.match(lines[0], /^mount-s3x: .+; .+/, 'what happened; what to do');
  t.equal(result.stdout, '');
  t.notOk(isMounted(place.mountPoint), 'nothing is left mounted');
  t.strictSame(processesOf(place), [], 'no process is left');
}

/** 7 s of waiting for the store (8 s in all when nothing else runs), and two starts of Node on a machine that runs other tests. */
const STORE_WAIT_MS = 20_000;

interface Case {
  readonly name: string;
  readonly args: (place: Place) => readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly exitCode: number;
  readonly line: RegExp;
  readonly timeoutMs?: number;
}

const refused = await refusingPort();
const at = (place: Place): string => place.mountPoint;
const good = serverFlags(plain);

const cases: readonly Case[] = [
  {
    name: 'a bucket that does not exist',
    args: (place) => ['nosuchbucket', at(place), ...good],
    exitCode: 7,
    line: /bucket nosuchbucket does not exist/,
  },
  {
    name: 'the wrong region',
    args: (place) => ['data', at(place), ...good, '--region', 'eu-west-1'],
    exitCode: 8,
    line: /data is in region us-east-1, not in eu-west-1; .*--region us-east-1/,
  },
  {
    name: 'an unknown access key',
    args: (place) => ['data', at(place), ...good],
    env: { AWS_ACCESS_KEY_ID: 'AKIANOBODYKNOWSTHIS0' },
    exitCode: 5,
    line: /does not know the access key from environment; .*AWS_ACCESS_KEY_ID/,
  },
  {
    name: 'a wrong secret',
    args: (place) => ['data', at(place), ...good],
    env: { AWS_SECRET_ACCESS_KEY: 'notthesecretnotthesecret' },
    exitCode: 5,
    line: /secret key from environment does not fit/,
  },
  {
    name: 'no credentials at all',
    args: (place) => ['data', at(place), ...good],
    env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
    exitCode: 5,
    line: /credentials.*; .*--no-sign-request/,
  },
  {
    name: 'a profile that does not exist',
    args: (place) => ['data', at(place), ...good, '--profile', 'nosuchprofile'],
    exitCode: 5,
    line: /nosuchprofile/,
  },
  {
    name: 'anonymous at a private bucket',
    args: (place) => ['data', at(place), ...good, '--no-sign-request'],
    exitCode: 6,
    line: /anonymous.*; .*--no-sign-request/,
  },
  {
    name: '403: the permission that is missing is named',
    args: (place) => ['data', at(place), ...serverFlags(closed)],
    exitCode: 6,
    line: /data.*s3:ListBucket/,
  },
  {
    name: 'an endpoint that refuses connections',
    // Without a number of attempts it would be waited for: e2e/start-outage.
    args: (place) => ['data', at(place), '--endpoint-url', `http://127.0.0.1:${refused}`, '--max-attempts', '2'],
    exitCode: 9,
    line: /127\.0\.0\.1:\d+ refuses connections; check the endpoint URL/,
  },
  {
    name: 'an endpoint that never answers',
    args: (place) => ['data', at(place), '--endpoint-url', `http://127.0.0.1:${mutePort}`],
    exitCode: 9,
    line: /does not answer within/,
    timeoutMs: STORE_WAIT_MS,
  },
  {
    name: 'a certificate that nobody here trusts',
    args: (place) => ['data', at(place), '--endpoint-url', secure.endpoint, '--force-path-style'],
    exitCode: 9,
    line: /certificate.*; .*(--ca-bundle|CA bundle)/,
  },
  {
    name: 'https to a plain port',
    args: (place) => ['data', at(place), '--endpoint-url', plain.endpoint.replace('http:', 'https:')],
    exitCode: 9,
    line: /127\.0\.0\.1:\d+ .*; /,
    // The embedded server waits for the rest of what it takes for a request.
    timeoutMs: STORE_WAIT_MS,
  },
  {
    name: 'a directory that does not exist',
    args: (place) => ['data', join(place.root, 'none'), ...good],
    exitCode: 3,
    line: /none does not exist; create it: `mkdir -p/,
  },
  {
    name: 'a file instead of a directory',
    args: (place) => {
      writeFileSync(join(place.root, 'file'), '');
      return ['data', join(place.root, 'file'), ...good];
    },
    exitCode: 3,
    line: /file is not a directory/,
  },
  {
    name: 'a bad flag value',
    args: (place) => ['data', at(place), ...good, '--part-size', '8MB'],
    exitCode: 2,
    line: /--part-size 8MB: not a whole number; allowed/,
  },
  {
    name: 'a log directory that cannot be made',
    args: (place) => ['data', at(place), ...good, '-l', '/proc/log'],
    exitCode: 2,
    line: /--log-directory \/proc\/log cannot be written to/,
  },
];

// Several at once: most of their time is waiting.
t.jobs = 4;

for (const { name, args, env, exitCode, line, timeoutMs } of cases) {
  t.test(name, { buffered: true }, async (t) => {
    const place = makePlace(t, plain);
    const result = await place.command(args(place), {
      ...(env === undefined ? {} : { env }),
      timeoutMs: timeoutMs ?? ANSWER_WITHIN_MS,
    });
    checkRefusal(t, place, result, exitCode, line);
  });
}

for (const name of ['a bucket that does not exist', 'an endpoint that refuses connections', 'a wrong secret']) {
  t.test(`${name}, in the foreground`, async (t) => {
    const found = cases.find((row) => row.name === name);
    if (found === undefined) throw new Error(name);
    const place = makePlace(t, plain);
    const result = await place.command(
      [...found.args(place), '-f', '--no-log'],
      found.env === undefined ? {} : { env: found.env },
    );
    checkRefusal(t, place, result, found.exitCode, found.line);
  });
}

t.test('mounted already, and a mount whose daemon was killed', async (t) => {
  const place = makePlace(t, plain);
  const first = await place.command(['data', place.mountPoint, ...good, '--no-supervisor'], { timeoutMs: 20_000 });
  t.equal(first.code, 0, first.stderr);
  const pid = Number(/\(pid (\d+),/.exec(first.stdout)?.[1]);
  const second = await place.command(['data', place.mountPoint, ...good]);
  t.equal(second.code, 3);
  t.match(second.stderr, /^mount-s3x: \S+ is mounted already: s3:\/\/data\/ .*; .*mount-s3x unmount .*\n$/);
  t.equal(
    (await run('cat', ['/proc/self/mountinfo'])).stdout.split(place.mountPoint).length,
    2,
    'the first is untouched',
  );
  process.kill(pid, 'SIGKILL');
  // The last thread of a killed process may outlive the process's name in /proc: the mount is dead when it says so.
  await until('the mount is dead', async () =>
    (await run('stat', [place.mountPoint], { timeoutMs: 5000 })).stderr.includes('not connected'),
  );
  const third = await place.command(['data', place.mountPoint, ...good]);
  t.equal(third.code, 3);
  t.match(third.stderr, /^mount-s3x: \S+ is a mount whose daemon has died.*; .*umount -l .*\n$/);
  const unmounted = await place.command(['unmount', place.mountPoint]);
  t.equal(unmounted.code, 0, unmounted.stderr);
  t.notOk(isMounted(place.mountPoint));
});

/** Runs the command in a mount namespace of its own after `prepare` (shell). */
function inNamespace(place: Place, prepare: string, words: readonly string[]): Promise<Result> {
  const script = `mount --make-rprivate / && ${prepare} && exec "$@"`;
  return run('unshare', ['-m', 'sh', '-c', script, 'sh', ...words], {
    env: place.env,
    timeoutMs: ANSWER_WITHIN_MS,
    cwd: place.root,
  });
}

t.test('no /dev/fuse', { skip: needsNamespace }, async (t) => {
  const place = makePlace(t, plain);
  const command = [process.execPath, cliPath, 'data', place.mountPoint, ...good];
  const other = await inNamespace(place, 'mount --bind /dev/null /dev/fuse', command);
  checkRefusal(t, place, other, 4, /\/dev\/fuse is not the FUSE device; .*--device \/dev\/fuse/);
  const hidden = 'mkdir dev && mknod dev/null c 1 3 && mount --bind dev /dev';
  const none = await inNamespace(place, hidden, command);
  checkRefusal(t, place, none, 4, /\/dev\/fuse is missing.*; .*modprobe fuse/);
});

t.test(
  'an ordinary user without fusermount3',
  { skip: needsNamespace || (findProgram('setpriv', process.env) === undefined && 'needs setpriv(1)') },
  async (t) => {
    const place = makePlace(t, plain);
    const program = findProgram('fusermount3', {});
    const hide = program === undefined ? 'true' : `mount --bind /dev/null ${program}`;
    mkdirSync(join(place.root, 'run'));
    const chown = `chown -R 65534:65534 ${place.root} && chmod 666 /dev/fuse`;
    // The device's mode is changed on a copy: /dev of this namespace is a tmpfs with what the command needs.
    const device =
      'mkdir dev && mount -t tmpfs none dev && mknod -m 666 dev/null c 1 3 && mknod -m 666 dev/fuse c 10 229 && mount --move dev /dev';
    const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, cliPath];
    const result = await inNamespace(place, `${hide} && ${device} && ${chown}`, [
      ...asNobody,
      'data',
      place.mountPoint,
      ...good,
    ]);
    checkRefusal(t, place, result, 4, /fusermount3 is missing.*; install the package fuse3/);
  },
);
