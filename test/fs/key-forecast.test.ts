/**
 * Guesses of where pages end, for the kinds of names that data sets have. Nothing but speed depends on them, so besides
 * what holds for any names (a guess is beyond the key, and could be one) the tests say how good they must be for some.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { KeyForecast } from '../../src/fs/key-forecast.js';
import { compareKeys } from '../../src/fs/keymap.js';
import { bucketKeys } from '../support/memory-store-trees.js';

function pageOf(keys: readonly string[]): { rows: number; key(row: number): string } {
  return { rows: keys.length, key: (row) => keys[row] ?? '' };
}

const padded = (index: number, width: number): string => String(index).padStart(width, '0');
const hash = (index: number): string => createHash('md5').update(String(index)).digest('hex');

/** How many keys further than `page` keys each guess lies, as a part of a page, when pages are walked in order. */
function errors(keys: readonly string[], page: number): number[] {
  const forecast = new KeyForecast();
  const found: number[] = [];
  for (let at = 0; at + 2 * page < keys.length; at += page) {
    forecast.learn(pageOf(keys.slice(at, at + page)));
    const guess = forecast.pageAfter(keys[at + page - 1] ?? '');
    if (guess === undefined) found.push(NaN);
    else found.push((keys.filter((key) => compareKeys(key, guess) <= 0).length - (at + 2 * page)) / page);
  }
  return found;
}

t.test('zero-padded numbers are exact, with whatever stands around them', (t) => {
  const kinds: ((index: number) => string)[] = [
    (index) => padded(index, 6),
    (index) => `img_${padded(index, 7)}.jpg`,
    (index) => `n0144${padded(index, 5)}_x.JPEG`,
    (index) => `part-${padded(index, 5)}-of-20000.parquet`,
    (index) => `${padded(index, 5)}/`,
  ];
  for (const kind of kinds) {
    const found = errors(
      Array.from({ length: 20_000 }, (_, index) => kind(index)),
      1000,
    );
    const name = kind(7);
    t.ok(
      found.every((error) => error <= 0 && error > -0.002),
      `${name}: ${found.map((error) => error.toFixed(3)).join(' ')}`,
    );
  }
  t.end();
});

t.test('hashes and uuids: near, and rather too near than too far', (t) => {
  const kinds: ((index: number) => string)[] = [
    hash,
    (index) => hash(index).toUpperCase(),
    (index) => hash(index).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    (index) => `${hash(index).slice(0, 12)}.wav`,
  ];
  for (const kind of kinds) {
    const keys = Array.from({ length: 30_000 }, (_, index) => kind(index)).sort(compareKeys);
    const found = errors(keys, 1000);
    t.ok(
      found.every((error) => Math.abs(error) < 0.45),
      `${kind(7)}: ${found.map((error) => error.toFixed(2)).join(' ')}`,
    );
    t.ok(found.filter((error) => error > 0).length <= found.length / 4, 'seldom too far');
  }
  t.end();
});

t.test('any names: a guess is beyond the key and could be one', (t) => {
  fc.assert(
    fc.property(bucketKeys, fc.string({ unit: 'binary', maxLength: 6 }), (keys, other) => {
      const names = [...new Set(keys.map((key) => key.replace(/\/.*$/, '/')))]
        .filter((key) => key !== '' && key !== '/')
        .sort(compareKeys);
      const forecast = new KeyForecast();
      assert.equal(forecast.pageAfter('a'), undefined, 'nothing is known');
      forecast.learn(pageOf(names));
      for (const key of [...names, Buffer.from(other).toString()]) {
        const guess = forecast.pageAfter(key);
        if (guess === undefined) continue;
        assert.ok(
          compareKeys(guess, key.replace(/\/$/, '')) > 0,
          `${JSON.stringify(guess)} after ${JSON.stringify(key)}`,
        );
        assert.ok(!guess.includes('/') && Buffer.from(guess).toString() === guess);
        assert.ok((forecast.pagesBetween(key, guess) ?? 0) >= 0);
      }
    }),
    { numRuns: 500 },
  );
  t.pass('500 directories');
  t.end();
});
