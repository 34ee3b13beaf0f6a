/**
 * mkdir -p, for who may block and for who may not. Node's own (`recursive`) never returns where a directory cannot have children
 * (/proc): it tries for ever. Both throw as mkdir(2) does. Refuses to change what is there.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from './thrown.js';

export function makeDirectoriesNow(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    const code = codeOf(error);
    const parent = dirname(path);
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    if (code !== 'ENOENT' || parent === path || existsSync(parent)) throw error;
    makeDirectoriesNow(parent, mode);
    // Another process may have made it meanwhile.
    makeDirectoriesNow(path, mode);
  }
}

export async function makeDirectories(path: string, mode: number): Promise<void> {
  const make = (): Promise<void> => mkdir(path, { mode });
  await make()
    .catch(async (error: unknown) => {
      const parent = dirname(path);
      if (codeOf(error) !== 'ENOENT' || parent === path) throw error;
      await makeDirectories(parent, mode);
      await make();
    })
    .catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
}
