/**
 * Twenty kills during checkpoint writes: never a visible partial object; every file is complete, or its writer got an error,
 * or `recover` offers it. Then the same with aborts and with upgrades, after which nobody may have seen an error.
 */
import t from 'tap';
import { whyNoMount } from '../../support/mount.js';
import { findPython } from '../support/python.js';
import { runCheckpoints } from './run-checkpoints.js';

t.setTimeout(600_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount !== undefined || python === undefined) {
  t.pass('checkpoints', { skip: noMount ?? 'no python3' });
} else {
  for (const kind of ['SIGKILL', 'SIGABRT', 'upgrade'] as const) {
    t.test(`${kind}, twenty times, during checkpoint writes`, async (t) => {
      const figures = await runCheckpoints(t, python, { kills: [{ kind, times: kind === 'SIGABRT' ? 5 : 20 }] });
      if (kind === 'upgrade') t.equal(figures.errors, 0, 'a planned upgrade costs nobody an error');
      t.comment(`${kind}: ${JSON.stringify(figures)}`);
    });
  }
}
