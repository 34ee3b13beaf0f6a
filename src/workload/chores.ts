/**
 * What a benchmark does to a file system besides measuring: directories, finding files, free space. Blocking calls, for the
 * child of generator.ts. Refuses to follow symbolic links and to look at more than it is asked for.
 */
import { lstatSync, mkdirSync, readdirSync, realpathSync, rmdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assertNever } from '../base/invariant.js';
import { StepError } from './lane.js';
import { dropPages } from './page-cache.js';
import type { Chore, ChoreResult } from './steps.js';

/** Throws what the system call says. */
export function doChore(chore: Chore): ChoreResult {
  switch (chore.chore) {
    case 'make-directories':
      for (const path of chore.paths) mkdirSync(path, { recursive: true });
      return {};
    case 'remove-directories':
      for (const path of chore.paths) removeDirectory(path);
      return {};
    case 'find':
      return { found: find(chore.path, chore.most) };
    case 'look': {
      if (!statSync(chore.path).isDirectory()) throw notDirectory(chore.path);
      return { realPath: realpathSync(chore.path) };
    }
    case 'free-space': {
      const { bavail, bsize } = statfsSync(chore.path);
      return { freeBytes: bavail * bsize };
    }
    case 'drop': {
      const cached = dropPages(chore.paths);
      return cached ? { cached } : {};
    }
    default:
      return assertNever(chore);
  }
}

function removeDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function notDirectory(path: string): StepError {
  return new StepError({ code: 'ENOTDIR', path, message: `${path} is no directory` });
}

/** Breadth first and in name order, so that the same tree always gives the same files. */
function find(top: string, most: number): { path: string; bytes: number }[] {
  const found: { path: string; bytes: number }[] = [];
  const waiting = [top];
  for (let path = waiting.shift(); path !== undefined && found.length < most; path = waiting.shift()) {
    const status = lstatSync(path);
    if (status.isFile()) found.push({ path, bytes: status.size });
    if (!status.isDirectory()) continue;
    for (const name of readdirSync(path).sort()) {
      if (waiting.length + found.length < most) waiting.push(join(path, name));
    }
  }
  return found;
}
