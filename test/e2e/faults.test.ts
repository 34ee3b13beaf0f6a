/**
 * Reading through a real mount while the server misbehaves: a part of the table in support/fault-cases.ts that takes
 * about a minute. faults.full.test.ts runs all of it. Flipped bytes of the right length are in faults-flipped.test.ts:
 * only checksums can tell, so the objects must have some.
 */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { faultCases } from './support/fault-cases.js';
import { findPython } from './support/python.js';
import { runControlFaults, runFaultCases, runRefusals, runRestarts, startFaultBench } from './support/run-faults.js';

/** Coprime to the table's inner lengths, so that every kind, place and access comes. */
const EVERY = 7;

/** Take half a minute and more each: in the full set only. */
const long = /for ever|one byte an answer|beyond the time-out|drip/;

t.setTimeout(600_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('faults', { skip: noMount ?? 'no python3' });
} else {
  const cases = faultCases().filter(({ name }, at) => at % EVERY === 0 && !long.test(name));
  const bench = await startFaultBench(t, python ?? '', cases);
  await t.test(`${cases.length} cases of faults in bodies and heads`, (t) => runFaultCases(t, bench, cases));
  await t.test('the server is gone for a while', (t) => runRestarts(t, bench, ['sequential', 'small']));
  await t.test('credentials are refused for a while', (t) => runRefusals(t, bench, ['sequential']));
  await t.test('faults of HEAD and LIST', (t) => runControlFaults(t, bench));
}
