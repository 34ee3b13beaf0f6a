/**
 * Kills where the supervisor finds less than it would like: /dev/shm full, missing or not writable, a runtime directory that
 * cannot be written, a mount namespace of its own. What a take-over needs has several places to lie in; where none is left
 * the mount says so at its start and does not die of it later.
 */
import t from 'tap';
import type { Role } from '../../support/crash/load.js';
import { whyNoMount } from '../../support/mount.js';
import { findPython } from '../support/python.js';
import { smallData } from './crash-bench.js';
import { runKills } from './run-kills.js';

const kills = [{ kind: 'SIGKILL', times: 3 }] as const;
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

t.setTimeout(900_000);

const noMount = whyNoMount() ?? (process.getuid?.() === 0 ? undefined : 'needs root for mount namespaces');
const python = findPython() ?? '';
if (noMount !== undefined || python === '') {
  t.pass('kills in bad places', { skip: noMount ?? 'no python3' });
  process.exit();
}

const noShm = 'mount -t tmpfs -o size=4k tmpfs /dev/shm && head -c 4096 /dev/zero > /dev/shm/full';
for (const [name, inNamespace] of [
  ['a mount namespace of its own', 'true'],
  ['/dev/shm is full', noShm],
  ['/dev/shm holds one page', 'mount -t tmpfs -o size=4k tmpfs /dev/shm'],
  ['/dev/shm holds 256 KiB', 'mount -t tmpfs -o size=256k tmpfs /dev/shm'],
  [
    '/dev/shm is not there',
    'mount -t tmpfs -o size=4k tmpfs /dev/shm && umount -l /dev/shm; mount -t proc proc /dev/shm',
  ],
  ['the runtime directory cannot be written', 'mount -t tmpfs -o ro tmpfs "$XDG_RUNTIME_DIR"'],
  ['neither can be written', `${noShm}; mount -t tmpfs -o ro tmpfs "$XDG_RUNTIME_DIR"`],
] as const) {
  t.test(name, async (t) => void (await runKills(t, python, { kills, data: smallData, roles, inNamespace })));
}
