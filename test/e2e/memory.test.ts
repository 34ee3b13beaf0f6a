/** A mount with the smallest memory target under streams, random reads and listings at once, for a few seconds. */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { findPython } from './support/python.js';
import { runMemoryLoad } from './support/run-memory-load.js';

t.setTimeout(240_000);

const noMount = whyNoMount();
const python = findPython();

t.test('--memory-target 256', { skip: noMount ?? (python ? false : 'no python3') }, async (t) => {
  const load = { seconds: 8, memoryTargetMib: 256, streamBytes: 4 * 1024 * 1024, entries: 20_000 };
  if (python) await runMemoryLoad(t, python, load);
});
