/** A price list is read whole or refused with what is wrong. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readPrices } from '../../src/cli/prices.js';
import { S3_STANDARD_PRICES } from '../../src/main/stats/cost.js';

const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-prices-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, 'prices');

const read = (content: string) => {
  writeFileSync(file, content);
  return () => readPrices(file);
};

t.test('what is right', (t) => {
  t.strictSame(read(JSON.stringify(S3_STANDARD_PRICES))(), S3_STANDARD_PRICES, 'JSON is YAML');
  const prices = '{get: 1, head: 0, list: 0.5, put: 2, post: 2, copy: 2, delete: 0}';
  t.match(read(`name: ours\ndate: 2026-01-31\ncurrency: EUR\nperThousand: ${prices}\n`)(), {
    name: 'ours',
    date: '2026-01-31',
    currency: 'EUR',
    perThousand: { get: 1, list: 0.5 },
  });
  t.end();
});

t.test('what is wrong', (t) => {
  const { name, date, currency, perThousand } = S3_STANDARD_PRICES;
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ date, currency, perThousand }, /name is missing/],
    [{ name, date: 'today', currency, perThousand }, /date is no day/],
    [{ name, date, currency: '$', perThousand }, /currency is no code/],
    [{ name, date, currency }, /perThousand is missing/],
    [{ name, date, currency, perThousand: { ...perThousand, get: -1 } }, /perThousand\.get is no price/],
    [{ name, date, currency, perThousand: { ...perThousand, list: undefined } }, /perThousand\.list is no price/],
    [{ name, date, currency, perThousand: { ...perThousand, gte: 1 } }, /gte is not known/],
    [{ name, date, currency, perThousand, region: 'eu' }, /region is not known/],
  ];
  for (const [content, expected] of cases) t.throws(read(JSON.stringify(content)), expected, String(expected));
  t.throws(read('- a\n- b\n'), /no list of fields/);
  t.throws(read('a: b: c: ['), /--prices .*prices: /);
  t.throws(() => readPrices(join(directory, 'none')), /ENOENT/);
  t.end();
});
