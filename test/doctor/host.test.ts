/** What doctor asks of the real machine: device, disks, ports, mounts; also of a mount whose daemon hangs. */
import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { askMount, fuseDeviceState, thisHost } from '../../src/doctor/host.js';
import { unusedPort } from '../engine/store/harness.js';
import { startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { makePlace } from '../cli/command.js';
import { folder } from './subject.js';

t.setTimeout(120_000);
const host = thisHost({ env: process.env, uid: process.getuid?.() ?? 0 });

t.test('the device', async (t) => {
  t.equal(await fuseDeviceState(join(folder(t), 'fuse')), 'missing');
  t.equal(await fuseDeviceState('/dev/null'), 'wrong');
  const file = join(folder(t), 'file');
  writeFileSync(file, '');
  t.equal(await fuseDeviceState(file), 'wrong');
  t.match(await fuseDeviceState('/dev/fuse'), /^(open|missing|denied)$/);
});

t.test('disks', async (t) => {
  const directory = folder(t);
  const space = await host.space(join(directory, 'not', 'there', 'yet'));
  t.match(space, { isMemory: Boolean });
  t.ok((space?.totalBytes ?? 0) > 0, 'of the nearest parent');
  t.equal((await host.space('/proc/self'))?.isMemory, false);
  t.equal((await host.space('/dev/shm'))?.isMemory, true);
  t.equal(await host.space('relative'), undefined);
});

t.test('ports and names', async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void server.close());
  t.type(await host.roundTripMs('127.0.0.1', (server.address() as AddressInfo).port), 'number');
  t.equal(await host.roundTripMs('127.0.0.1', await unusedPort()), undefined);
  t.match(await host.lookUp('localhost'), [/^(127\.0\.0\.1|::1)$/]);
  t.equal(host.ffiFailure(), undefined);
  t.not(host.version, 'unknown');
});

t.test('mounts: one that answers, one that is not there, one whose daemon stands still', async (t) => {
  t.equal(await askMount('/'), 'answers');
  t.equal(await askMount('/nonexistent'), 'ENOENT');
  const why = whyNoMount();
  if (why !== undefined) return void t.comment(`skipped: ${why}`);
  const server = await startBuiltinProcess({ buckets: ['data'] });
  t.teardown(() => server.stop());
  const place = makePlace(t, server);
  const mount = await startMount(server, { bucket: 'data', env: place.env, flags: ['--no-supervisor'] });
  t.teardown(() => mount.stop());
  t.equal(await askMount(mount.path), 'answers');
  process.kill(mount.pid, 'SIGSTOP');
  t.equal(await askMount(mount.path), 'silent');
  process.kill(mount.pid, 'SIGCONT');
  t.equal(await askMount(mount.path), 'answers', 'and again');
});
