/** The random-operation tester, briefly: model.full.test.ts runs longer, operations.py says how it works. */
import t from 'tap';
import { findPython } from '../e2e/support/python.js';
import { whyNoMount } from '../support/mount.js';
import { plansOf, runModel } from './run-model.js';

t.setTimeout(900_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('random operations', { skip: noMount ?? 'no python3' });
} else {
  for (const plan of plansOf([1, 2], 2_000)) await t.test(`seed ${plan.seed}`, (t) => runModel(t, python ?? '', plan));
}
