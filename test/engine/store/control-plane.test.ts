/**
 * What a daemon that takes a mount over needs of the store before it serves: nothing of the bucket, and credentials, which it
 * waits for. The first daemon of a mount is told at once what is missing.
 */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../src/base/clock.js';
import { silentLog } from '../../../src/base/log.js';
import type { StoreOptions } from '../../../src/engine/api.js';
import { openControlPlane } from '../../../src/engine/store/control-plane.js';
import { isolateEnvironment, storeOptions, writeHomeFile } from './harness.js';

/** Nobody listens there. */
const options: StoreOptions = storeOptions({ endpointUrl: 'http://127.0.0.1:9', profile: 'p' });

/** Credentials from a program that fails the first `failures` times. */
function failingAtFirst(t: Test, failures: number): void {
  const home = isolateEnvironment(t);
  const asked = join(home, 'asked');
  const program = writeHomeFile(
    home,
    'keys.sh',
    `echo x >>${asked}; [ $(wc -l <${asked}) -gt ${failures} ] || exit 1\n` +
      `echo '{"Version":1,"AccessKeyId":"k","SecretAccessKey":"s"}'\n`,
  );
  writeHomeFile(home, '.aws/config', `[profile p]\ncredential_process = /bin/sh ${program}\nregion = us-east-1\n`);
}

t.test('who takes over waits for credentials, and does not ask the bucket', async (t) => {
  failingAtFirst(t, 2);
  // The clock's timers keep no process alive; in a daemon, its descriptors do.
  const alive = setInterval(() => undefined, 1_000);
  t.teardown(() => clearInterval(alive));
  const plane = await openControlPlane(options, { clock: systemClock, log: silentLog }, { knownRegion: 'eu-west-1' });
  t.teardown(() => plane.close());
  t.equal(plane.probe.region, 'eu-west-1');
  t.match(await plane.credentials.current(), { accessKeyId: 'k' });
});

t.test('the first daemon is told at once', async (t) => {
  failingAtFirst(t, 2);
  await t.rejects(openControlPlane(options, { clock: systemClock, log: silentLog }), { message: /credentials/ });
});
