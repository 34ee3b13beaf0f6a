/** Files that want to hurt: none takes long, none shows a stack, each is settings or one sentence with a place. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { mountOptionNames } from '../../../src/cli/options.js';
import { parseConfigFile } from '../../../src/cli/settings/config-file.js';
import { decodeSettings, FILE_BYTES_MAX } from '../../../src/cli/settings/yaml-file.js';
import { CommandError } from '../../../src/main/command-error.js';
import { makeDesk } from './support.js';

t.test('what is no file of settings', (t) => {
  const { refusal, directory } = makeDesk(t);
  const named = (name: string): string => refusal({ args: ['--config', name] });
  mkdirSync(join(directory, 'd'));
  execFileSync('mkfifo', [join(directory, 'pipe')]);
  writeFileSync(join(directory, 'open.yaml'), 'uid: 1\n');
  chmodSync(join(directory, 'open.yaml'), 0o666);
  t.match(named('nowhere.yaml'), /--config \S+nowhere\.yaml cannot be read: ENOENT.* \| give an existing YAML file/);
  t.match(named('d'), /d cannot be read: not a file/);
  t.match(named('pipe'), /pipe cannot be read: not a file/, 'nobody waits for a writer');
  t.match(named('/dev/zero'), /cannot be read: not a file/);
  t.match(named('open.yaml'), /open\.yaml cannot be read: everybody may write it \(chmod o-w/);
  t.match(refusal({ args: ['--config='] }), /--config "": no path \| name a file/);
  t.match(refusal({ file: '#'.repeat(FILE_BYTES_MAX + 1) }), /longer than 65536 bytes/);
  t.match(refusal({ file: Uint8Array.from([0x75, 0x69, 0x64, 0x3a, 0x20, 0xff]) }), /not UTF-8/);
  t.match(refusal({ file: Buffer.from('\uFEFFuid: 1', 'utf16le') }), /not UTF-8/);
  t.end();
});

t.test('byte order mark, Windows line ends, nothing at all', (t) => {
  const { read } = makeDesk(t);
  t.equal(read({ file: '\uFEFFuid: 5\n' }).config.uid, 5);
  t.equal(read({ file: 'uid: 5\r\ngid: 6\r\n' }).config.gid, 6);
  for (const file of ['', '# nothing\n', '---\n', '\uFEFF', '\n\n']) t.equal(read({ file }).config.uid, 1000);
  const { record } = read({ file: '\uFEFF# x\n  uid: 5\n' });
  t.match(record.said.find(({ name }) => name === 'uid')?.origin, { line: 2, column: 3 });
  t.end();
});

t.test('bombs', (t) => {
  const lol = ['a: &a [x, x, x, x, x, x, x, x, x]'];
  for (let at = 1; at < 26; at++) {
    const [name, before] = [String.fromCharCode(97 + at), String.fromCharCode(96 + at)];
    lol.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(', ')}]`);
  }
  const bombs: Readonly<Record<string, string>> = {
    aliases: lol.join('\n'),
    'aliases of a list': `tag: &a [${Array.from({ length: 1000 }, () => '*a').join(',')}]`,
    brackets: '['.repeat(60_000),
    braces: '{a: '.repeat(15_000),
    closed: `${'['.repeat(30_000)}${']'.repeat(30_000)}`,
    dashes: '- '.repeat(30_000),
    'question marks': '? '.repeat(30_000),
    quotes: `uid: "${'\\'.repeat(60_001)}`,
    keys: Array.from({ length: 6000 }, (_, at) => `k${at}: 1`).join('\n'),
    'one key': 'uid: 1\n'.repeat(9_000),
    anchors: Array.from({ length: 6000 }, (_, at) => `&a${at}`).join(' '),
    tags: 'uid: !!js/function "x"',
    'own tag': 'uid: !secret x',
    merge: 'a: &a {uid: 1}\n<<: *a',
    proto: '__proto__: {uid: 1}\nconstructor: 1',
    documents: '---\n'.repeat(16_000),
    directives: '%YAML 9.9\n'.repeat(6_000),
    blanks: ' '.repeat(60_000) + 'x: 1',
    digits: `uid: ${'9'.repeat(60_000)}`,
    comments: '#\n'.repeat(30_000),
    'block text': `uid: |\n${' x\n'.repeat(20_000)}`,
    colons: ':'.repeat(60_000),
  };
  for (const [name, text] of Object.entries(bombs)) t.ok(isSettled(text), name);
  t.end();
});

/** Settings or a refusal of one line with a place and a remedy. */
function isSettled(text: string): boolean {
  try {
    parseConfigFile(text, '/c.yaml');
    return true;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.exitCode === 2 && /^\/c\.yaml/.test(error.message) && !/\n|\bat .*:\d+:\d+\)/.test(error.message);
  }
}

t.test('any text is settings or a refusal', (t) => {
  const key = fc.constantFrom<string>(...mountOptionNames, 'bucket', 'directory', 'x', '__proto__', 'toString');
  const line = fc.tuple(key, fc.oneof(fc.json(), fc.string()));
  const pieces = fc.array(
    fc.constantFrom(
      'uid',
      ': ',
      ':',
      '\n',
      '\t',
      ' ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      '&a',
      '*a',
      '!t',
      '"',
      "'",
      '|',
      '>',
      '#',
      '%',
      '---',
      '\uFEFF',
      '?',
      '<<',
      '\0',
      '1',
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(line).map((all) => all.map(([k, v]) => `${k}: ${v}`).join('\n')),
        pieces.map((all) => all.join('')),
      ),
      isSettled,
    ),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      try {
        decodeSettings(bytes);
        return true;
      } catch (error) {
        return (error as Error).message === 'not UTF-8';
      }
    }),
  );
  t.end();
});
