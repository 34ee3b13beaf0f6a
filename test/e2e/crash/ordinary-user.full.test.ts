/**
 * Kills of an ordinary user's mount: fusermount3 has mounted it, and the descriptor reaches the supervisor over a socket.
 */
import { existsSync } from 'node:fs';
import t from 'tap';
import type { Role } from '../../support/crash/load.js';
import { whyNoMount } from '../../support/mount.js';
import { runsWithUserDevFuse } from '../../support/user-dev-fuse.js';
import { runPython } from '../support/python.js';
import { smallData } from './crash-bench.js';
import { runKills } from './run-kills.js';

const NOBODY = 65534;
/** One that other users may run. */
const PYTHON = '/usr/bin/python3';
const roles: readonly Role[] = [
  'buffered',
  'direct',
  'mmap',
  'vectors',
  'handles',
  'list',
  'find',
  'slow-list',
  'churn',
];

t.setTimeout(600_000);

if (runsWithUserDevFuse(import.meta.url)) {
  t.test('as an ordinary user through fusermount3', async (t) => {
    const noUser = process.getuid?.() === 0 ? undefined : 'needs root to become another user';
    const noHelper = existsSync('/usr/bin/fusermount3') ? undefined : 'no fusermount3 (Debian package fuse3)';
    const why = whyNoMount() ?? noUser ?? noHelper;
    const probe =
      why === undefined ? await runPython(PYTHON, 'uring.py', [], { killMs: 20_000, uid: NOBODY }) : undefined;
    if (probe?.code !== 0) {
      t.pass('ordinary user', { skip: why ?? 'this tree cannot be read by other users' });
      return;
    }
    const kills = [{ kind: 'SIGKILL', times: 4 }] as const;
    await runKills(t, PYTHON, { kills, data: smallData, roles, uid: NOBODY });
  });
}
