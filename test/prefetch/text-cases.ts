/**
 * Text files as tests: lines of commands, each followed by what the code under test printed for it, indented. The file
 * is run again and must print the same; UPDATE_EXPECTED=1 rewrites it, and the change is reviewed as a diff.
 * An empty line starts afresh; `#` lines are comments and stay where they are.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const MIB = 1024 * 1024;

/** `4K`, `1.5M`, `17` as bytes. */
export function parseBytes(text: string): number {
  const match = /^([0-9.]+)([KMG]?)$/.exec(text);
  if (!match) throw new Error(`not a size: ${text}`);
  const unit = { '': 1, K: 1024, M: MIB, G: 1024 * MIB }[match[2] ?? ''] ?? 1;
  return Math.round(Number(match[1]) * unit);
}

/** Bytes as parseBytes reads them, in the largest unit that is exact enough to read. */
export function printBytes(bytes: number): string {
  if (bytes >= MIB && bytes % 1024 === 0) return `${Number((bytes / MIB).toFixed(3))}M`;
  if (bytes >= 1024 && bytes % 1024 === 0) return `${bytes / 1024}K`;
  return String(bytes);
}

/** Runs each .txt file of test/`area`/`folder`. `begin` makes a runner: command words in, printed lines out. */
export function runTextCases(
  t: Test,
  folder: string,
  begin: () => (words: readonly string[]) => string[],
  area = 'prefetch',
): void {
  // From dist/test/prefetch to test/.
  const root = fileURLToPath(new URL(`../../../test/${area}/${folder}/`, import.meta.url));
  const names = readdirSync(root).filter((name) => name.endsWith('.txt'));
  t.ok(names.length > 0, `${folder} has cases`);
  for (const name of names) {
    const before = readFileSync(root + name, 'utf8');
    const after: string[] = [];
    let run = begin();
    for (const line of before.replace(/\n$/, '').split('\n')) {
      if (line.startsWith('  ')) continue;
      after.push(line);
      if (line === '') run = begin();
      else if (!line.startsWith('#')) after.push(...run(line.split(/\s+/)).map((printed) => `  ${printed}`));
    }
    const text = after.join('\n') + '\n';
    if (process.env['UPDATE_EXPECTED']) writeFileSync(root + name, text);
    t.equal(text, process.env['UPDATE_EXPECTED'] ? text : before, name);
  }
}
