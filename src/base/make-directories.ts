/**
 * mkdir -p, for who may block and for who may not. Node's own (`recursive`) never returns where a directory cannot have children
 * (/proc): it tries for ever. Both throw as mkdir(2) does: ENOTDIR for a file on the way, EEXIST for one at the end of it. Refuses to change what is there.
 * Several may make the same directories at once: each of them finds them made.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from './thrown.js';

/**
 * A parent that is there although mkdir has just missed it was made by another meanwhile, or cannot have children. Trying
 * again tells which; somebody who removes and makes it in turn, so often, is not waited for.
 */
const TRIES_WITH_PARENT = 4;

export function makeDirectoriesNow(path: string, mode: number): void {
  for (let triesLeft = TRIES_WITH_PARENT; ; triesLeft--) {
    try {
      mkdirSync(path, { mode });
      return;
    } catch (error) {
      const code = codeOf(error);
      const parent = dirname(path);
      if (code === 'EEXIST' && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
      if (code !== 'ENOENT' || parent === path || triesLeft === 0) throw error;
      if (!existsSync(parent)) makeDirectoriesNow(parent, mode);
    }
  }
}

export async function makeDirectories(path: string, mode: number): Promise<void> {
  for (let triesLeft = TRIES_WITH_PARENT; ; triesLeft--) {
    try {
      await mkdir(path, { mode });
      return;
    } catch (error) {
      const code = codeOf(error);
      const parent = dirname(path);
      if (code === 'EEXIST' && (await isThere(path, 'directory'))) return;
      if (code !== 'ENOENT' || parent === path || triesLeft === 0) throw error;
      if (!(await isThere(parent, 'anything'))) await makeDirectories(parent, mode);
    }
  }
}

async function isThere(path: string, what: 'directory' | 'anything'): Promise<boolean> {
  try {
    const found = await stat(path);
    return what === 'anything' || found.isDirectory();
  } catch {
    return false;
  }
}
