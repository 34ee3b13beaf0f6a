/**
 * A few kills of every kind, for every run of the tests; kills.full.test.ts has them all. Nobody who reads, lists, holds or
 * changes names sees anything of them but a pause.
 */
import t from 'tap';
import { whyNoMount } from '../../support/mount.js';
import { whyNoOomKill } from '../../support/crash/out-of-memory.js';
import { findPython } from '../support/python.js';
import { runKills } from './run-kills.js';

const MIB = 1024 * 1024;

t.setTimeout(240_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount !== undefined || python === undefined) {
  t.pass('kills', { skip: noMount ?? 'no python3' });
} else {
  const noOom = whyNoOomKill();
  if (noOom !== undefined) t.comment(`skipped: ${noOom}`);
  t.test('the daemon is killed under load', (t) =>
    runKills(t, python, {
      kills: [
        { kind: 'SIGKILL', times: 3 },
        { kind: 'SIGABRT', times: 1 },
        { kind: 'oom', times: noOom === undefined ? 1 : 0 },
        { kind: 'upgrade', times: 1 },
      ],
      data: { largeFiles: 4, largeBytes: 32 * MIB, treeDirectories: 20, treeFilesEach: 20, manyNames: 2_000 },
    }).then(() => undefined),
  );
}
