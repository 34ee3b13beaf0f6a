/**
 * The index and the listing walk against a naive oracle that sorts UTF-8 bytes and scans everything.
 */
import fc from 'fast-check';
import t from 'tap';
import { walk } from '../../../dev/s3-server/ops/list-objects.js';
import { KeyIndex } from '../../../dev/s3-server/storage/key-index.js';
import { compareKeys } from '../../../dev/s3-server/storage/key-order.js';
import { entryOfFile, type ObjectEntry } from '../../../dev/s3-server/storage/object-record.js';

/** Few characters, so that prefixes are shared; among them the ones whose order differs between UTF-16 and UTF-8. */
const char = fc.constantFrom('a', 'b', '/', '-', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}', 'é', ' ');
const key = fc.array(char, { minLength: 1, maxLength: 6 }).map((chars) => chars.join(''));

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function entry(name: string): ObjectEntry {
  return entryOfFile(name, 1, 1);
}

t.test('keys compare as their UTF-8 bytes', (t) => {
  fc.assert(fc.property(key, key, (a, b) => Math.sign(compareKeys(a, b)) === byBytes(a, b)));
  t.end();
});

t.test('set, delete, get, seek and skipPrefix agree with a sorted array', (t) => {
  const command = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), key }),
    fc.record({ kind: fc.constant('delete' as const), key }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), key, key, (commands, probe, prefix) => {
      const index = new KeyIndex<ObjectEntry>();
      const model = new Set<string>();
      for (const { kind, key } of commands) {
        if (kind === 'set') {
          index.set(entry(key));
          model.add(key);
        } else if (index.delete(key) !== model.delete(key)) return false;
      }
      const sorted = [...model].sort(byBytes);
      const found: string[] = [];
      for (const cursor = index.seek(probe); cursor.entry !== undefined; cursor.next()) found.push(cursor.entry.key);
      const cursor = index.seek(prefix);
      cursor.skipPrefix(prefix);
      const afterPrefix = sorted.find((name) => byBytes(name, prefix) >= 0 && !name.startsWith(prefix));
      return (
        index.size === sorted.length &&
        (index.get(probe) !== undefined) === model.has(probe) &&
        JSON.stringify(found) === JSON.stringify(sorted.filter((name) => byBytes(name, probe) >= 0)) &&
        cursor.entry?.key === afterPrefix
      );
    }),
    { numRuns: 500 },
  );
  t.end();
});

t.test('ten thousand keys over many leaves: inserts in any order, seeks, skips and deletes', (t) => {
  const names = Array.from({ length: 10_000 }, (_, at) => `d${at % 100}/f${(at * 7919) % 10_007}`);
  const sorted = [...names].sort(byBytes);
  const inserted = new KeyIndex<ObjectEntry>();
  for (const name of names) inserted.set(entry(name));
  const filled = new KeyIndex<ObjectEntry>();
  filled.fill(names.map(entry));
  for (const index of [inserted, filled]) {
    t.equal(index.size, 10_000);
    const all: string[] = [];
    for (const cursor = index.seek(''); cursor.entry !== undefined; cursor.next()) all.push(cursor.entry.key);
    t.same(all, sorted);
    const folders: string[] = [];
    for (const cursor = index.seek(''); cursor.entry !== undefined;) {
      const folder = cursor.entry.key.slice(0, cursor.entry.key.indexOf('/') + 1);
      folders.push(folder);
      cursor.skipPrefix(folder);
    }
    t.same(folders, [...new Set(sorted.map((name) => name.slice(0, name.indexOf('/') + 1)))]);
    for (const name of names.slice(0, 9_990)) index.delete(name);
    t.equal(index.size, 10);
    const left: string[] = [];
    for (const cursor = index.seek(''); cursor.entry !== undefined; cursor.next()) left.push(cursor.entry.key);
    t.same(left, names.slice(9_990).sort(byBytes));
  }
  t.end();
});

/** What a listing holds, by definition: every key, rolled up, in order. */
function naiveListing(keys: readonly string[], prefix: string, delimiter: string, startAfter: string): string[] {
  const rows = new Set<string>();
  for (const name of [...keys].sort(byBytes)) {
    if (!name.startsWith(prefix) || (startAfter !== '' && byBytes(name, startAfter) <= 0)) continue;
    const at = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    rows.add(at < 0 ? `key ${name}` : `prefix ${name.slice(0, at + delimiter.length)}`);
  }
  return [...rows];
}

t.test('listings, whole and in pages of every size, equal the definition', (t) => {
  const prefix = fc.oneof(fc.constant(''), key);
  const delimiter = fc.constantFrom('', '/', '-', 'ab', '/\ue000');
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { maxLength: 40 }),
      prefix,
      delimiter,
      prefix,
      fc.integer({ min: 1, max: 7 }),
      (keys, prefix, delimiter, startAfter, maxKeys) => {
        const index = new KeyIndex<ObjectEntry>();
        index.fill(keys.map(entry));
        const rows: string[] = [];
        let place: Parameters<typeof walk>[3] | null = { kind: 'key', name: startAfter };
        for (let pages = 0; place !== null && pages < 100; pages++) {
          const page: ReturnType<typeof walk> = walk(index, prefix, delimiter, place, maxKeys);
          const names = [
            ...page.entries.map((one) => ({ name: one.key, row: `key ${one.key}` })),
            ...page.prefixes.map((name) => ({ name, row: `prefix ${name}` })),
          ].sort((a, b) => byBytes(a.name, b.name));
          if (names.length > maxKeys || (page.next !== null && names.length < maxKeys)) return false;
          rows.push(...names.map(({ row }) => row));
          place = page.next;
        }
        const expected = naiveListing(keys, prefix, delimiter, startAfter);
        return JSON.stringify(rows) === JSON.stringify(expected);
      },
    ),
    { numRuns: 1000 },
  );
  t.end();
});
