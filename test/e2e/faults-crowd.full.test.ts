/**
 * Forty readers, again and again, of all kinds on a mount with the smallest pool, with random faults, some readers killed.
 */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { findPython } from './support/python.js';
import { runCrowd } from './support/run-crowd.js';

t.setTimeout(1_800_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('a crowd', { skip: noMount ?? 'no python3' });
} else {
  await t.test('40 readers, 20 more killed, five times', (t) =>
    runCrowd(t, python ?? '', { readers: 40, killed: 20, rounds: 5 }),
  );
}
