/**
 * The directory that relative paths of the command line mean. It may have been deleted under the shell: then nothing that asks for it
 * later (libraries do while they load) is to fail. Absolute paths work, `..` is what it was, and `.` is what the kernel calls it:
 * "/where/it/was (deleted)", which does not exist.
 * Loaded before everything else. Refuses to let a relative path mean something in another directory.
 */
import { readlinkSync } from 'node:fs';

function findCurrentDirectory(): string {
  try {
    return process.cwd();
  } catch {
    const name = readlinkSync('/proc/self/cwd');
    process.chdir('/');
    return name;
  }
}

export const currentDirectory = findCurrentDirectory();
