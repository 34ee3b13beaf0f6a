/**
 * The two programs that people call, after what is done first of all (foresee.ts): everything else that they load hangs here.
 * Refuses to start anything by itself.
 */
import { programFile } from '../base/program-file.js';
import type { Prestarted } from '../main/prestart.js';
import { processIo } from './io.js';
import { runCommand } from './main.js';
import { runMountHelper } from './mount-helper.js';

/** `mount-s3x`. */
export function runProgram(ahead: Prestarted | undefined): Promise<void> {
  return runCommand(process.argv.slice(2), processIo(programFile('bin/mount-s3x-daemon.js'), ahead));
}

/** `mount.s3x`. */
export function runHelper(ahead: Prestarted | undefined): Promise<void> {
  return runMountHelper(process.argv.slice(2), processIo(programFile('bin/mount-s3x-daemon.js'), ahead));
}
