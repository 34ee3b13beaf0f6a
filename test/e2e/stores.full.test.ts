/**
 * The mount on stores of other makers, as users have them (support/run-store.ts): those whose program is on this machine, the one that
 * the environment names, and the embedded server, which shows that the program itself is right. docs/STORES.md has what came of it.
 */
import t from 'tap';
import { whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { givenStore, OTHER_STORES, startOtherStore } from '../support/servers/other-stores.js';
import { startVersitygw } from '../support/servers/versitygw.js';
import { findPython } from './support/python.js';
import { runStore } from './support/run-store.js';

t.setTimeout(1_500_000);

const noMount = whyNoMount();
const python = findPython();
if (noMount !== undefined || python === undefined) {
  t.pass('stores', { skip: noMount ?? 'no python3' });
  process.exit();
}

/** `MOUNT_S3X_TEST_STORES=minio,moto`: only these. */
const wanted = process.env['MOUNT_S3X_TEST_STORES']?.split(',');
const starts = {
  embedded: async () => ({ ...(await startBuiltinProcess()), flags: [] }),
  versitygw: async () => ({ ...(await startVersitygw()), flags: [] }),
  given: () => Promise.resolve(givenStore()),
  ...Object.fromEntries(OTHER_STORES.map((name) => [name, () => startOtherStore(name)])),
};

for (const [name, start] of Object.entries(starts)) {
  if (wanted !== undefined && !wanted.includes(name)) {
    t.comment(`skipped: ${name}: not among $MOUNT_S3X_TEST_STORES`);
    continue;
  }
  const server = await start();
  if ('skip' in server) {
    t.pass(name, { skip: server.skip });
    continue;
  }
  // A given store keeps what earlier runs left.
  const bucket = `stores-${Date.now().toString(36)}`;
  await t.test(name, (t) => runStore(t, { ...server, server, python, bucket }));
  await server.stop();
}
