/**
 * Kills during checkpoint writes, a few: the twenty of the requirements are in checkpoints.full.test.ts.
 */
import t from 'tap';
import { whyNoMount } from '../../support/mount.js';
import { findPython } from '../support/python.js';
import { runCheckpoints } from './run-checkpoints.js';

t.setTimeout(300_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount !== undefined || python === undefined) {
  t.pass('checkpoints', { skip: noMount ?? 'no python3' });
} else {
  t.test('four kills during checkpoint writes', async (t) => {
    const figures = await runCheckpoints(t, python, { kills: [{ kind: 'SIGKILL', times: 4 }] });
    t.comment(JSON.stringify(figures));
  });
}
