/**
 * Who flushes a written file, on a real mount: every way in which a descriptor of a file that is being written can be
 * closed (kernel facts 17, 18, 31 and 32), as root and as an ordinary user; and /proc as text for what needs none.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Processes } from '../../src/fuse/processes.js';
import { noMountReason, runProgram, startServer, type MountedServer } from '../support/fuse-mount.js';
import { runsWithUserDevFuse } from '../support/user-dev-fuse.js';
import type { Witnessed } from '../support/witnessed-fs.js';

const NOBODY = 65534;

/** How a Python program that writes 10 bytes to `f` goes on, and the FLUSHes that follow: who and how many bytes. */
const CASES: Readonly<Record<string, readonly [program: string, flushes: readonly string[]]>> = {
  close: ['f.close()', ['opener 10']],
  'fork in mid-write, the child exits': [
    'if os.fork() == 0: os._exit(0)\nos.wait(); f.write(b"x" * 5); f.close()',
    ['other 10', 'opener 15'],
  ],
  'fork in mid-write, the child is killed': [
    'pid = os.fork()\nif pid == 0: time.sleep(60)\nos.kill(pid, 9); os.wait(); f.close()',
    ['other 10', 'opener 10'],
  ],
  'fork, the parent exits first, the child closes': [
    'r, w = os.pipe()\nif os.fork() == 0:\n  os.close(w); os.read(r, 1); f.write(b"x"); os._exit(0)\nos._exit(0)',
    ['opener 10', 'other 11'],
  ],
  'dup, and the copy is closed': ['os.close(os.dup(f.fileno())); f.write(b"x"); f.close()', ['opener 10', 'opener 11']],
  'closed by another thread': [
    'import threading\nthread = threading.Thread(target=f.close); thread.start(); thread.join()',
    ['opener 10'],
  ],
  'opened by a thread that is gone': [
    'import threading\ndef go():\n  global g\n  g = open(sys.argv[1] + ".2", "wb", 0); g.write(b"y")\n' +
      'thread = threading.Thread(target=go); thread.start(); thread.join(); g.close(); f.close()',
    ['opener 1', 'opener 10'],
  ],
  'normal exit without close': ['os._exit(0)', ['opener 10']],
  'exit with a code': ['os._exit(11)', ['opener 10']],
  'an exception, which closes': ['raise SystemExit(3)', ['opener 10']],
  'exec, which closes': ['os.execv("/bin/true", ["true"])', ['opener 10']],
  'exec with the descriptor': [
    'os.set_inheritable(f.fileno(), True); os.execv("/bin/sh", ["sh", "-c", f"echo >&{f.fileno()}"])',
    ['opener 11', 'opener 11'],
  ],
  SIGKILL: ['os.kill(os.getpid(), 9); time.sleep(60)', ['killed 10']],
  SIGTERM: ['os.kill(os.getpid(), 15); time.sleep(60)', ['killed 10']],
  'SIGINT, not caught': ['signal.signal(2, signal.SIG_DFL); os.kill(os.getpid(), 2); time.sleep(60)', ['killed 10']],
  'SIGINT as an exception: Python ends by the signal': ['os.kill(os.getpid(), 2); time.sleep(60)', ['opener 10']],
  SIGSEGV: ['os.kill(os.getpid(), 11); time.sleep(60)', ['killed 10']],
  SIGABRT: ['os.abort()', ['killed 10']],
  SIGHUP: ['os.kill(os.getpid(), 1); time.sleep(60)', ['killed 10']],
  'SIGKILL with threads': [
    'import threading\n[threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(4)]\n' +
      'os.kill(os.getpid(), 9); time.sleep(60)',
    ['killed 10'],
  ],
  'exit with threads': [
    'import threading\n[threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(4)]\nos._exit(0)',
    ['opener 10'],
  ],
};

const PREAMBLE = 'import os, sys, signal, time, resource\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n';

async function flushesOf(server: MountedServer, least: number): Promise<string[]> {
  const seen: Witnessed[] = [];
  // The last FLUSH may come after the program's end is known: a child's.
  for (let tries = 0; seen.length < least && tries < 200; tries++) {
    const { flushes } = (await server.command({ do: 'flushes' })) as { flushes: Witnessed[] };
    seen.push(...flushes);
    if (seen.length < least) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return seen.map(({ by, bytes }) => `${by} ${bytes}`);
}

async function allCases(t: Test, server: MountedServer, uid: number | undefined): Promise<void> {
  let file = 0;
  for (const [name, [program, flushes]] of Object.entries(CASES)) {
    const path = `${server.mountPoint}/${file++}`;
    const opens = `f = open(sys.argv[1], "wb", 0)\nf.write(b"x" * 10)\n`;
    const result = await runProgram('python3', ['-c', PREAMBLE + opens + program, path], {
      cwd: '/',
      ...(uid === undefined ? {} : { uid }),
    });
    t.same(await flushesOf(server, flushes.length), flushes, `${name} ${result.stderr.trim()}`);
  }
}

t.test('what /proc says, as text', (t) => {
  const procRoot = t.testdir({
    '10': {
      status: 'Name:\ta\nTgid:\t10\nPid:\t10\nUid:\t1000\t1000\t1000\t1000\nVmPeak:\t    9 kB\n',
    },
    // A thread of 10 that exits, under a name that tries to be a stat line; we may not see why.
    '11': { status: 'Name:\t) S 1 (\nTgid:\t10\nPid:\t11\nUid:\t1000\t1000\t1000\t1000\n' },
    '20': { status: 'Name:\tb\nTgid:\t20\nPid:\t20\nUid:\t0\t0\t0\t0\nVmPeak:\t    9 kB\n' },
  });
  const task = (exitCode: number): void => {
    const fields = ['S', ...Array.from({ length: 48 }, (_, at) => (at === 5 ? '4194572' : '1')), String(exitCode)];
    mkdirSync(join(procRoot, '10/task/11'), { recursive: true });
    writeFileSync(join(procRoot, '10/task/11/stat'), `11 () S 1 () ${fields.join(' ')}\n`);
  };
  const root = new Processes({ procRoot, euid: 0 });
  const user = new Processes({ procRoot, euid: 1000 });
  const other = new Processes({ procRoot, euid: 1001 });
  t.equal(root.openerOf(11), 10, 'the process of a thread');
  t.equal(root.openerOf(0), 0, 'of another pid namespace');
  t.equal(root.openerOf(99), 0, 'hidden');
  t.equal(root.flushedBy(10, 10), 'opener');
  t.equal(root.flushedBy(20, 10), 'other');
  for (const [pid, opener] of [
    [0, 10],
    [10, 0],
    [99, 10],
  ] as const) {
    t.equal(root.flushedBy(pid, opener), 'unknown', `${pid} of ${opener}`);
  }
  for (const [exitCode, by, byOthers] of [
    [0, 'opener', 'unknown'],
    [9, 'killed', 'killed'],
    [11 | 0x80, 'killed', 'killed'],
    [256, 'opener', 'opener'],
  ] as const) {
    task(exitCode);
    t.equal(root.flushedBy(11, 10), by, `exit code ${exitCode}`);
    t.equal(user.flushedBy(11, 10), by, 'as the same user');
    t.equal(other.flushedBy(11, 10), byOthers, 'as another user, to whom a code of 0 may be any');
  }
  t.end();
});

if (runsWithUserDevFuse(import.meta.url)) mounts();

function mounts(): void {
  const skip = noMountReason() ?? false;

  t.test('who flushes, as root', { skip }, async (t) => {
    const server = await startServer(t, { witness: true, readers: 2 });
    await allCases(t, server, undefined);
    await server.unmount();
  });

  t.test('who flushes, served by the same ordinary user', { skip }, async (t) => {
    const server = await startServer(t, { witness: true, readers: 2, uid: NOBODY });
    await allCases(t, server, NOBODY);
    server.process.stdin?.write('{"do":"unmount"}\n');
    await server.ended;
  });
}
