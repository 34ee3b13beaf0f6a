/**
 * mkdir -p, for who may block and for who may not. Node's own (`recursive`) never returns where a directory cannot have children
 * (/proc): it tries for ever. Both throw as mkdir(2) does: ENOTDIR for a file on the way, EEXIST for one at the end of it. Refuses to change what is there.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from './thrown.js';

export function makeDirectoriesNow(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const code = codeOf(error);
    const parent = dirname(path);
    if (code === 'EEXIST' && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
    if (code !== 'ENOENT' || parent === path || existsSync(parent)) throw error;
    makeDirectoriesNow(parent, mode);
    // Another process may have made it meanwhile.
    makeDirectoriesNow(path, mode);
  }
}

export async function makeDirectories(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const code = codeOf(error);
    const parent = dirname(path);
    if (code === 'EEXIST' && (await isThere(path, 'directory'))) return;
    if (code !== 'ENOENT' || parent === path || (await isThere(parent, 'anything'))) throw error;
    await makeDirectories(parent, mode);
    // Another process may have made it meanwhile.
    await makeDirectories(path, mode);
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
