/** What --help, --version and hwinfo print: complete, grouped, within 80 columns; and docs/CLI.md says the same. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { execute } from '../../src/cli/main.js';
import { mountOptionNames, mountOptions } from '../../src/cli/options.js';
import { editDistance, nearest } from '../../src/cli/suggest.js';
import { exitCodeTable } from '../../src/main/exit-codes.js';
import { fakeIo } from './fake-io.js';

async function printed(...args: string[]): Promise<string> {
  const io = fakeIo();
  if ((await execute(args, io)) !== 0) throw new Error(io.complained.join());
  return io.printed.join('\n');
}

t.test('help', async (t) => {
  for (const args of [
    ['--help'],
    ['-h'],
    ['mount', '--help'],
    ['unmount', '--help'],
    ['hwinfo', '--help'],
    ['bench', '--help'],
  ]) {
    const text = await printed(...args);
    for (const line of text.split('\n')) t.ok(line.length <= 80, `${args.join(' ')}: ${line}`);
    t.notMatch(text, /\[(boolean|string|array)\]/);
  }
  const text = await printed('--help');
  for (const name of mountOptionNames) {
    const { state, hidden } = mountOptions[name];
    if (state === undefined && hidden !== true) t.match(text, `--${name} `, name);
    else t.notMatch(text, `--${name} `, name);
  }
  for (const group of new Set(mountOptionNames.map((name) => mountOptions[name].group))) t.match(text, `\n${group}\n`);
  t.match(text, '\nExamples:\n');
});

t.test('version', async (t) => {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  t.equal(await printed('--version'), version);
  t.equal(await printed('-V'), version);
});

t.test('hwinfo', async (t) => {
  const text = await printed('hwinfo');
  t.match(text, /^ {2}cores +[\d.]+ +\S/m);
  t.match(text, /^ {2}connections +\d+, at most \d+ +--max-connections$/m);
  const data = JSON.parse(await printed('hwinfo', '--json')) as object;
  t.match(data, { profile: { cores: { value: Number, source: String } }, sizing: { poolBytes: Number } });
});

t.test('docs/CLI.md has every option and every exit code', (t) => {
  const docs = readFileSync(new URL('../../../docs/CLI.md', import.meta.url), 'utf8');
  // Prettier pads table cells.
  const rows = docs.replace(/ +\|/g, ' |').replace(/\| +/g, '| ');
  for (const name of mountOptionNames) t.ok(docs.includes(`--${name}\``) || docs.includes(`--${name} `), name);
  for (const { code, meaning } of exitCodeTable) t.ok(rows.includes(`| ${code} | ${meaning} |`), `exit code ${code}`);
  t.end();
});

t.test('suggestions', (t) => {
  t.equal(editDistance('', 'abc'), 3);
  t.equal(editDistance('kitten', 'sitting'), 3);
  t.equal(editDistance('regoin', 'region'), 1, 'a swap is one edit');
  t.equal(nearest('metadta-ttl', mountOptionNames), 'metadata-ttl');
  t.equal(nearest('endpoint', mountOptionNames), 'endpoint-url');
  t.equal(nearest('zzz', mountOptionNames), undefined);
  t.end();
});
