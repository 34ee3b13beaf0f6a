/**
 * Sixteen readers of all kinds on a mount with the smallest pool, with random faults, some readers killed.
 */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { findPython } from './support/python.js';
import { runCrowd } from './support/run-crowd.js';

t.setTimeout(600_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('a crowd', { skip: noMount ?? 'no python3' });
} else {
  await t.test('16 readers, 4 more killed', (t) => runCrowd(t, python ?? '', { readers: 16, killed: 4, rounds: 1 }));
}
