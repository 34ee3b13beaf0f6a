/** What the bundle's build makes of our own code (dev/bundle/quick-code.mjs): the same meaning, and nothing where that would change. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { projectRoot } from '../support/mount.js';

interface QuickCode {
  Names: new () => { check(): void };
  rewritten: (path: string, text: string, names: object) => string;
}

const { Names, rewritten } = (await import(join(projectRoot, 'dev/bundle/quick-code.mjs'))) as QuickCode;

/** The modules' texts, checked together. */
function rewrite(...texts: string[]): string[] {
  const names = new Names();
  const out = texts.map((text, at) => rewritten(`module-${at}.js`, text, names));
  names.check();
  return out;
}

void t.test('private names become plain ones, at the same places', (t) => {
  const text = [
    'class Counter {',
    '  static #made = 0;',
    '  #count = 1;',
    '  static make() { Counter.#made++; return new Counter(); }',
    '  get #twice() { return 2 * this.#count; }',
    '  #add(other) { return this.#twice + (other?.#count ?? 0); }',
    '  sum(other) { return `${this.#add(other)}#count`; } // #count',
    '}',
    'return Counter.make().sum(Counter.make());',
  ].join('\n');
  const [out = ''] = rewrite(`function run() {\n${text}\n}`);
  t.notMatch(out.replaceAll('}#count`', '').replaceAll('// #count', ''), /#/, 'none is left but in texts and comments');
  t.equal(out.length, `function run() {\n${text}\n}`.length, 'nothing moved');
  t.equal(runInNewContext(`${out}; run()`), '3#count', 'it means the same');
  t.end();
});

void t.test('an invariant is tested in place, and its message made when it is broken', (t) => {
  const text =
    'let made = 0; function f(a, b) { invariant(a === b, `${++made}`); if (a) invariant(b, "x"); else made = 9; return made; }';
  const [out = ''] = rewrite(text);
  t.match(out, 'if (!(a === b)) invariant(false, `${++made}`);');
  t.match(out, 'if (a) invariant(b, "x"); else', 'an else stays with its own if');
  const broken = 'const invariant = (ok, message) => { if (!ok) throw new Error(message); };';
  const f = runInNewContext(`${broken} ${out}; f`) as (a: number, b: number) => number;
  t.equal(f(1, 1), 0, 'no message is made');
  t.throws(() => f(1, 2), { message: '1' });
  t.end();
});

void t.test('what would change a meaning ends the build', (t) => {
  t.throws(() => rewrite('class A { #x; has(o) { return #x in o; } }'), /`#x in` has no plain form/);
  t.throws(() => rewrite('class A { #x; f() { return this.$x; } }'), /A\.#x: \$x is in use/);
  t.throws(
    () => rewrite('class B { #x; }', 'class C extends B {}', 'class D extends C { #x; }'),
    /D and B.*both have #x/,
  );
  t.doesNotThrow(() => rewrite('class B { #x; }', 'class C { #x; f() { return class extends C { #y; } } }'));
  t.end();
});

void t.test('the bundle is made so, but for packages of others', (t) => {
  const folder = join(projectRoot, 'dist/bundle/code');
  const name = readdirSync(folder).find((each) => /^net-worker-.*\.js$/.test(each)) ?? '';
  // Each module begins with a comment that names its file.
  const modules = readFileSync(join(folder, name), 'utf8').split(/^\/\/ (?=\S+\.js$)/m);
  const ours = modules.filter((text) => text.startsWith('src/'));
  t.ok(ours.length > 50, `${ours.length} modules`);
  t.same(
    ours.filter((text) => /this\.#[a-z]/i.test(text)).map((text) => text.slice(0, 60)),
    [],
  );
  t.ok(ours.some((text) => text.includes('this.$')));
  t.end();
});
