/**
 * Writing through real mounts: what programs do to files, and what is in the bucket after each step (support/write_ways.py);
 * with plenty of memory, and with so little that bytes go through the spool.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { startMount, whyNoMount } from '../support/mount.js';
import { until } from '../support/until.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { findPython, runPython } from './support/python.js';

const CASES = [
  'fork_mid_write',
  'child_writes_on',
  'shell',
  'dup',
  'exits',
  'fsync',
  'append',
  'edit',
  'truncate',
  'sparse',
  'mappings',
  'handles',
  'direct',
  'rename_over',
  'many',
  'exclusive',
  'killed',
];

const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  'as it comes': [],
  'small memory, one thread of each kind': ['--memory-target', '256', '--max-threads', '1', '--net-threads', '1'],
};

t.setTimeout(300_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('writing', { skip: noMount ?? 'no python3' });
  process.exit();
}

const server = await startBuiltinProcess();
t.teardown(() => server.stop());

for (const [name, flags] of Object.entries(SETTINGS)) {
  t.test(name, async (t) => {
    const bucket = name.replaceAll(/[^a-z]+/g, '-');
    mkdirSync(join(server.dataDir, bucket));
    const spool = mkdtempSync(join(tmpdir(), 'mount-s3x-spool-'));
    t.teardown(() => rmSync(spool, { recursive: true, force: true }));
    const mount = await startMount(server, { bucket, flags: [...flags, '--spool-dir', spool] });
    let isStopped = false;
    t.teardown(() => (isStopped ? undefined : mount.stop()));
    for (const each of CASES) {
      const result = await runPython(python ?? '', 'write_ways.py', [mount.path, join(server.dataDir, bucket), each], {
        killMs: 60_000,
      });
      t.equal(result.stdout, 'ok\n', each, { stderr: result.stderr.slice(-1000), log: mount.log().slice(-2000) });
    }
    const left = (): number => readdirSync(spool).filter((file) => file.endsWith('.journal')).length;
    // What they wrote is put there after their end, which a busy machine takes its time for.
    await until('three journals', () => left() >= 3).catch((error: unknown) => t.comment(String(error)));
    t.equal(left(), 3, 'only what the killed writers wrote is left in the spool');
    isStopped = true;
    await mount.stop();
    t.notMatch(mount.log(), /"level":"error"|broken invariant/);
  });
}
