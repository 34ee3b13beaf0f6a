/**
 * Real mounts on /dev/fuse, each served by a process of its own (test/support/fuse-server.ts): mounting and unmounting,
 * several reader threads, interrupts, notifications, failing handlers, and what ordinary users get.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, symlinkSync, unlinkSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { findMount } from '../../src/fuse/mountinfo.js';
import { checkMountPoint } from '../../src/fuse/mount.js';
import { unmountFuse } from '../../src/fuse/unmount.js';
import { mountFolder, noMountReason, runProgram, startServer, type MountedServer } from '../support/fuse-mount.js';
import { contract, type Feature } from './contract/contract.js';
import { mountedClient } from './contract/mounted-client.js';

const skip = noMountReason() ?? false;
const ATTEMPT = fileURLToPath(new URL('../support/mount-attempt.js', import.meta.url));

function pattern(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) buffer.writeUInt32LE(at >>> 2, at);
  return buffer;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

for (const later of [false, true]) {
  t.test(`the contract over /dev/fuse, handlers answer ${later ? 'later' : 'at once'}`, { skip }, (t) =>
    contract(t, async () => {
      // No time to live: every call reaches the file system.
      const server = await startServer(t, { readers: 3, later, ttlMs: 0 });
      return {
        client: mountedClient(server.mountPoint),
        features: new Set<Feature>(['exact-names', 'inode-numbers', 'times']),
        lookups: () => Promise.resolve(0),
        end: async () => {
          const ended = await server.unmount();
          t.match(ended, { handles: 0, destroyed: 1 });
          // The three deliberate throws, and nothing else.
          t.equal((ended['errors'] as string[]).filter((line) => !line.includes('has a bug')).length, 0);
        },
      };
    }),
  );
}

t.test('what /proc shows, with every character that a path may have', { skip }, async (t) => {
  const source = 's3://bucket/pre fix,comma=1\\/日本/';
  const server = await startServer(t, {
    folder: 'sp ace,comma\\back 日本',
    source,
    readOnly: true,
    extra: ['noatime'],
  });
  const record = findMount(server.mountPoint);
  t.match(record, { type: 'fuse.mount-s3x', source });
  t.ok(record?.options.includes('ro') && record.options.includes('noatime') && record.options.includes('nosuid'));
  t.ok(record?.superOptions.includes('default_permissions') && record.superOptions.includes('max_read=1048576'));
  t.equal(server.ready['readAhead'], null, 'read_ahead_kb could be set');
  t.equal(readFileSync(`/sys/class/bdi/${record?.major}:${record?.minor}/read_ahead_kb`, 'utf8').trim(), '1024');
  await t.rejects(fs.writeFile(`${server.mountPoint}/x`, ''), { code: 'EROFS' });
  await server.unmount();
  t.equal(findMount(server.mountPoint), undefined);
});

t.test('reads: through reader threads from resident blocks, and through the main thread', { skip }, async (t) => {
  const big = 9 * (1 << 20) + 12345;
  const server = await startServer(t, {
    readers: 3,
    files: { resident: big, fetched: big, empty: 0 },
    resident: ['resident'],
  });
  for (const name of ['resident', 'fetched']) {
    const path = `${server.mountPoint}/${name}`;
    const [cat, dd, direct] = await Promise.all([
      runProgram('sha256sum', [path]),
      runProgram('sh', ['-c', `dd if=${path} bs=100k status=none | sha256sum`]),
      runProgram('sh', ['-c', `dd if=${path} bs=3M iflag=direct status=none | sha256sum`]),
    ]);
    const wanted = sha256(pattern(big));
    for (const { stdout } of [cat, dd, direct]) t.equal(stdout.slice(0, 64), wanted, name);
  }
  const stats = await server.command({ do: 'stats' });
  t.ok(Number(stats['hits']) >= 10, `${String(stats['hits'])} READs were answered by reader threads`);
  const requests = (stats['stats'] as { requestsByName: Record<string, number> }).requestsByName;
  t.ok((requests['READ'] ?? 0) >= 10, `${requests['READ']} by the main thread`);
  t.same(stats['errors'], []);
  t.equal((await runProgram('cat', [`${server.mountPoint}/empty`])).stdout, '');
  await server.unmount();
});

/** Starts a program that will wait for the file system, and waits until it does. */
async function waiting(
  server: MountedServer,
  command: string,
  parameters: readonly string[],
): Promise<{
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly gone: Promise<string | null>;
  readonly pid: number;
}> {
  const child = spawn(command, parameters, { stdio: 'ignore' });
  const gone = new Promise<string | null>((resolve) => child.once('close', (_code, by) => resolve(by)));
  const inFlight = async (): Promise<number> => {
    const { stats } = (await server.command({ do: 'stats' })) as { stats: { inFlight: number } };
    return stats.inFlight;
  };
  while ((await inFlight()) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  return { kill: (signal) => child.kill(signal), gone, pid: child.pid ?? 0 };
}

t.test('a process that waits for a LOOKUP gets away when it is interrupted (kernel fact 7)', { skip }, async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    const server = await startServer(t);
    const { kill, gone } = await waiting(server, 'cat', [`${server.mountPoint}/endless`]);
    kill(signal);
    t.equal(await gone, signal);
    const { stats } = (await server.command({ do: 'stats' })) as { stats: { interrupts: number; inFlight: number } };
    t.ok(stats.interrupts >= 1, `${signal}: INTERRUPT came`);
    t.equal(stats.inFlight, 0);
    await server.unmount();
  }
});

t.test('a process that waits for buffered bytes gets away; its READ does not (kernel fact 7)', { skip }, async (t) => {
  const server = await startServer(t, { files: { stuck: 'answered late' } });
  const { kill, gone } = await waiting(server, 'cat', [`${server.mountPoint}/stuck`]);
  kill('SIGINT');
  t.equal(await gone, 'SIGINT');
  // An INTERRUPT may have come for the FLUSH of the dying process, but none for its READ.
  const { stats } = (await server.command({ do: 'stats' })) as { stats: { inFlight: number } };
  t.equal(stats.inFlight, 1, 'the READ is still to be answered: its pages are locked');
  await server.command({ do: 'unstick' });
  t.equal(await fs.readFile(`${server.mountPoint}/stuck`, 'utf8'), 'answered late');
  await server.unmount();
});

t.test('O_DIRECT reads cannot be killed before they are answered (kernel fact 27)', { skip }, async (t) => {
  const server = await startServer(t, { files: { stuck: 'answered late' } });
  const path = `${server.mountPoint}/stuck`;
  const { kill, gone, pid } = await waiting(server, 'dd', [`if=${path}`, 'iflag=direct', 'bs=4096']);
  kill('SIGKILL');
  // Other requests are served meanwhile, so what is seen afterwards is not a moment too early.
  for (let n = 0; n < 20; n++) await fs.stat(path);
  t.match(readFileSync(`/proc/${pid}/stat`, 'latin1'), /\) D /, 'killed, and still waiting');
  const { stats } = (await server.command({ do: 'stats' })) as { stats: { interrupts: number } };
  t.equal(stats.interrupts, 0, 'no INTERRUPT is sent for them');
  await server.command({ do: 'unstick' });
  t.equal(await gone, 'SIGKILL');
  await server.unmount();
});

t.test('stored pages are read without a READ (kernel fact 9)', { skip }, async (t) => {
  const server = await startServer(t, {
    ttlMs: 1e9,
    files: { pushed: 3 * 4096 + 100 },
    openFlags: { keepCache: true },
  });
  const path = `${server.mountPoint}/pushed`;
  t.match(await server.command({ do: 'store', path: 'pushed' }), { errno: 2 }, 'ENOENT before the kernel knows it');
  await fs.stat(path);
  t.match(await server.command({ do: 'store', path: 'pushed' }), { errno: 0 });
  t.ok((await fs.readFile(path)).equals(pattern(3 * 4096 + 100)));
  t.equal((await fs.stat(path)).size, 3 * 4096 + 100);
  const { calls } = (await server.command({ do: 'stats' })) as { calls: string[] };
  t.same(
    calls.filter((call) => call.startsWith('read ')),
    [],
  );
  await server.unmount();
});

t.test(
  'a listing is kept with CACHE_DIR and KEEP_CACHE, not with CACHE_DIR alone (kernel fact 12)',
  { skip },
  async (t) => {
    for (const keepCache of [false, true]) {
      const server = await startServer(t, {
        ttlMs: 1e9,
        files: { a: 'x', b: 'y' },
        openFlags: { cacheDirectory: true, keepCache },
      });
      for (let n = 0; n < 3; n++) t.same(await fs.readdir(server.mountPoint), ['a', 'b']);
      const { calls } = (await server.command({ do: 'stats' })) as { calls: string[] };
      const listings = calls.filter((call) => /^readdir(plus)? 1 0$/.test(call)).length;
      t.equal(listings, keepCache ? 1 : 3);
      await server.unmount();
    }
  },
);

t.test('mmap', { skip }, async (t) => {
  const python = await runProgram('python3', ['-c', 'import mmap']).catch(() => undefined);
  if (python?.code !== 0) {
    t.comment('skipped: there is no python3');
    return;
  }
  const bytes = 5 * (1 << 20) + 77;
  const server = await startServer(t, { files: { mapped: bytes }, resident: ['mapped'] });
  const script =
    'import mmap,hashlib,sys\nwith open(sys.argv[1],"rb") as f:\n' +
    ' for access in (dict(prot=mmap.PROT_READ,flags=mmap.MAP_SHARED),dict(prot=mmap.PROT_READ,flags=mmap.MAP_PRIVATE)):\n' +
    '  print(hashlib.sha256(mmap.mmap(f.fileno(),0,**access)).hexdigest())';
  const { stdout } = await runProgram('python3', ['-c', script, `${server.mountPoint}/mapped`]);
  const wanted = sha256(pattern(bytes));
  t.equal(stdout, `${wanted}\n${wanted}\n`);
  await server.unmount();
});

t.test('notifications', { skip }, async (t) => {
  const server = await startServer(t, { ttlMs: 1e9, files: { name: 'version 1', other: 'x' } });
  const path = `${server.mountPoint}/name`;
  const notify = async (notification: object): Promise<number> =>
    Number((await server.command({ do: 'notify', notification }))['errno']);
  t.equal(await fs.readFile(path, 'utf8'), 'version 1');
  await server.command({ do: 'put', path: 'name', content: 'version two' });
  t.equal(await fs.readFile(path, 'utf8'), 'version 1', 'the kernel remembers the name');
  t.equal(await notify({ type: 'invalidateEntry', parent: 1, name: 'name', expireOnly: false }), 0);
  t.equal(await fs.readFile(path, 'utf8'), 'version two', 'until it is told');
  const { nodeId } = await server.command({ do: 'put', path: 'name', content: 'version III' });
  t.equal(await notify({ type: 'invalidateEntry', parent: 1, name: 'name', expireOnly: true }), 0);
  t.equal(await fs.readFile(path, 'utf8'), 'version III', 'expired is looked up again');
  t.equal(await notify({ type: 'invalidateInode', nodeId, offset: 0, lengthBytes: 0 }), 0);
  t.equal(
    await notify({ type: 'invalidateInode', nodeId: 999_999, offset: 0, lengthBytes: 0 }),
    2,
    'ENOENT: not known',
  );
  t.equal(await notify({ type: 'invalidateEntry', parent: 1, name: 'unheard-of', expireOnly: false }), 2);
  const negotiated = server.ready['negotiated'] as Record<string, unknown>;
  if (negotiated['hasIncrementEpoch'] === true) {
    await server.command({ do: 'put', path: 'name', content: 'version 4' });
    t.equal(await notify({ type: 'incrementEpoch' }), 0);
    t.equal(await fs.readFile(path, 'utf8'), 'version 4', 'a new epoch looks everything up again');
  } else t.comment('skipped: INC_EPOCH (this kernel is older than 7.44)');
  if (negotiated['hasResend'] === true) t.equal(await notify({ type: 'resend' }), 0);
  else t.comment('skipped: RESEND (this kernel does not offer it)');
  const { nodes } = (await server.command({ do: 'nodes' })) as { nodes: Record<string, number> };
  await fs.stat(`${server.mountPoint}/other`);
  t.equal(await notify({ type: 'delete', parent: 1, child: nodes['other'], name: 'other' }), 0);
  await server.unmount();
});

t.test('a node that the file system has forgotten is ESTALE, and nothing hangs', { skip }, async (t) => {
  const server = await startServer(t, { ttlMs: 0, files: { lost: 'x' } });
  await fs.stat(`${server.mountPoint}/lost`);
  t.match(await server.command({ do: 'drop', path: 'lost' }), { dropped: true });
  const { stderr } = await runProgram('cat', [`${server.mountPoint}/lost`], { env: { ...process.env, LC_ALL: 'C' } });
  t.match(stderr, /Stale file handle/);
  await server.unmount();
});

t.test('locks are the kernel’s own; polling and ioctl do no harm', { skip }, async (t) => {
  const server = await startServer(t, { files: { file: 'x' } });
  const path = `${server.mountPoint}/file`;
  t.equal((await runProgram('flock', ['-n', path, 'true'])).code, 0);
  t.equal((await runProgram('sh', ['-c', `test -t 0 < ${path}`])).code, 1, 'isatty is false');
  const { stats } = (await server.command({ do: 'stats' })) as { stats: { requestsByName: Record<string, number> } };
  t.equal(stats.requestsByName['IOCTL'], undefined, 'reader threads answered it (kernel fact 25)');
  t.equal(stats.requestsByName['SETLKW'], undefined);
  await server.unmount();
});

t.test('unmounting: busy, lazy, not mounted, by link', { skip }, async (t) => {
  const server = await startServer(t, { files: { file: 'x' } });
  const { mountPoint } = server;
  const inside = await fs.open(`${mountPoint}/file`);
  await t.rejects(unmountFuse(mountPoint, { lazy: false }), { kind: 'busy', message: /is in use/ });
  await unmountFuse(mountPoint, { lazy: true });
  t.equal(findMount(mountPoint), undefined, 'detached');
  t.equal((await inside.read(Buffer.alloc(1), 0, 1, 0)).bytesRead, 1, 'who is inside goes on');
  await inside.close();
  // A RELEASE need not arrive any more: the connection ends with the last user.
  await server.ended;
  await t.rejects(unmountFuse(mountPoint, { lazy: false }), { kind: 'not-mounted', message: /nothing/ });
  const second = await startServer(t);
  const link = `${second.mountPoint}-link`;
  symlinkSync(second.mountPoint.replace(/\/mnt$/, ''), link);
  t.teardown(() => unlinkSync(link));
  await unmountFuse(`${link}/mnt`, { lazy: false });
  await second.ended;
});

t.test('what is in the way', { skip }, async (t) => {
  await t.rejects(checkMountPoint('/nowhere/at/all'), {
    kind: 'mount-point',
    remedy: /mkdir -p/,
    message: /does not exist/,
  });
  await t.rejects(checkMountPoint('/etc/passwd'), { kind: 'mount-point', message: /not a directory/ });
  const server = await startServer(t, { source: 's3://mine/' });
  await t.rejects(checkMountPoint(server.mountPoint), { kind: 'already-mounted', message: /s3:\/\/mine\// });
  const gone = new Promise((resolve) => server.process.once('close', resolve));
  server.process.kill('SIGKILL');
  await gone;
  await t.rejects(checkMountPoint(server.mountPoint), { kind: 'stale-mount', remedy: /unmount/, message: /dead/ });
  await unmountFuse(server.mountPoint, { lazy: true });
  t.match(await checkMountPoint(server.mountPoint), { path: server.mountPoint });
});

t.test('mount options that nobody knows are named', { skip }, async (t) => {
  const folder = mountFolder(t);
  const { stdout } = await runProgram(process.execPath, [ATTEMPT, folder, JSON.stringify({ extra: ['bogus=1'] })]);
  t.match(JSON.parse(stdout), { kind: 'option', message: /"bogus=1"/ });
  const ok = await runProgram(process.execPath, [ATTEMPT, folder, JSON.stringify({ extra: ['noexec', '_netdev'] })]);
  t.match(JSON.parse(ok.stdout), { kind: 'ok' });
});

t.test(
  'a daemon that breaks an invariant really ends, and its callers get errors (kernel fact 2)',
  { skip },
  async (t) => {
    const server = await startServer(t, { files: { file: 'x' } });
    const gone = new Promise((resolve) => server.process.once('close', (_code, signal) => resolve(signal)));
    server.process.stdin?.write('this is no JSON\n');
    t.equal(await gone, 'SIGKILL');
    await t.rejects(fs.stat(`${server.mountPoint}/file`), { code: 'ENOTCONN' });
  },
);
