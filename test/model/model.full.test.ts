/** The random-operation tester, at length. */
import t from 'tap';
import { findPython } from '../e2e/support/python.js';
import { whyNoMount } from '../support/mount.js';
import { plansOf, runModel } from './run-model.js';

t.setTimeout(3_000_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('random operations', { skip: noMount ?? 'no python3' });
} else {
  for (const plan of plansOf([11, 13, 15, 31, 51], 20_000))
    await t.test(`seed ${plan.seed}`, (t) => runModel(t, python ?? '', plan));
}
