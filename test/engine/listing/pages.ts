/**
 * Random LIST answers for tests: what a store names, and the XML that it might write of it, in ways that differ from store
 * to store (encoding, order of elements, namespaces, references, white space, fields that we do not know).
 */
import fc from 'fast-check';
import { percentEncodePath } from '../../../dev/s3-server/http/percent.js';
import type { ObjectHead } from '../../../src/engine/api.js';

export interface Answer {
  readonly prefix: string;
  readonly objects: readonly ObjectHead[];
  readonly commonPrefixes: readonly string[];
  readonly token: string | undefined;
}

export interface Dialect {
  readonly encodes: boolean;
  /** `EncodingType` after the keys, as some stores have it. */
  readonly fieldsLast: boolean;
  readonly namespacePrefix: string;
  readonly indent: boolean;
  /** Characters as numeric references, and CDATA. */
  readonly references: 'named' | 'numbers' | 'cdata';
  readonly extras: boolean;
}

const part = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('a', 'b', 'a-b', 'a.txt', 'ab', 'ü', '🐙', 'x y', 'p+q', '100%', '&amp;', '<k>'),
  },
  {
    weight: 2,
    arbitrary: fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' }).map((text) => text.replaceAll('/', '_')),
  },
  { weight: 1, arbitrary: fc.constantFrom('..', '.', ' ', '\t', 'n\nl', '"q"', "'", '%41', ']]>', 'x'.repeat(300)) },
);

const etag = fc.oneof(
  fc.constant('"d41d8cd98f00b204e9800998ecf8427e"'),
  fc.constant(''),
  fc.constant('"0123456789abcdef0123456789abcdef-12"'),
  fc.constantFrom('bare', '"a&b"'),
);

export const answers: fc.Arbitrary<Answer> = fc
  .record({
    prefix: fc.constantFrom('', 'd/', 'ünï/x y/'),
    names: fc.uniqueArray(
      fc.tuple(part, fc.option(part)).map(([a, b]) => a + (b ?? '')),
      { maxLength: 12 },
    ),
    directories: fc.uniqueArray(part, { maxLength: 5 }),
    marker: fc.boolean(),
    token: fc.option(fc.string({ minLength: 1, maxLength: 20 }), { nil: undefined }),
    etags: fc.array(etag, { minLength: 13, maxLength: 13 }),
    sizes: fc.array(fc.constantFrom(0, 1, 4096, 5368709121, 5e12), { minLength: 13, maxLength: 13 }),
    classes: fc.array(fc.constantFrom('', '', 'GLACIER', 'DEEP_ARCHIVE', 'STANDARD_IA'), {
      minLength: 13,
      maxLength: 13,
    }),
    times: fc.array(fc.integer({ min: 0, max: 4e12 }), { minLength: 13, maxLength: 13 }),
  })
  .map(({ prefix, names, directories, marker, token, etags, sizes, classes, times }) => {
    const keys = [...names.map((name) => prefix + name), ...(marker && prefix !== '' ? [prefix] : [])];
    const order = (list: readonly string[]): string[] =>
      list.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const objects = order(keys).map((key, index) => ({
      key,
      etag: etags[index] ?? '',
      sizeBytes: sizes[index] ?? 0,
      lastModifiedMs: times[index] ?? 0,
      storageClass: classes[index] ?? '',
      restored: classes[index] === 'GLACIER' && (times[index] ?? 0) % 2 === 0,
    }));
    const commonPrefixes = order(directories.map((name) => `${prefix}${name}/`));
    return { prefix, objects, commonPrefixes, token };
  });

export const dialects: fc.Arbitrary<Dialect> = fc.record({
  encodes: fc.boolean(),
  fieldsLast: fc.boolean(),
  namespacePrefix: fc.constantFrom('', '', 'ns2:'),
  indent: fc.boolean(),
  references: fc.constantFrom('named', 'numbers', 'cdata'),
  extras: fc.boolean(),
});

const NAMED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

function escaped(text: string, dialect: Dialect): string {
  if (dialect.references === 'cdata' && !text.includes(']]>') && !text.includes('\r')) return `<![CDATA[${text}]]>`;
  return [...text]
    .map((char) => {
      const code = char.codePointAt(0) ?? 0;
      if (dialect.references === 'numbers' && (code > 126 || char in NAMED)) return `&#x${code.toString(16)};`;
      if (code < 32) return `&#${code};`;
      return NAMED[char] ?? char;
    })
    .join('');
}

/** The answer as a store of that dialect would write it. */
export function writeXml(answer: Answer, dialect: Dialect): Buffer {
  const ns = dialect.namespacePrefix;
  const newline = dialect.indent ? '\n  ' : '';
  const tag = (name: string, inner: string): string => `${newline}<${ns}${name}>${inner}</${ns}${name}>`;
  const text = (name: string, value: string): string => tag(name, escaped(value, dialect));
  const key = (name: string): string => (dialect.encodes ? percentEncodePath(name).replaceAll('%20', '+') : name);
  const extra = dialect.extras
    ? `<!-- a <comment> --><Unknown a="1>2" b='"'><Key>no</Key><x/></Unknown>${tag('Owner', text('ID', 'me'))}`
    : '';
  const objects = answer.objects.map((object) =>
    tag(
      'Contents',
      text('Key', key(object.key)) +
        extra +
        text('LastModified', new Date(object.lastModifiedMs).toISOString()) +
        (object.etag === '' ? '' : text('ETag', object.etag)) +
        text('Size', String(object.sizeBytes)) +
        text('StorageClass', object.storageClass === '' ? 'STANDARD' : object.storageClass) +
        (object.restored
          ? tag(
              'RestoreStatus',
              text('IsRestoreInProgress', 'false') + text('RestoreExpiryDate', '2030-01-01T00:00:00Z'),
            )
          : ''),
    ),
  );
  const prefixes = answer.commonPrefixes.map((name) => tag('CommonPrefixes', text('Prefix', key(name))));
  const fields =
    text('Name', 'bucket') +
    text('Prefix', key(answer.prefix)) +
    (dialect.encodes ? text('EncodingType', 'url') : '') +
    text('IsTruncated', String(answer.token !== undefined)) +
    (answer.token === undefined ? '' : text('NextContinuationToken', answer.token));
  const listed = objects.join('') + prefixes.join('');
  const inner = dialect.fieldsLast ? listed + fields : fields + listed;
  const xmlns = ns === '' ? 'xmlns' : 'xmlns:ns2';
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n';
  const uri = 'http://s3.amazonaws.com/doc/2006-03-01/';
  return Buffer.from(`${head}<${ns}ListBucketResult ${xmlns}="${uri}">${inner}${newline}</${ns}ListBucketResult>\n`);
}
