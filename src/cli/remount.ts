/**
 * `mount -o remount,ro DIR` and `remount,rw`: the flags of a mount that is there. They are the kernel's: it refuses writes on
 * a read-only mount itself, and refuses to make it read-only while files are open for writing. Our own options (region,
 * memory-target, ...) cannot change this way; those that can change at all do so with `mount-s3x reload`.
 * Refuses rw where the daemon was started with --read-only: it would answer every write with EROFS.
 */
import { EBUSY, EPERM, errnoName } from '../base/errno.js';
import { mount } from '../fuse/libc.js';
import { remountFlags } from '../fuse/mount-options.js';
import { findMount, FUSE_TYPE } from '../fuse/mountinfo.js';
import { CommandError } from '../main/command-error.js';
import { EXIT_BUSY, EXIT_FAILURE, EXIT_FUSE, EXIT_NOT_MOUNTED } from '../main/exit-codes.js';
import { findAsked } from './ask-mount.js';
import type { CliIo } from './io.js';

/** Changes the flags that `words` (of -o) name. Throws CommandError. */
export async function remount(directory: string, words: readonly string[], io: CliIo): Promise<void> {
  const record = findMount(directory);
  if (record?.type !== FUSE_TYPE) {
    throw new CommandError(EXIT_NOT_MOUNTED, `${directory} is not a mount of mount-s3x`, 'mount it without `remount`');
  }
  if (words.includes('rw') && (await isReadOnlyByNature(directory, io))) {
    throw new CommandError(
      EXIT_FAILURE,
      `${directory} was mounted with --read-only, and its daemon writes nothing`,
      'unmount it and mount it again without that',
    );
  }
  const errno = await mount(record.source, directory, FUSE_TYPE, remountFlags(record.options, words), '');
  switch (errno) {
    case 0:
      return;
    case EBUSY:
      throw new CommandError(
        EXIT_BUSY,
        `${directory}: files are open for writing`,
        'end what writes there, then remount it read-only',
      );
    case EPERM:
      throw new CommandError(EXIT_FUSE, `${directory}: only root may remount`, 'run it as root');
    default:
      throw new CommandError(EXIT_FAILURE, `${directory}: the kernel does not remount it: ${errnoName(errno)}`);
  }
}

/** Whether the daemon says so; one that cannot be asked refuses writes by itself. */
async function isReadOnlyByNature(directory: string, io: CliIo): Promise<boolean> {
  try {
    const answer = await findAsked(directory, 'config', io).ask('config');
    if (typeof answer !== 'object' || answer === null || !('config' in answer)) return false;
    const { config } = answer;
    return typeof config === 'object' && config !== null && 'readOnly' in config && config.readOnly === true;
  } catch {
    return false;
  }
}
