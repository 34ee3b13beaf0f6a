/**
 * Random histories on a real mount, about 300 sequences: reads, seeks, mappings, listings on several handles, with
 * objects replaced and deleted meanwhile in some. histories.full.test.ts runs many more.
 */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { findPython } from './support/python.js';
import { runHistories, type HistoryPlan } from './support/run-histories.js';

t.setTimeout(900_000);

const plans: readonly HistoryPlan[] = [
  { mode: 'static', metadataTtl: 'minimal', memoryTarget: 256, sequences: 80 },
  { mode: 'static', metadataTtl: 'indefinite', sequences: 70 },
  { mode: 'changing', metadataTtl: 'minimal', memoryTarget: 256, sequences: 80 },
  { mode: 'changing', metadataTtl: '60', sequences: 40 },
  { mode: 'changing', metadataTtl: 'indefinite', memoryTarget: 256, sequences: 40 },
];

const noMount = whyNoMount();
const python = findPython();
if (noMount ?? !python) {
  t.pass('histories', { skip: noMount ?? 'no python3' });
} else {
  for (const plan of plans) {
    const memory = plan.memoryTarget === undefined ? '' : `, --memory-target ${plan.memoryTarget}`;
    await t.test(`${plan.mode}, --metadata-ttl ${plan.metadataTtl}${memory}`, (t) =>
      runHistories(t, python ?? '', plan),
    );
  }
}
