/**
 * A planned upgrade while a large file is written: what is in memory goes to the spool, the upload and its parts stay, and the
 * next daemon goes on. The writer sees a pause, and the bytes are right.
 */
import t from 'tap';
import { startWriter, wholeVersion } from '../../support/crash/checkpoints.js';
import { whyNoMount } from '../../support/mount.js';
import { findPython } from '../support/python.js';
import { storeView } from '../support/store-view.js';
import { BUCKET, startCrashBench } from './crash-bench.js';

const MIB = 1024 * 1024;

t.setTimeout(300_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount !== undefined || python === undefined) {
  t.pass('upgrade', { skip: noMount ?? 'no python3' });
} else {
  t.test('300 MiB with upgrades in the middle: a pause, and nothing else', async (t) => {
    const bench = await startCrashBench(t, python, {
      data: { largeFiles: 1, largeBytes: MIB, treeDirectories: 1, treeFilesEach: 1, manyNames: 1 },
    });
    const { mount, server, seed } = bench;
    const view = storeView(server, BUCKET);
    t.teardown(() => view.close());
    const bytes = 300 * MIB;
    const writer = startWriter(python, { role: 'once', name: 'checkpoint', bytes, seed, mountPath: mount.path });
    t.teardown(async () => void (await writer.finish(0)));
    while (writer.told.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    for (let upgrades = 0; upgrades < 2; upgrades++) {
      await new Promise((resolve) => setTimeout(resolve, 700));
      const killed = await mount.kill('upgrade');
      await mount.nextDaemon(killed.pid);
    }
    t.ok(await writer.finish(120_000), 'it finishes', { log: mount.log().slice(-3000) });
    t.same(
      writer.told.filter(({ state }) => state === 'error'),
      [],
      'no error',
    );
    const takenOver = mount.log().match(/"handles":1,"lost":0/g) ?? [];
    t.ok(takenOver.length > 0, `${takenOver.length} of the upgrades fell into the writing`);
    const body = await view.get('checkpoint');
    t.equal(body?.length, bytes);
    t.equal(body && wholeVersion('once', body), 1, 'the bytes are right');
    t.same(await view.uploads(), [], 'no upload is left');
  });
}
