/**
 * Names and keys: what can be a file name, the order of keys, the gap between a file and its directory, inode numbers.
 */
import fc from 'fast-check';
import t from 'tap';
import { inoOfKey } from '../../src/fs/ino.js';
import { baseName, compareKeys, couldBeKey, isFileName, parentDirectoryKey } from '../../src/fs/keymap.js';

/** Characters around the places where UTF-8 and UTF-16 order, and slashes, matter. */
const characters = ['a', 'b', '!', '-', '.', '/', '0', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}'];
const keys = fc.array(fc.constantFrom(...characters), { maxLength: 6 }).map((list) => list.join(''));

void t.test('isFileName', (t) => {
  const cases: [string, string, boolean][] = [
    ['plain', 'a', true],
    ['dots inside', '...', true],
    ['hidden file', '.git', true],
    ['empty, as between two slashes', '', false],
    ['dot', '.', false],
    ['dot dot', '..', false],
    ['slash', 'a/b', false],
    ['NUL', 'a\0b', false],
    ['newline', 'a\nb', true],
    ['backslash', 'a\\b', true],
    ['255 bytes', 'x'.repeat(255), true],
    ['256 bytes', 'x'.repeat(256), false],
    ['85 three-byte characters', '€'.repeat(85), true],
    ['86 three-byte characters', '€'.repeat(86), false],
    ['63 four-byte characters', '😀'.repeat(63), true],
    ['64 four-byte characters', '😀'.repeat(64), false],
    ['a lone surrogate', 'a\ud800b', false],
    ['an emoji', '😀', true],
  ];
  for (const [what, name, expected] of cases) t.equal(isFileName(name), expected, what);
  t.end();
});

void t.test('couldBeKey refuses what no key can be', (t) => {
  t.ok(couldBeKey('d/'.repeat(400), 'x'.repeat(224)), '1024 bytes');
  t.notOk(couldBeKey('d/'.repeat(400), 'x'.repeat(225)), '1025 bytes');
  t.notOk(couldBeKey('é/'.repeat(300), 'x'.repeat(125)), 'bytes count, not characters');
  t.notOk(couldBeKey('', '..'));
  t.end();
});

void t.test('compareKeys is the order of UTF-8 bytes', (t) => {
  fc.assert(
    fc.property(keys, keys, (a, b) => {
      return Math.sign(compareKeys(a, b)) === Buffer.compare(Buffer.from(a), Buffer.from(b));
    }),
  );
  t.ok(compareKeys('\uffff', '😀') < 0, 'JavaScript would say the opposite');
  t.end();
});

void t.test('parents and base names', (t) => {
  const cases: [string, string, string][] = [
    ['a', '', 'a'],
    ['a/', '', 'a'],
    ['a/b', 'a/', 'b'],
    ['a/b/', 'a/', 'b'],
    ['a/b/c', 'a/b/', 'c'],
  ];
  for (const [key, parent, name] of cases) {
    t.equal(parentDirectoryKey(key), parent, `parent of ${key}`);
    t.equal(baseName(key), name, `name of ${key}`);
  }
  t.end();
});

void t.test('inode numbers are safe, stable and spread', (t) => {
  // Fixed vectors: a change here changes every st_ino that backup tools remember.
  t.equal(inoOfKey('train/shard-000001.tar'), 5_640_412_157_298_936);
  const seen = new Set<number>();
  for (let index = 0; index < 200_000; index++) {
    const ino = inoOfKey(`images/n${index % 1000}/img_${index}.JPEG`);
    if (ino < 16 || !Number.isSafeInteger(ino)) t.fail(`inode number ${ino}`);
    seen.add(ino);
  }
  t.equal(seen.size, 200_000, 'no collision among 200,000 similar keys');
  t.not(inoOfKey('a'), inoOfKey('a/'), 'a file and a directory of one name differ');
  t.end();
});
