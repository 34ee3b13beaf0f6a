/**
 * docs/SEMANTICS.md names a test for each of its statements: every name must be the beginning of a test's title, so that
 * a promise cannot outlive the test that backs it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';

const root = new URL('../../../', import.meta.url);

void t.test('every test that docs/SEMANTICS.md names exists', (t) => {
  const sources = new Map<string, string>();
  for (const [folder, prefix] of [
    ['test/fs/', ''],
    ['test/fs/namespace/', ''],
    ['test/fs/writing/', ''],
    ['test/e2e/', 'e2e/'],
    ['test/e2e/crash/', 'e2e/crash/'],
  ] as const) {
    for (const name of readdirSync(new URL(folder, root))) {
      if (!name.endsWith('.test.ts')) continue;
      const source = readFileSync(new URL(`${folder}${name}`, root), 'utf8');
      sources.set(prefix + name.replace('.test.ts', ''), source.replace(/t\.test\(\s+/g, 't.test('));
    }
  }
  const text = readFileSync(new URL('docs/SEMANTICS.md', root), 'utf8').replace(/\s+/g, ' ');
  const named = [...text.matchAll(/[(|;] ?([a-z0-9/-]+): ([^;)|]+?) ?(?=[;)|])/g)].filter(([, file]) =>
    sources.has(file ?? ''),
  );
  t.ok(named.length >= 40, `${named.length} tests are named`);
  // One real-mount test runs a list of small programs, each a function.
  const ways = readFileSync(new URL('test/e2e/support/write_ways.py', root), 'utf8');
  for (const [, file, title] of named) {
    if (file === 'e2e/write-ways') {
      for (const way of title?.split(', ') ?? []) t.match(ways, new RegExp(`^def ${way}\\(`, 'm'), `${file}: ${way}`);
      continue;
    }
    const source = sources.get(file ?? '') ?? '';
    const found = ["'", '"', '`'].some((quote) => source.includes(`t.test(${quote}${title}`));
    t.ok(found, `${file}: ${title}`);
  }
  t.end();
});
