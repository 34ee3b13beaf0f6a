/**
 * Where a server's program is that tests may use when it is there: the variable that names it, .cache/bin, PATH, the folders in which
 * Go puts what it builds. Refuses to install anything.
 */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from './project-root.js';

/** Undefined when it is in none of these places. */
export async function findProgram(name: string, variable: string): Promise<string | undefined> {
  const named = process.env[variable];
  if (named !== undefined && named !== '') return named;
  const folders = [
    join(projectRoot(), '.cache', 'bin'),
    ...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''),
    ...(await goBinFolders()),
  ];
  for (const folder of folders) {
    const candidate = join(folder, name);
    if (await isExecutable(candidate)) return candidate;
  }
  return undefined;
}

async function goBinFolders(): Promise<string[]> {
  try {
    const { stdout } = await promisify(execFile)('go', ['env', 'GOPATH'], { timeout: 10_000 });
    return stdout
      .trim()
      .split(delimiter)
      .filter((folder) => folder !== '')
      .map((folder) => join(folder, 'bin'));
  } catch {
    return [];
  }
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
