/**
 * Random histories on a real mount, 2,000 sequences: reads, seeks, mappings, listings on several handles, with
 * objects replaced and deleted meanwhile in some. histories.test.ts runs some of them.
 */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { findPython } from './support/python.js';
import { runHistories, type HistoryPlan } from './support/run-histories.js';

t.setTimeout(3_600_000);

const plans: readonly HistoryPlan[] = [
  { mode: 'static', metadataTtl: 'minimal', memoryTarget: 256, sequences: 500 },
  { mode: 'static', metadataTtl: '60', sequences: 250 },
  { mode: 'static', metadataTtl: 'indefinite', memoryTarget: 256, sequences: 250 },
  { mode: 'changing', metadataTtl: 'minimal', memoryTarget: 256, sequences: 400 },
  { mode: 'changing', metadataTtl: 'minimal', sequences: 200 },
  { mode: 'changing', metadataTtl: '60', memoryTarget: 256, sequences: 200 },
  { mode: 'changing', metadataTtl: 'indefinite', sequences: 200 },
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
