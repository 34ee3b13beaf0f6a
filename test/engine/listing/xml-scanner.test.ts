/**
 * The scanner against what was written, against the SDK's XML parser, cut at every byte, and against garbage.
 */
import assert from 'node:assert/strict';
import { XMLParser } from 'fast-xml-parser';
import fc from 'fast-check';
import t from 'tap';
import type { ListPage, ObjectHead } from '../../../src/engine/api.js';
import {
  ColumnViews,
  headOfRow,
  ROW_DIRECTORY,
  ROW_SHADOWED,
  type ListColumns,
} from '../../../src/engine/listing/columns.js';
import { packPage } from '../../../src/engine/listing/row-collector.js';
import { ListingError, ListScanner } from '../../../src/engine/listing/xml-scanner.js';
import { decodeKey } from '../../../src/engine/store/decode-key.js';
import { answers, dialects, writeXml, type Answer } from './pages.js';

/** Columns as plain data. */
function unpack(columns: ListColumns, prefix: string): unknown {
  const views = new ColumnViews(columns.buffer, columns.rows);
  const rows = Array.from({ length: columns.rows }, (_, row) => {
    const head = headOfRow(views, columns.classNames, row, prefix);
    const flags = views.flags[row] ?? 0;
    return (flags & ROW_DIRECTORY) !== 0 ? head.key : { ...head, shadowed: (flags & ROW_SHADOWED) !== 0 };
  });
  const { keys, hiddenKeys, shadowedFiles, firstKey, lastKey, isSorted, nextToken } = columns;
  return { rows, keys, hiddenKeys, shadowedFiles, firstKey, lastKey, isSorted, nextToken };
}

function scan(xml: Uint8Array, prefix: string, cuts: readonly number[] = []): ListColumns {
  const scanner = new ListScanner();
  let from = 0;
  for (const cut of [...cuts, xml.length]) {
    scanner.push(xml.subarray(from, cut));
    from = cut;
  }
  return scanner.finish(prefix);
}

/** What the objects say, packed from objects. */
function expected(answer: Answer): unknown {
  const page: ListPage = {
    objects: answer.objects,
    commonPrefixes: answer.commonPrefixes,
    nextToken: answer.token,
  };
  return unpack(packPage(page, answer.prefix), answer.prefix);
}

t.test('any answer in any dialect, in any pieces', (t) => {
  fc.assert(
    fc.property(answers, dialects, fc.array(fc.nat(), { maxLength: 10 }), (answer, dialect, places) => {
      const xml = writeXml(answer, dialect);
      const cuts = places.map((place) => place % xml.length).sort((a, b) => a - b);
      assert.deepEqual(unpack(scan(xml, answer.prefix, cuts), answer.prefix), expected(answer));
    }),
    { numRuns: 600 },
  );
  t.pass('600 answers');
  t.end();
});

t.test('every split in two, and byte by byte; every truncation is refused', (t) => {
  const [answer, dialect] = fc.sample(
    fc.tuple(
      answers.filter((some) => some.objects.length > 4 && some.commonPrefixes.length > 1),
      dialects,
    ),
    { numRuns: 1, seed: 7 },
  )[0] ?? [undefined, undefined];
  assert.ok(answer && dialect);
  const xml = writeXml(answer, dialect);
  const wanted = expected(answer);
  for (let cut = 0; cut <= xml.length; cut++) {
    assert.deepEqual(unpack(scan(xml, answer.prefix, [cut]), answer.prefix), wanted, `cut at ${cut}`);
  }
  assert.deepEqual(unpack(scan(xml, answer.prefix, [...xml.keys()]), answer.prefix), wanted);
  const end = xml.lastIndexOf('>');
  for (let length = 0; length <= end; length++) {
    assert.throws(() => scan(xml.subarray(0, length), answer.prefix), ListingError, `${length} of ${xml.length} bytes`);
  }
  t.pass(`${xml.length} splits and truncations`);
  t.end();
});

/** The page as the SDK would see it: its parser with its settings, and our decoding of names. */
function bySdkParser(xml: Buffer): ListPage {
  const parser = new XMLParser({
    attributeNamePrefix: '',
    htmlEntities: true,
    ignoreAttributes: true,
    ignoreDeclaration: true,
    parseTagValue: false,
    trimValues: false,
    removeNSPrefix: true,
    tagValueProcessor: (_name, value: unknown) =>
      typeof value === 'string' && value.trim() === '' && value.includes('\n') ? '' : undefined,
    isArray: (name) => name === 'Contents' || name === 'CommonPrefixes',
  });
  parser.addEntity('#xD', '\r');
  parser.addEntity('#10', '\n');
  type Node = Readonly<Record<string, unknown>>;
  const root = (parser.parse(xml.toString('utf8'), true) as { ListBucketResult: Node }).ListBucketResult;
  const text = (node: Node, name: string): string => {
    const value = node[name];
    return typeof value === 'string' ? value : '';
  };
  const decode = text(root, 'EncodingType') === 'url' ? decodeKey : (name: string): string => name;
  const objects = ((root['Contents'] ?? []) as Node[]).map((entry): ObjectHead => {
    const restore = entry['RestoreStatus'] as Node | undefined;
    const storageClass = text(entry, 'StorageClass');
    return {
      key: decode(text(entry, 'Key')),
      etag: text(entry, 'ETag'),
      sizeBytes: Number(text(entry, 'Size')),
      lastModifiedMs: Date.parse(text(entry, 'LastModified')),
      storageClass: storageClass === 'STANDARD' ? '' : storageClass,
      restored: restore !== undefined && text(restore, 'IsRestoreInProgress') === 'false',
    };
  });
  const commonPrefixes = ((root['CommonPrefixes'] ?? []) as Node[]).map((entry) => decode(text(entry, 'Prefix')));
  const nextToken = text(root, 'IsTruncated') === 'true' ? text(root, 'NextContinuationToken') : undefined;
  return { objects, commonPrefixes, nextToken };
}

t.test("the SDK's parser sees the same", (t) => {
  fc.assert(
    fc.property(answers, dialects, (answer, dialect) => {
      // Stores write control characters as references or encode them; that parser knows few of the former.
      const plain = { ...dialect, encodes: true, extras: false };
      const xml = writeXml({ ...answer, token: answer.token === undefined ? undefined : 'tok+/=' }, plain);
      const sdk = packPage(bySdkParser(xml), answer.prefix);
      assert.deepEqual(unpack(scan(xml, answer.prefix), answer.prefix), unpack(sdk, answer.prefix));
    }),
    { numRuns: 300 },
  );
  t.pass('300 answers');
  t.end();
});

t.test('what is no listing is refused, and told apart from what was damaged', (t) => {
  const listing = (inner: string): string => `<ListBucketResult>${inner}</ListBucketResult>`;
  const cases: [string, 'NotAnS3Server' | 'BrokenListing'][] = [
    ['', 'NotAnS3Server'],
    ['hello', 'NotAnS3Server'],
    ['{"hello":1}', 'NotAnS3Server'],
    ['<!DOCTYPE html><html></html>', 'NotAnS3Server'],
    ['<html><body>hello</body></html>', 'NotAnS3Server'],
    ['<ListAllMyBucketsResult></ListAllMyBucketsResult>', 'NotAnS3Server'],
    [listing('<IsTruncated>true</IsTruncated>'), 'NotAnS3Server'],
    ['<Error><Code>InternalError</Code></Error>', 'BrokenListing'],
    ['<ListBucketResult>', 'BrokenListing'],
    ['<ListBucketResult><Contents></ListBucketResult>', 'BrokenListing'],
    [listing('<Contents><Key>a</Key></Contents></Contents>'), 'BrokenListing'],
    [listing('<Contents><Key>a</key></Contents>'), 'BrokenListing'],
    // Not a name that vanishes, nor a file that reads as empty.
    [listing('<Contents><Key>a</Key><ETag>"e"</ETag></Contents>'), 'BrokenListing'],
    [listing('<Contents><Key>a</Key><Size></Size></Contents>'), 'BrokenListing'],
    [listing('<Contents><Key>a</Key><Size>1</Size></Contents><Contents><Key>b</Key></Contents>'), 'BrokenListing'],
    [listing('<Contents><Size>1</Size></Contents>'), 'BrokenListing'],
    [listing('<CommonPrefixes></CommonPrefixes>'), 'BrokenListing'],
    [listing('<Contents><Key>a</Key><Size>-1</Size></Contents>'), 'BrokenListing'],
    [listing('<Contents><Key>a</Key><Size>x</Size></Contents>'), 'BrokenListing'],
    [listing('<!ENTITY a "b">'), 'BrokenListing'],
    [listing('<a <b></a>'), 'BrokenListing'],
    [`${listing('')}<more/>`, 'BrokenListing'],
    [`${listing('')}more`, 'BrokenListing'],
    [listing('<a>'.repeat(40) + '</a>'.repeat(40)), 'BrokenListing'],
  ];
  for (const [text, code] of cases) {
    const xml = Buffer.from(text);
    for (const cuts of [[], [...xml.keys()]]) {
      assert.throws(
        () => scan(xml, '', cuts),
        (error: unknown) => error instanceof ListingError && error.code === code,
        text.slice(0, 60),
      );
    }
  }
  t.pass(`${cases.length} answers`);
  t.end();
});

t.test('a text that does not end is not kept for ever', (t) => {
  const scanner = new ListScanner();
  scanner.push(Buffer.from('<ListBucketResult><Contents><Key>'));
  t.throws(() => {
    for (let chunk = 0; chunk < 100; chunk++) scanner.push(Buffer.alloc(1000, 'k'));
  }, ListingError);
  t.end();
});

t.test('random bytes, and damaged answers: a listing or a ListingError, nothing else', (t) => {
  const tryIt = (xml: Uint8Array): void => {
    try {
      scan(xml, 'd/');
    } catch (error) {
      assert.ok(error instanceof ListingError, String(error));
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => tryIt(bytes)),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(
      answers,
      dialects,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (...some) => {
        const [answer, dialect, changes] = some;
        const xml = writeXml(answer, dialect);
        for (const [at, byte] of changes) xml[at % xml.length] = byte;
        tryIt(xml);
      },
    ),
    { numRuns: 1000 },
  );
  t.pass('1500 inputs');
  t.end();
});

t.test('odd but right', (t) => {
  const page = scan(
    Buffer.from(
      '\ufeff<?xml version="1.0"?><!-- c --><x:ListBucketResult xmlns:x="u">' +
        '<x:Contents><x:ETag>&#34;e&#34;</x:ETag><x:Size> 7 </x:Size><x:Key>a&amp;b&unknown;&#x1F419;</x:Key>' +
        '<x:LastModified>Fri, 02 Jan 2026 03:04:05 GMT</x:LastModified></x:Contents>' +
        '<x:Contents><x:Key>line\r\nend</x:Key><x:Size>0</x:Size></x:Contents>' +
        '<x:Contents><x:Key>b<!-- c -->c<![CDATA[<d>]]></x:Key><x:Size>0</x:Size><x:LastModified>never</x:LastModified></x:Contents>' +
        '</x:ListBucketResult>  \n',
    ),
    '',
  );
  const views = new ColumnViews(page.buffer, page.rows);
  t.same(
    [0, 1, 2].map((row) => headOfRow(views, page.classNames, row, '')),
    [
      { key: 'a&b&unknown;🐙', etag: '"e"', sizeBytes: 7, lastModifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5) },
      { key: 'bc<d>', etag: '', sizeBytes: 0, lastModifiedMs: 0 },
      { key: 'line\nend', etag: '', sizeBytes: 0, lastModifiedMs: 0 },
    ].map((head) => ({ ...head, storageClass: '', restored: false })),
  );
  t.equal(scan(Buffer.from('<ListBucketResult/>'), '').rows, 0);
  t.end();
});

t.test('keys that are no UTF-8, keys out of order, more classes than a byte can count', (t) => {
  const xml =
    '<ListBucketResult><EncodingType>url</EncodingType>' +
    ['b%FFad', 'a', 'a'].map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join('') +
    Array.from(
      { length: 300 },
      (_, index) => `<Contents><Key>c${index}</Key><Size>1</Size><StorageClass>C${index}</StorageClass></Contents>`,
    ).join('') +
    '</ListBucketResult>';
  const page = scan(Buffer.from(xml), '');
  const views = new ColumnViews(page.buffer, page.rows);
  const heads = Array.from({ length: page.rows }, (_, row) => headOfRow(views, page.classNames, row, ''));
  t.equal(page.isSorted, false);
  t.same(
    heads.slice(0, 3).map((head) => head.key),
    ['a', 'b\ufffdad', 'c0'],
  );
  t.equal(heads.length, 302, 'a key that came twice is there once');
  t.equal(heads.find((head) => head.key === 'c7')?.storageClass, 'C7');
  t.equal(heads.find((head) => head.key === 'c299')?.storageClass, 'OTHER');
  t.end();
});
