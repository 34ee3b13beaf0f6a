/**
 * The file that outlives daemons: made by the supervisor, without a name, inherited by each daemon of the mount. It lies in
 * memory (/dev/shm, else the runtime directory), where a write to a mapping costs what a write to memory costs.
 * Refuses to know what is in it but for the first page (page.ts).
 */
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makePrivateDirectory, runtimeCandidates, type Owner } from '../state-directory.js';
import { newPage } from './page.js';

/** Opens a fresh journal file: its first page and nothing else. `@gives` the descriptor. Throws when there is no place for it. */
export function openJournalFile(owner: Owner): number {
  const runtime = makePrivateDirectory(runtimeCandidates(owner), owner.uid);
  const places = ['/dev/shm', ...(runtime === undefined ? [] : [runtime]), '/tmp'];
  let trouble: unknown;
  for (const place of places) {
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
