/** The same for longer, with more data than any pool here holds and 100,000 names; and with more threads. */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { findPython } from './support/python.js';
import { runMemoryLoad } from './support/run-memory-load.js';

t.setTimeout(900_000);

const noMount = whyNoMount();
const python = findPython();
const skip = noMount ?? (python ? false : 'no python3');
/** For a shorter look by hand. */
const seconds = Number(process.env['MEMORY_LOAD_SECONDS'] ?? 45);

for (const [name, memoryTargetMib, flags] of [
  ['the smallest target', 256, []],
  ['the default target', 512, []],
  ['several net and reader threads', 512, ['--net-threads', '4', '--max-threads', '4']],
] as const) {
  t.test(name, { skip }, async (t) => {
    const load = { seconds, memoryTargetMib, streamBytes: 12 * 1024 * 1024, entries: 100_000, flags };
    if (python) await runMemoryLoad(t, python, load);
  });
}
