/** The supervisor's socket at the end of the mount: who asked for that end hears that it came. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { askControl } from '../../../src/main/control-socket.js';
import { listenForCommands, type SupervisorCommands } from '../../../src/main/supervisor/supervisor-socket.js';

async function listening(t: Test, commands: SupervisorCommands): Promise<{ path: string; close(): Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 's3x-supervisor-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const uid = process.getuid?.() ?? 0;
  const owner = { uid, env: { XDG_RUNTIME_DIR: directory, HOME: directory } };
  const socket = await listenForCommands({ config: { mountPoint: join(directory, 'mnt') }, owner }, commands);
  if (!socket) throw new Error('no socket');
  return socket;
}

void t.test('an unmount that ends the mount is answered', async (t) => {
  let isGone = (): void => undefined;
  const gone = new Promise<void>((resolve) => (isGone = resolve));
  const socket = await listening(t, {
    upgrade: () => Promise.reject(new Error('not asked for')),
    unmount: async () => {
      isGone();
      await sleep(100);
    },
  });
  const asked = askControl(socket.path, { command: 'unmount', lazy: false });
  await gone;
  await Promise.all([asked, socket.close()]);
  t.pass('the daemon has ended meanwhile, and so has the supervisor');
});

void t.test('an upgrade that the end of the mount overtakes says so', async (t) => {
  let fail: (error: Error) => void = () => undefined;
  let hasBegun = (): void => undefined;
  const begun = new Promise<void>((resolve) => (hasBegun = resolve));
  const socket = await listening(t, {
    upgrade: () => {
      hasBegun();
      return new Promise((_resolve, reject) => (fail = reject));
    },
  });
  const asked = askControl(socket.path, { command: 'upgrade', daemonEntry: '/x.js' }).catch((error: unknown) => error);
  await begun;
  fail(new Error('the mount has ended'));
  await socket.close();
  t.match(await asked, { message: 'the mount has ended' });
});

void t.test('a command that never answers does not keep the supervisor', { timeout: 20_000 }, async (t) => {
  let hasBegun = (): void => undefined;
  const begun = new Promise<void>((resolve) => (hasBegun = resolve));
  const socket = await listening(t, {
    upgrade: () => {
      hasBegun();
      return new Promise(() => undefined);
    },
  });
  const asked = askControl(socket.path, { command: 'upgrade', daemonEntry: '/x.js' }).catch((error: unknown) => error);
  await begun;
  await socket.close();
  t.match(await asked, { message: 'the daemon ended before it answered' });
});
