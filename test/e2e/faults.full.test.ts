/**
 * Reading through a real mount while the server misbehaves: the whole table of support/fault-cases.ts, the server gone
 * for a while under every way of reading, credentials refused, names under faults. About 300 cases.
 */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { accesses, faultCases } from './support/fault-cases.js';
import { findPython } from './support/python.js';
import { runControlFaults, runFaultCases, runRefusals, runRestarts, startFaultBench } from './support/run-faults.js';

/** Coprime to the table's inner lengths: every kind, place and access comes over HTTPS too. */
const HTTPS_EVERY = 3;

t.setTimeout(2_400_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('faults', { skip: noMount ?? 'no python3' });
} else {
  const cases = faultCases();
  const bench = await startFaultBench(t, python ?? '', cases);
  await t.test(`${cases.length} cases of faults in bodies and heads`, (t) => runFaultCases(t, bench, cases));
  await t.test('the server is gone for a while', (t) => runRestarts(t, bench, accesses));
  await t.test('credentials are refused for a while', (t) => runRefusals(t, bench, accesses));
  await t.test('faults of HEAD and LIST', (t) => runControlFaults(t, bench));
  await t.test('over HTTPS', async (t) => {
    const some = cases.filter((_, at) => at % HTTPS_EVERY === 0);
    const secure = await startFaultBench(t, python ?? '', some, { tls: true });
    await runFaultCases(t, secure, some);
    await runRestarts(t, secure, ['sequential', 'random']);
    await runControlFaults(t, secure);
  });
}
