/**
 * The binding behind fuse-native: the part of the contract that it can express, exact lookup counts by path, and what is
 * said when a library is missing. What it leaves out is listed in src/fuse/native/mount.ts.
 */
import * as fs from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { silentLog } from '../../src/base/log.js';
import { findMount } from '../../src/fuse/mountinfo.js';
import { loadFuseNative } from '../../src/fuse/native/library.js';
import { nativeOperations } from '../../src/fuse/native/operations.js';
import { unmountFuse } from '../../src/fuse/unmount.js';
import { mountFolder, noMountReason, runProgram, startServer } from '../support/fuse-mount.js';
import { MemoryFs } from '../support/memory-fs.js';
import { contract, type Feature } from './contract/contract.js';
import { mountedClient } from './contract/mounted-client.js';

const PROGRAM = fileURLToPath(new URL('../support/native-server.js', import.meta.url));
const ATTEMPT = fileURLToPath(new URL('../support/mount-attempt.js', import.meta.url));

function missing(): string | undefined {
  try {
    loadFuseNative();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const skip = noMountReason() ?? missing() ?? false;

for (const later of [false, true]) {
  t.test(`the contract behind fuse-native, handlers answer ${later ? 'later' : 'at once'}`, { skip }, (t) =>
    contract(t, async () => {
      const server = await startServer(t, { program: PROGRAM, later });
      return {
        client: mountedClient(server.mountPoint),
        features: new Set<Feature>(['exact-lookups']),
        lookups: async () => Number((await server.command({ do: 'stats' }))['lookups']),
        end: async () => {
          const ended = await server.unmount();
          t.match(ended, { handles: 0, destroyed: 1 });
        },
      };
    }),
  );
}

t.test('what /proc shows, and read-only', { skip }, async (t) => {
  const server = await startServer(t, { program: PROGRAM, readOnly: true, source: 's3://b/a,b/', extra: ['noatime'] });
  const record = findMount(server.mountPoint);
  t.match(record, { type: 'fuse.mount-s3x', source: 's3://b/a,b/' });
  t.ok(record?.options.includes('ro') && record.options.includes('nosuid') && record.options.includes('noatime'));
  await t.rejects(fs.writeFile(`${server.mountPoint}/x`, ''), { code: 'EROFS' });
  await unmountFuse(server.mountPoint, { lazy: false });
  t.match(await server.ended, { destroyed: 1 }, 'it notices that somebody else unmounted it');
});

t.test('options that it cannot enforce are refused', { skip }, async (t) => {
  const folder = mountFolder(t);
  const attempt = async (options: object): Promise<unknown> => {
    const { stdout, stderr } = await runProgram(process.execPath, [
      ATTEMPT,
      folder,
      JSON.stringify({ native: true, ...options }),
    ]);
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as unknown;
  };
  t.match(await attempt({ allowRoot: true }), { kind: 'option', message: /--allow-root/ });
  t.match(await attempt({ extra: ['bogus'] }), { kind: 'option', message: /"bogus"/ });
});

t.test('a missing library is named with its package', (t) => {
  const failing = (message: string) => () => {
    throw new Error(message);
  };
  t.throws(() => loadFuseNative(failing('libfuse.so.2: cannot open shared object file: No such file or directory')), {
    kind: 'library',
    message: /libfuse\.so\.2/,
    remedy: /libfuse2/,
  });
  t.throws(() => loadFuseNative(failing("Cannot find module 'fuse-native'\nRequire stack:")), {
    kind: 'library',
    message: /fuse-native.*Cannot find module 'fuse-native'$/,
    remedy: /--omit=optional/,
  });
  t.end();
});

t.test('operations by path: errors, and no lookup left', async (t) => {
  const memory = new MemoryFs();
  memory.put('d', 'directory');
  memory.put('d/f', 'content');
  memory.put('throws-read', 'x');
  const errors: string[] = [];
  const operations = nativeOperations(memory, { ...silentLog, error: (_fields, message) => void errors.push(message) });
  const result = (run: (done: (result: number) => void) => void): Promise<number> => new Promise(run);
  t.equal(await result((done) => operations.getattr('/d/f', done)), 0);
  t.equal(await result((done) => operations.getattr('/d/nothing', done)), -2);
  t.equal(await result((done) => operations.getattr('/d/f/below', done)), -20);
  t.equal(await result((done) => operations.getattr(`/${'n'.repeat(300)}`, done)), -36);
  t.equal(await result((done) => operations.getattr('/bad\ufffdname', done)), -2);
  t.equal(await result((done) => operations.getattr('/throws', done)), -5);
  t.equal(errors.length, 1);
  const handle = await new Promise<number>((resolve) => operations.open('/d/f', 0, (_result, fd) => resolve(fd ?? -1)));
  t.equal(memory.lookups, 1, 'an open file keeps its node');
  const into = Buffer.alloc(10);
  t.equal(await result((done) => operations.read('/d/f', handle, into, 10, 3, done)), 4);
  t.equal(into.toString('utf8', 0, 4), 'tent');
  t.equal(await result((done) => operations.read('/d/f', 999, into, 10, 0, done)), -9);
  t.equal(await result((done) => operations.release('/d/f', handle, done)), 0);
  const bad = await new Promise<number>((resolve) => operations.open('/throws-read', 0, (_r, fd) => resolve(fd ?? -1)));
  t.equal(await result((done) => operations.read('/throws-read', bad, into, 10, 0, done)), -5);
  await result((done) => operations.release('/throws-read', bad, done));
  t.equal(memory.lookups, 0);
  t.equal(memory.handles.size, 0);
});
