/**
 * What a failed system call of the load generator means to the person who benchmarks: which file system cannot be measured
 * that way, and what to give instead. One table for making the data set and for measuring.
 * Refuses to hide a code that it does not know.
 */
import { CommandError } from '../../main/command-error.js';
import { EXIT_FAILURE } from '../../main/exit-codes.js';
import type { StepFailure } from '../../workload/steps.js';

interface Words {
  readonly what: string;
  readonly remedy: string;
}

const READ_WHAT_IS_THERE = 'read what is there with --files PATH, or give a directory that may be written';

const words: Readonly<Record<string, Words>> = {
  EROFS: { what: 'the file system is read-only', remedy: READ_WHAT_IS_THERE },
  EACCES: { what: 'this user may not write there', remedy: READ_WHAT_IS_THERE },
  EPERM: { what: 'this is not permitted there', remedy: READ_WHAT_IS_THERE },
  ENOSPC: { what: 'the file system is full', remedy: 'make room, or give a smaller --scale' },
  EDQUOT: { what: 'the quota is used up', remedy: 'make room, or give a smaller --scale' },
  ENOENT: { what: 'there is no such file or directory', remedy: 'give a directory that exists' },
  ENOTDIR: { what: 'that is no directory', remedy: 'give a directory' },
  ENOTCONN: {
    what: 'the mount is dead: its daemon has ended',
    remedy: 'unmount it with `mount-s3x unmount`, and mount it again',
  },
  ENODEV: { what: 'the mount ended while it was measured', remedy: 'look into its log' },
  EIO: { what: 'the file system reported an error of its own', remedy: 'look into its log' },
  EMFILE: { what: 'too many open files', remedy: 'raise it with `ulimit -n`' },
  ESTALE: { what: 'a file was changed by somebody else meanwhile', remedy: 'measure where nobody writes' },
};

/** `failure` in a sentence that names the path. */
export function describeFailure(failure: StepFailure): string {
  const known = words[failure.code];
  if (!known) return failure.message;
  return `${failure.path === '' ? '' : `${failure.path}: `}${known.what} (${failure.code})`;
}

/** The same as what ends the command. `doing`: "the data set cannot be made". */
export function commandErrorOf(failure: StepFailure, doing: string): CommandError {
  return new CommandError(EXIT_FAILURE, `${doing}: ${describeFailure(failure)}`, words[failure.code]?.remedy);
}
