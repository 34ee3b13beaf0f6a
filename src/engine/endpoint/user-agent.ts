/**
 * How we name ourselves to the store: `PREFIX mount-s3x/VERSION`, the same on both planes, so that a bucket's access log
 * tells our requests from others. The version is the package's own, read once from the package.json that this file is
 * installed under; nothing is compiled in, so a release needs no generated source.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Levels between this file and the package root: dist/src/engine/endpoint, with one to spare. */
const LEVELS_MAX = 6;

function readPackageVersion(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (let level = 0; level < LEVELS_MAX; level++) {
    try {
      const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (typeof manifest === 'object' && manifest !== null && 'name' in manifest && manifest.name === 'mount-s3x') {
        return 'version' in manifest && typeof manifest.version === 'string' ? manifest.version : '0.0.0';
      }
    } catch {
      // No package.json in this folder: look one level up.
    }
    folder = dirname(folder);
  }
  return '0.0.0';
}

let version: string | undefined;

/** `prefix` is --user-agent-prefix; characters that cannot stand in a header are dropped. */
export function userAgentFor(prefix: string | undefined): string {
  version ??= readPackageVersion();
  const name = `mount-s3x/${version}`;
  const cleanPrefix = (prefix ?? '').replace(/[^\x20-\x7e]/g, '').trim();
  return cleanPrefix === '' ? name : `${cleanPrefix} ${name}`;
}
