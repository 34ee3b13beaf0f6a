/**
 * The file that outlives daemons: made by the supervisor, without a name, inherited by each daemon of the mount. It lies in
 * memory (/dev/shm, else the runtime directory: the first that has room), where a write to a mapping costs what a write to
 * memory costs. Refuses to know what is in it but for the first page (page.ts).
 */
import { closeSync, ftruncateSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makePrivateDirectory, runtimeCandidates, type Owner } from '../state-directory.js';
import { newPage } from './page.js';

/**
 * What a place must have free to be taken before others: a mount with a hundred thousand directories and handles. Containers
 * give /dev/shm 64 MiB, which a data loader can use up.
 */
const FREE_BYTES_MIN = 16 * 1024 * 1024;

/** Opens a fresh journal file: its first page and nothing else. `@gives` the descriptor. Throws when there is no place for it. */
export function openJournalFile(owner: Owner): number {
  const runtime = makePrivateDirectory(runtimeCandidates(owner), owner.uid);
  return openJournalAt(['/dev/shm', ...(runtime === undefined ? [] : [runtime]), '/tmp']);
}

/** In the first of these directories that has room, else in whichever takes the first page; see openJournalFile. */
export function openJournalAt(places: readonly string[]): number {
  let trouble: unknown;
  const [roomy, tight] = [places.filter(hasRoom), places.filter((place) => !hasRoom(place))];
  for (const place of [...roomy, ...tight]) {
    const name = join(place, `.mount-s3x-journal-${process.pid}-${Date.now().toString(36)}`);
    try {
      const fd = openSync(name, 'wx+', 0o600);
      rmSync(name, { force: true });
      try {
        const page = newPage();
        ftruncateSync(fd, page.length);
        writeSync(fd, page, 0, page.length, 0);
        return fd;
      } catch (error) {
        closeSync(fd);
        throw error;
      }
    } catch (error) {
      trouble = error;
    }
  }
  throw new Error(`no place for the journal of the mount: ${trouble instanceof Error ? trouble.message : ''}`);
}

function hasRoom(place: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(place);
    return bavail * bsize >= FREE_BYTES_MIN;
  } catch {
    return false;
  }
}
