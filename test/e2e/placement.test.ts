/** A real mount with --net-cpus: each net thread stays on the CPU that it was given, all other threads anywhere. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseCpuList } from '../../src/hwdetect/cpu-list.js';
import { run, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

const noMount = whyNoMount();
const allowed = (path: string): string => /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync(path, 'utf8'))?.[1] ?? '';
const cpus = parseCpuList(allowed('/proc/self/status')) ?? [];
const skip = noMount ?? (cpus.length < 2 ? 'one CPU only: there is nothing to choose' : false);

t.test('two net threads on the last CPU', { skip }, async (t) => {
  const server = await startBuiltinProcess({ buckets: ['data'] });
  t.teardown(() => server.stop());
  writeFileSync(join(server.dataDir, 'data/a.txt'), 'the bytes of a');
  const last = String(cpus.at(-1));
  const mount = await startMount(server, { bucket: 'data', flags: ['--net-threads', '2', '--net-cpus', last] });
  t.teardown(() => mount.stop());
  t.equal((await run('cat', [join(mount.path, 'a.txt')])).stdout, 'the bytes of a');
  const tasks = `/proc/${mount.pid}/task`;
  const lists = readdirSync(tasks).map((task) => allowed(join(tasks, task, 'status')));
  t.equal(lists.filter((list) => list === last).length, 2, 'net threads');
  t.equal(lists.filter((list) => list !== last).length, lists.length - 2, 'everybody else');
});
