/**
 * What a benchmark does to a file system besides measuring: directories, finding files, free space. Blocking calls, for the
 * child of generator.ts. Refuses to follow symbolic links and to look at more than it is asked for.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, realpathSync, rmdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assertNever } from '../base/invariant.js';
import { codeOf } from '../base/thrown.js';
import { StepError } from './lane.js';
import { dropPages } from './page-cache.js';
import type { Chore, ChoreResult } from './steps.js';

/** Throws what the system call says. */
export function doChore(chore: Chore): ChoreResult {
  switch (chore.chore) {
    case 'make-directories':
      for (const path of chore.paths) makeDirectory(path);
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

/** Not `recursive`: node then says ENOENT where the kernel says EROFS. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

function removeDirectory(path: string): void {
  // Asked first: a read-only file system refuses to remove also what is not there.
  if (existsSync(path)) rmdirSync(path);
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
