/**
 * Man pages and completion are in step with what the program declares, are well-formed, and bash completes with them. Where a
 * checker is not installed the test says so and looks at the structure alone.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { commands } from '../../../src/cli/commands.js';
import { execute } from '../../../src/cli/main.js';
import { completionScript, shells } from '../../../src/cli/manual/completion.js';
import { helperPage, mountPage } from '../../../src/cli/manual/man-pages.js';
import { describeCommandLine, optionsOf, shortDescription } from '../../../src/cli/manual/model.js';
import { mountOptionNames, mountOptions } from '../../../src/cli/options.js';
import { exitCodeTable } from '../../../src/main/exit-codes.js';
import { projectRoot } from '../../support/mount.js';
import { fakeIo } from '../fake-io.js';

const model = describeCommandLine(commands);
const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-manual-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;

async function help(...args: string[]): Promise<string> {
  const io = fakeIo();
  if ((await execute([...args, '--help'], io)) !== 0) throw new Error(io.complained.join());
  return io.printed.join('\n');
}

t.test('the model has what the parser has, for every command', async (t) => {
  for (const command of model.commands) {
    const text = await help(command.name);
    const shown = [...text.matchAll(/^ {2}(?: {4}|-\w, )--([\w-]+)/gm)].map((match) => match[1] ?? '');
    const modelled = optionsOf(model, command).map(({ name }) => name);
    for (const name of shown) t.ok(modelled.includes(name), `${command.name} --${name}`);
    if (command.name === 'mount' || !command.takesMountOptions) t.strictSame([...modelled].sort(), [...shown].sort());
    for (const { name, describe } of command.positionals) t.ok(describe.length > 3, `${command.name} ${name}`);
  }
  const text = await help();
  for (const { name } of model.commands) if (name !== 'mount') t.match(text, new RegExp(`^  ${name} `, 'm'), name);
  for (const name of mountOptionNames) {
    const { state, hidden } = mountOptions[name];
    const isShown = state === undefined && hidden !== true;
    t.equal(
      model.mountOptions.some((each) => each.name === name),
      isShown,
      name,
    );
  }
});

t.test('man pages', (t) => {
  const main = mountPage(model, '1.2.3');
  // Escapes and fonts taken away.
  const plain = main
    .replace(/\\f[BIR]/g, '')
    .replace(/\\-/g, '-')
    .replace(/\\\(aq/g, "'");
  for (const { name, argument } of model.mountOptions) {
    t.ok(plain.includes(argument === undefined ? `--${name}\n` : `--${name} ${argument}\n`), name);
  }
  for (const command of model.commands) {
    if (command.name !== 'mount') t.match(plain, `.SS mount-s3x ${command.name}`);
    for (const { name } of command.options) t.ok(plain.includes(`--${name}`), `${command.name} --${name}`);
  }
  for (const { code, meaning } of exitCodeTable) t.ok(plain.includes(`${code}\n${meaning}\n`), `exit code ${code}`);
  for (const [name, page] of [
    ['mount-s3x.8', main],
    ['mount.s3x.8', helperPage('1.2.3')],
  ] as const) {
    t.match(page, /^\.TH \S+ 8 /m);
    t.match(page, /^\.SH NAME\n\S+ \\- /m);
    for (const line of page.split('\n')) {
      t.notMatch(line, /^['.](?!(TH|SH|SS|TP|PP|EX|EE|br|nh|ad l|\\")( |$))/, 'known macros only');
      t.notMatch(line, /[^\t -~]/, 'ASCII only');
      t.notMatch(line.replace(/\\(e|-|&|"|f[BIR]|\((aq|ga|ha|ti|->))/g, ''), /\\/, 'known escapes only');
    }
    const path = join(directory, name);
    writeFileSync(path, page);
    if (has('groff')) {
      const checked = spawnSync('groff', ['-man', '-ww', '-Tutf8', path], { encoding: 'utf8' });
      t.equal(checked.status, 0);
      t.equal(checked.stderr, '', name);
    } else t.comment('groff is not installed: structure only');
    if (has('mandoc')) {
      const checked = spawnSync('mandoc', ['-Tlint', '-Wwarning', path], { encoding: 'utf8' });
      t.equal(checked.status, 0, checked.stdout);
    } else t.comment('mandoc is not installed: not linted');
  }
  t.end();
});

t.test('what the build writes', (t) => {
  execFileSync(process.execPath, [join(projectRoot, 'dist/dev/manual/main.js'), directory]);
  t.strictSame(readdirSync(join(directory, 'completion')).sort(), ['_mount-s3x', 'mount-s3x.bash', 'mount-s3x.fish']);
  t.strictSame(readdirSync(join(directory, 'man')).sort(), ['mount-s3x.8', 'mount.s3x.8']);
  t.equal(readFileSync(join(directory, 'completion/mount-s3x.bash'), 'utf8'), completionScript('bash', model));
  t.end();
});

t.test('each shell: every command and option, and a script that it takes', async (t) => {
  for (const shell of shells) {
    const io = fakeIo();
    t.equal(await execute(['completion', shell], io), 0);
    const script = io.printed.join('\n');
    t.equal(`${script}\n`, completionScript(shell, model));
    for (const command of model.commands) {
      for (const name of [command.name, ...command.aliases]) t.match(script, new RegExp(`\\b${name}\\b`));
      for (const { name } of optionsOf(model, command)) {
        t.ok(script.includes(shell === 'fish' ? `-l ${name} ` : `--${name}`), `${shell}: --${name}`);
      }
    }
    t.notMatch(script, /undefined|\[object/);
    const path = join(directory, `script.${shell}`);
    writeFileSync(path, script);
    if (has(shell)) {
      const { status, stderr } = spawnSync(shell, [shell === 'fish' ? '--no-execute' : '-n', path], {
        encoding: 'utf8',
      });
      t.equal(status, 0, stderr);
    } else {
      t.comment(`${shell} is not installed: structure only`);
      t.equal(quotesLeftOpen(script), 0);
    }
  }
  const io = fakeIo();
  t.equal(await execute(['completion', 'tcsh'], io), 2);
  t.strictSame(io.complained, ['mount-s3x: shell tcsh: not known; allowed: bash, zsh, fish']);
  const none = fakeIo();
  t.equal(await execute(['completion'], none), 2);
});

/** Single quotes that do not end on their line, in lines without double quotes. */
function quotesLeftOpen(script: string): number {
  return script
    .split('\n')
    .filter((line) => !line.includes('"') && !line.startsWith('#'))
    .filter((line) => (line.replace(/\\'/g, '').match(/'/g)?.length ?? 0) % 2 !== 0).length;
}

t.test('bash completes', (t) => {
  const complete = (words: readonly string[]): string[] => bashCompletions(t, words);
  t.ok(complete(['']).includes('unmount'));
  t.strictSame(complete(['unm']), ['unmount']);
  t.strictSame(complete(['--region', 'unm']), ['unmount'].slice(0, 0), 'a value of an option is no command');
  t.strictSame(complete(['--uid', '5', 'unm']), ['unmount']);
  t.strictSame(complete(['stats', '--int']), ['--interval']);
  t.strictSame(complete(['unmount', '--l']), ['--lazy']);
  t.strictSame(complete(['bucket', '/mnt', '--read-o']), ['--read-only']);
  t.strictSame(complete(['bucket', '/mnt', '--verify', 's']), ['strict']);
  t.strictSame(complete(['bucket', '/mnt', '--verify', '=', 's']), ['strict']);
  t.strictSame(complete(['completion', 'f']), ['fish']);
  t.ok(complete(['bucket', '/mnt', '--config', 'c']).includes('c.yaml'));
  t.strictSame(complete(['bucket', '/mnt', '--log-directory', 'l']), ['logs']);
  t.strictSame(complete(['bucket', 'l']), ['logs']);
  t.strictSame(complete(['--', '--']).length > 0, true);
  t.end();
});

/** What bash offers for the last of `words`. */
function bashCompletions(t: Test, words: readonly string[]): string[] {
  const place = join(directory, 'place');
  mkdirSync(join(place, 'logs'), { recursive: true });
  writeFileSync(join(place, 'c.yaml'), '');
  const script = join(directory, 'complete.bash');
  writeFileSync(script, completionScript('bash', model));
  const { stdout, stderr, status } = spawnSync(
    'bash',
    [
      '--norc',
      '-c',
      'source "$1"; shift; COMP_WORDS=(mount-s3x "$@"); COMP_CWORD=$#; _mount_s3x; printf "%s\\n" "${COMPREPLY[@]}"',
      'bash',
      script,
      ...words,
    ],
    { cwd: place, encoding: 'utf8' },
  );
  t.equal(status, 0, stderr);
  t.equal(stderr, '');
  return stdout.split('\n').filter((line) => line !== '');
}

t.test('descriptions for one line', (t) => {
  t.equal(shortDescription('Speed [default: of the card]'), 'Speed');
  t.ok(shortDescription('x '.repeat(100)).length <= 72);
  t.end();
});
