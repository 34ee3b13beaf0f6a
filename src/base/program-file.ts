/**
 * Where the program's own files lie. They are run in two shapes: compiled file by file (dist/), and bundled (dist/bundle/,
 * what is installed: dev/bundle.mjs), where the code of a module may lie in any file. So nothing finds its neighbours by
 * its own place; it asks here, by names below the root of the shape: `bin/…` and `src/…`.
 * Refuses to guess: without the file there is an error that says that the installation is broken.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Levels between a module and the root of its shape, and between that and the package, with two to spare. */
const LEVELS_MAX = 8;

/** The first folder above this module that `holds` something. */
function folderAbove(holds: (folder: string) => boolean): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let level = 0; level < LEVELS_MAX; level++) {
    if (holds(folder)) return folder;
    folder = dirname(folder);
  }
  return undefined;
}

/** A file of the program, by its name below the root: `src/main/threads/net-worker.js`. */
export function programFile(name: string): URL {
  const root = folderAbove((folder) => existsSync(join(folder, name)));
  if (root === undefined)
    throw new Error(`the installation of mount-s3x is broken: ${name} is missing; install it again`);
  return pathToFileURL(join(root, name));
}

let version: string | undefined;

/** The package's version, from its package.json and nowhere else; `unknown` when it cannot be read. Read once. */
export function packageVersion(): string {
  if (version !== undefined) return version;
  version = 'unknown';
  folderAbove((folder) => {
    const found = versionIn(folder);
    version = found ?? 'unknown';
    return found !== undefined;
  });
  return version;
}

function versionIn(folder: string): string | undefined {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    if (typeof manifest !== 'object' || manifest === null || !('name' in manifest) || manifest.name !== 'mount-s3x')
      return undefined;
    return 'version' in manifest && typeof manifest.version === 'string' ? manifest.version : undefined;
  } catch {
    // No package.json in this folder.
    return undefined;
  }
}
