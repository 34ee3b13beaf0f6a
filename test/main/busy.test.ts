/** Who uses a mount: on a /proc made of files, and on real processes that sit in a directory. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { describeHolders, findHolders } from '../../src/main/busy.js';

function directory(t: Test): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'mount-s3x-busy-')));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

interface FakeProcess {
  readonly comm: string;
  readonly cwd?: string;
  readonly root?: string;
  readonly exe?: string;
  readonly fd?: readonly string[];
  readonly maps?: string;
}

/** Links point to places that do not exist: reading them is all that is allowed. */
function fakeProc(t: Test, processes: Readonly<Record<number, FakeProcess>>): string {
  const root = directory(t);
  for (const [pid, { comm, cwd, root: rootLink, exe, fd, maps }] of Object.entries(processes)) {
    const at = join(root, pid);
    mkdirSync(join(at, 'fd'), { recursive: true });
    writeFileSync(join(at, 'comm'), `${comm}\n`);
    for (const [name, target] of Object.entries({ cwd: cwd ?? '/', root: rootLink ?? '/', exe: exe ?? '/bin/x' })) {
      symlinkSync(target, join(at, name));
    }
    fd?.forEach((target, number) => symlinkSync(target, join(at, 'fd', String(number))));
    writeFileSync(join(at, 'maps'), maps ?? '');
  }
  mkdirSync(join(root, 'sys'));
  return root;
}

t.test('every kind of use, and none by a neighbour', async (t) => {
  const procRoot = fakeProc(t, {
    10: { comm: 'bash', cwd: '/mnt/data/sub' },
    11: {
      comm: 'python3',
      fd: ['/dev/null', '/mnt/data/a b.tar', '/mnt/data'],
      maps: '7f00-7f01 r--s 00000000 00:32 5          /mnt/data/model.safetensors\n7f01-7f02 rw-p 00000000 00:00 0 \n',
    },
    12: { comm: 'chrooted', root: '/mnt/data' },
    13: { comm: 'runner', exe: '/mnt/data/bin/tool', maps: '7f00-7f01 r-xp 0 00:32 5 /mnt/data/bin/tool\n' },
    14: {
      comm: 'neighbour',
      cwd: '/mnt/data2',
      fd: ['/mnt/dat', 'socket:[1]', 'pipe:[/mnt/data]'],
      maps: '7f00-7f01 r--s 0 00:32 5 /mnt/data-old/x\n',
    },
    15: { comm: 'idle' },
    16: { comm: 'self', cwd: '/mnt/data' },
  });
  const report = await findHolders('/mnt/data', { procRoot, selfPid: 16 });
  t.strictSame(report, {
    holders: [
      { pid: 10, command: 'bash', uses: ['current directory sub'] },
      { pid: 11, command: 'python3', uses: ['open file a b.tar', 'open directory', 'mapped file model.safetensors'] },
      { pid: 12, command: 'chrooted', uses: ['root directory'] },
      { pid: 13, command: 'runner', uses: ['running program bin/tool'] },
    ],
    hidden: 0,
    incomplete: false,
  });
  t.equal(
    describeHolders(report),
    'bash (pid 10, current directory sub), python3 (pid 11, open file a b.tar, open directory), chrooted (pid 12, root directory), runner (pid 13, running program bin/tool)',
  );
});

t.test('bounds: uses of one process, named processes, time', async (t) => {
  const many: Record<number, FakeProcess> = {};
  for (let pid = 1; pid <= 8; pid++)
    many[pid] = { comm: `p${pid}`, fd: Array.from({ length: 50 }, (_, at) => `/m/f${at}`) };
  const procRoot = fakeProc(t, many);
  const report = await findHolders('/m', { procRoot });
  t.equal(report.holders[0]?.uses.length, 4);
  t.match(describeHolders(report), /p5 \(.*\), and 3 more$/);
  const late = await findHolders('/m', { procRoot, waitMs: -1 });
  t.strictSame(late, { holders: [], hidden: 0, incomplete: true });
  t.strictSame((await findHolders('/m', { procRoot: '/nonexistent' })).holders, []);
});

t.test('a real process with its directory and an open file there', async (t) => {
  const root = directory(t);
  mkdirSync(join(root, 'sub'));
  writeFileSync(join(root, 'file'), 'x');
  const child = spawn('sh', ['-c', 'exec 3<../file; echo ready; read line'], {
    cwd: join(root, 'sub'),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const { holders } = await findHolders(root);
  t.strictSame(holders, [{ pid: child.pid, command: 'sh', uses: ['current directory sub', 'open file file'] }]);
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  t.strictSame((await findHolders(root)).holders, []);
});
