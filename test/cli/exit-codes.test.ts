/**
 * Each documented exit code is provoked: here where that takes no mount, or by the test that is named, which must still hold
 * the words that provoke it. A new row of the table without a provocation fails.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { execute } from '../../src/cli/main.js';
import { exitCodeTable } from '../../src/main/exit-codes.js';
import { cliPath, projectRoot, whyNoMount } from '../support/mount.js';
import { makePlace } from './command.js';
import { fakeIo } from './fake-io.js';

/** In this process: a command line and its code. */
const here: Readonly<Record<number, readonly string[]>> = {
  0: ['--version'],
  1: ['rm', '/nonexistent/x/y'],
  2: ['bucket', '/mnt', '--uid', 'x'],
  3: ['bucket', '/nonexistent'],
  12: ['stats', '/'],
};

/** By another test: its file and what stands in it. */
const elsewhere: Readonly<Record<number, readonly [file: string, words: string]>> = {
  4: ['test/cli/bad-input.test.ts', 'checkRefusal(t, place, none, 4,'],
  5: ['test/cli/bad-input.test.ts', 'exitCode: 5,'],
  6: ['test/cli/bad-input.test.ts', 'exitCode: 6,'],
  7: ['test/cli/bad-input.test.ts', 'exitCode: 7,'],
  8: ['test/cli/bad-input.test.ts', 'exitCode: 8,'],
  9: ['test/cli/bad-input.test.ts', 'exitCode: 9,'],
  10: ['test/main/background.test.ts', 't.equal(error.exitCode, 10);'],
  11: ['test/cli/mount-command.test.ts', 't.equal(busy.code, 11);'],
  13: ['test/e2e/supervisor.test.ts', 't.equal(mount.exitCode(), 13);'],
  14: ['test/cli/doctor.test.ts', 'EXIT_DOCTOR_WARNINGS);'],
  15: ['test/cli/doctor.test.ts', 'EXIT_DOCTOR_ERRORS);'],
};

/** Below, with a process. */
const below = [130];

t.test('every code is provoked once', (t) => {
  const provoked = [...Object.keys(here), ...Object.keys(elsewhere), ...below].map(Number);
  t.strictSame(
    provoked.sort((a, b) => a - b),
    exitCodeTable.map(({ code }) => code).sort((a, b) => a - b),
  );
  for (const [code, [file, words]] of Object.entries(elsewhere)) {
    t.ok(readFileSync(join(projectRoot, file), 'utf8').includes(words), `${code}: ${file}`);
  }
  t.end();
});

for (const [code, args] of Object.entries(here)) {
  t.test(`${code}: ${args.join(' ')}`, async (t) => {
    const io = fakeIo();
    t.equal(await execute(args, io), Number(code), io.complained.join());
    t.equal(io.complained.length, code === '0' ? 0 : 1);
  });
}

const noMount = whyNoMount();
t.test('130: Ctrl-C before the store has answered', { skip: noMount ?? false }, async (t) => {
  const place = makePlace(t);
  const sockets = new Set<Socket>();
  let asked = (): void => undefined;
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const mute = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => asked());
  });
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    mute.close();
  });
  const { port } = mute.address() as AddressInfo;
  const child = spawn(
    process.execPath,
    [cliPath, 'data', place.mountPoint, '--endpoint-url', `http://127.0.0.1:${port}`, '--force-path-style'],
    {
      env: {
        ...place.env,
        AWS_ACCESS_KEY_ID: 'k',
        AWS_SECRET_ACCESS_KEY: 's',
        AWS_REGION: 'us-east-1',
        MOUNT_S3X_REGISTRY: 'off',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  t.teardown(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (text: Buffer) => (said += text.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  await isAsked;
  child.kill('SIGINT');
  t.equal(await ended, 130, said);
  t.match(said, /^mount-s3x: .*interrupted \(SIGINT\).*; nothing is left mounted\n$/);
});
