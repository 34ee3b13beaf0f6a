/** Questions to a running mount over its socket: answers, progress, failures, hanging up, nonsense. */
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { EACCES, EINVAL, EIO, EPERM, ErrnoError } from '../../src/base/errno.js';
import { askControl, ControlError, openControlSocket, type ControlHandlers } from '../../src/main/control-socket.js';
import { runProgram } from '../support/fuse-mount.js';
import { LineLog } from '../support/memory-store-kernel.js';

async function listening(t: Test, handlers: ControlHandlers): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 's3x-control-'));
  const path = join(directory, 'x.sock');
  const close = await openControlSocket(path, handlers, new LineLog());
  t.teardown(async () => {
    await close();
    rmSync(directory, { recursive: true });
  });
  return path;
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return await work.then(() => undefined).catch((error: unknown) => error);
}

function promiseOf(): { promise: Promise<void>; resolve: () => void } {
  let settle: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => (settle = resolve));
  return { promise, resolve: () => settle() };
}

void t.test('a result, and progress before it', async (t) => {
  const path = await listening(t, {
    count: (request, progress) => {
      for (let at = 1; at <= 3; at++) progress({ at });
      return Promise.resolve({ until: request['until'] });
    },
  });
  const seen: unknown[] = [];
  t.same(await askControl(path, { command: 'count', until: 3 }, (state) => seen.push(state)), { until: 3 });
  t.same(seen, [{ at: 1 }, { at: 2 }, { at: 3 }]);
  t.equal(statSync(path).mode & 0o777, 0o600, 'for its owner only');
});

void t.test('a failure travels with its errno', async (t) => {
  const path = await listening(t, {
    refuse: () => Promise.reject(new ErrnoError(EACCES, 'not you')),
    broken: () => Promise.reject(new TypeError('a bug')),
  });
  for (const [command, errno, message] of [
    ['refuse', EACCES, 'not you'],
    ['broken', EIO, 'a bug'],
    ['unknown', EINVAL, 'this daemon knows no command unknown'],
    ['constructor', EINVAL, 'this daemon knows no command constructor'],
  ] as const) {
    const error = await failure(askControl(path, { command }));
    t.ok(error instanceof ControlError);
    t.match(error, { errno, message });
  }
});

void t.test('who hangs up aborts the command', async (t) => {
  const aborted = promiseOf();
  const begun = promiseOf();
  const path = await listening(t, {
    wait: (_request, _progress, signal) => {
      signal.addEventListener('abort', () => aborted.resolve());
      begun.resolve();
      return aborted.promise;
    },
  });
  const socket = createConnection(path);
  socket.write('{"command":"wait"}\n');
  await begun.promise;
  socket.destroy();
  await aborted.promise;
  t.pass('aborted');
});

void t.test('nonsense is answered, and a line without end is cut off', async (t) => {
  const path = await listening(t, {});
  const say = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = createConnection(path);
      let heard = '';
      socket.setEncoding('utf8').on('data', (piece: string) => (heard += piece));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(heard));
      socket.write(text);
    });
  t.match(await say('hello\n'), /the question is no JSON/);
  t.match(await say('[]\n'), /names no command/);
  t.equal(await say('x'.repeat(100_000)), '');
});

void t.test('only the owner and root may ask', async (t) => {
  const owner = process.geteuid?.() ?? 0;
  for (const [what, peer, allowed] of [
    ['the owner', { pid: 1, uid: owner, gid: 0 }, true],
    ['root', { pid: 1, uid: 0, gid: 0 }, true],
    ['somebody else', { pid: 77, uid: owner + 1, gid: 0 }, false],
    ['who cannot be asked', undefined, false],
  ] as const) {
    const directory = mkdtempSync(join(tmpdir(), 's3x-control-'));
    const path = join(directory, 'x.sock');
    const log = new LineLog();
    let asked = 0;
    const close = await openControlSocket(path, { hello: () => Promise.resolve(++asked) }, log, {
      askPeer: () => peer,
    });
    const answer = await failure(askControl(path, { command: 'hello' }));
    t.equal(asked, allowed ? 1 : 0, what);
    if (!allowed) {
      t.match(answer, { errno: EPERM, message: /^refused: / }, what);
      t.equal(log.lines.length, 1, 'and the log says so');
    }
    await close();
    rmSync(directory, { recursive: true });
  }
});

const asRoot = process.geteuid?.() === 0;

void t.test(
  'the kernel says who asks: another user is turned away although the file lets everybody in',
  { skip: asRoot ? false : 'needs root, to ask as another user' },
  async (t) => {
    const path = await listening(t, { hello: () => Promise.resolve('hello') });
    chmodSync(path, 0o666);
    chmodSync(dirname(path), 0o755);
    const program = `
      const socket = require('node:net').createConnection(${JSON.stringify(path)});
      socket.write('{"command":"hello"}\\n');
      socket.on('error', () => undefined);
      socket.pipe(process.stdout);`;
    const asUser = async (uid: number): Promise<string> =>
      (await runProgram(process.execPath, ['-e', program], { uid, cwd: '/' })).stdout;
    t.match(await asUser(0), /"result":"hello"/);
    t.match(await asUser(65534), /refused: user 65534 \(process \d+\) is neither/);
  },
);

void t.test('nobody there', async (t) => {
  await t.rejects(askControl('/nonexistent/x.sock', { command: 'x' }), { code: 'ENOENT' });
});
