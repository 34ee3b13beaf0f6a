#!/usr/bin/env node
/**
 * The supervisor of a mount. Nobody calls it by hand: `mount-s3x` starts it with a channel, or becomes it (--foreground).
 * It is a file of its own because it must stay small: nothing of the SDK, the command line or the logger is loaded.
 */
import { fileURLToPath } from 'node:url';
import { programFile } from '../src/base/program-file.js';
import { currentOwner } from '../src/main/state-directory.js';
import { startStandby, type Standby } from '../src/main/supervisor/standby.js';

/** First of all, where the command waits for a daemon; --foreground has its configuration already. */
const starting: Promise<Standby | undefined> | undefined =
  process.send === undefined
    ? undefined
    : startStandby(fileURLToPath(programFile('bin/mount-s3x-daemon.js')), currentOwner());

async function run(): Promise<void> {
  const { runSupervisor } = await import('../src/main/supervisor/entry.js');
  await runSupervisor(starting);
}
void run();
