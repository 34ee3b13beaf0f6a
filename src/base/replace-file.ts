/**
 * Puts a file in the place of another, or of none, whole or not at all: whoever reads meanwhile gets one of the two. Written
 * beside it under a name of this process's, with the mode asked for whatever the umask says, then renamed over.
 * Throws what the file system says, with nothing left beside. Refuses to flush: after a crash of the machine neither may be there.
 */
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';

export interface Replacement {
  readonly mode: number;
  /** Written first, in the same directory. Absent: the file's name and this process's number, by which `gc` knows what was left. */
  readonly temporary?: string;
}

export function replaceFileNow(path: string, text: string, { mode, temporary }: Replacement): void {
  const beside = temporary ?? `${path}.${process.pid}`;
  try {
    // What a process of this number left when it was killed; and nothing is written through somebody's link.
    rmSync(beside, { force: true });
    writeFileSync(beside, text, { mode, flag: 'wx' });
    chmodSync(beside, mode);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true, recursive: false });
    throw error;
  }
}
