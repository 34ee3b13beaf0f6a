/**
 * Opens files of a spool directory. The directory is private, unless --spool-dir names one that others write to as well: there a
 * name may be a link to a file of somebody's, a pipe whose opening never ends, or somebody's made-up journal.
 * Refuses what is no plain file, and what is not of this process' user; root looks into a user's own directory, too.
 */
import { constants } from 'node:fs';
import { lstat, open, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isLocked, lockWhileOpen } from '../../fuse/libc.js';

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;

const HOW = {
  read: O_RDONLY,
  /** Bytes of a name that was never used. */
  make: O_RDWR | O_CREAT | O_EXCL,
  /** Bytes that are there, and go on. */
  change: O_RDWR,
  /** A journal that is there; made where it has gone. */
  append: O_WRONLY | O_APPEND | O_CREAT,
  /** A journal of a name that was never used. */
  begin: O_WRONLY | O_APPEND | O_CREAT | O_EXCL,
} as const;

export type HowToOpen = keyof typeof HOW;

/**
 * Shows everybody on this machine that the file is in use, until it is closed or this process ends: numbers of processes mean
 * nothing in another container that shares the directory. Does nothing where the file system has no locks.
 */
export function holdOpen({ fd }: FileHandle): void {
  tried(() => lockWhileOpen(fd));
}

/** False without the native part. */
function tried(locking: () => boolean): boolean {
  try {
    return locking();
  } catch {
    return false;
  }
}

/** Throws as open(2) does. */
export async function openSpoolFile(path: string, how: HowToOpen): Promise<FileHandle> {
  const handle = await open(path, HOW[how] | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    const facts = await handle.stat();
    if (!facts.isFile()) throw new Error('is no file');
    const uid = process.geteuid?.() ?? 0;
    const isOurs = facts.uid === uid || (uid === 0 && facts.uid === (await stat(dirname(path))).uid);
    if (!isOurs) throw new Error(`belongs to user ${facts.uid}`);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A text file there, and whether the process that writes it has it open (holdOpen). */
export interface SpoolText {
  readonly text: string;
  readonly writtenMs: number;
  readonly isHeld: boolean;
}

/** All of a text file there; throws as open(2) does, also when it was removed while it was read. */
export async function readSpoolText(path: string): Promise<SpoolText> {
  const handle = await openSpoolFile(path, 'read');
  try {
    // Before it is read: what is written until then is read, too.
    const isHeld = tried(() => isLocked(handle.fd));
    return { text: await handle.readFile('utf8'), writtenMs: (await lstat(path)).mtimeMs, isHeld };
  } finally {
    await handle.close();
  }
}
