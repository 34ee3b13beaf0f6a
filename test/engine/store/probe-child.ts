/**
 * Opens a control plane in a process of its own and prints one line of JSON: for tests that look at what reaches the
 * screen, at start-up flags of Node, and at whether the process ends by itself. Options come as JSON in argv[2].
 */
import { systemClock } from '../../../src/base/clock.js';
import { silentLog } from '../../../src/base/log.js';
import { StoreError } from '../../../src/engine/store-error.js';
import { openControlPlane } from '../../../src/engine/store/control-plane.js';
import type { StoreOptions } from '../../../src/engine/api.js';

const options = JSON.parse(process.argv[2] ?? '{}') as StoreOptions;
try {
  const plane = await openControlPlane(options, { clock: systemClock, log: silentLog });
  await plane.store.list({ prefix: '' });
  await plane.store.head('x');
  plane.close();
  process.stdout.write(JSON.stringify({ code: 'ok', region: plane.target.signingRegion }) + '\n');
} catch (error) {
  if (!(error instanceof StoreError)) throw error;
  process.stdout.write(JSON.stringify({ code: error.code, message: error.message }) + '\n');
}
