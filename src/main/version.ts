/**
 * The version of the installed package, from its package.json and nowhere else.
 * Read once, at first use, so that importing this costs nothing. Works from dist/ and from an installed package alike:
 * both keep package.json three levels above this file.
 */
import { readFileSync } from 'node:fs';

let known: string | undefined;

/** `0.1.0`; `unknown` when package.json cannot be read (then the installation is broken, but --version must not be). */
export function packageVersion(): string {
  known ??= readVersion();
  return known;
}

function readVersion(): string {
  try {
    const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && 'version' in parsed && typeof parsed.version === 'string') {
      return parsed.version;
    }
  } catch {
    // fall through
  }
  return 'unknown';
}
