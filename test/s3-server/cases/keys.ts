/**
 * Keys that are hard to keep: as names of files, in URLs, in XML, in listings.
 *
 * Each row goes the whole way: PUT, HEAD, GET, LIST (with and without URL encoding), copy, DELETE, and it must not disturb a neighbour that
 * a careless server would confuse it with. Keys here are what users' buckets contain: tools write `//`, trailing spaces and every kind of
 * escape.
 */
import assert from 'node:assert/strict';
import { CopyObjectCommand, DeleteObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { etagOf } from './checksums.js';
import { expectFailure, notOnVersitygw, onVersitygw, type CaseContext, type ContractCase } from './context.js';
import { get, head, keysOf, listAll, put, putAll } from './helpers.js';
import { encodeUri, expectStatus, pathOf, sendSigned, xmlTexts } from './raw.js';

interface KeyRow {
  readonly what: string;
  readonly key: string;
  /** A different key that must stay a different object. */
  readonly neighbour?: string;
  /** The listing needs encoding-type=url because XML 1.0 cannot hold the key. */
  readonly notInXml?: true;
  readonly deviation?: Pick<ContractCase, 'deviations'>;
}

const PATH_KEYS = onVersitygw('keys are paths of files: empty, "." and ".." segments are refused or normalised');
const LONG_SEGMENTS = onVersitygw('keys are paths of files: a segment has at most 255 bytes');

const ROWS: readonly KeyRow[] = [
  { what: 'spaces', key: 'a b  c', neighbour: 'a+b++c' },
  { what: 'leading and trailing spaces', key: ' a ', neighbour: 'a' },
  { what: 'only a space', key: ' ' },
  { what: 'plus', key: 'a+b', neighbour: 'a b' },
  { what: 'percent', key: '100%', neighbour: '100' },
  { what: 'what looks like an escape', key: 'a%2Fb', neighbour: 'a/b' },
  { what: 'what looks like a double escape', key: 'a%252Fb', neighbour: 'a%2Fb' },
  { what: 'question mark', key: 'a?b=c', neighbour: 'a' },
  { what: 'hash', key: 'a#b', neighbour: 'a' },
  { what: 'ampersand and angle brackets', key: 'a&b<c>"d\'', neighbour: 'a&amp;b' },
  { what: 'backslash', key: 'a\\b', neighbour: 'a/b' },
  { what: 'colon, at, semicolon, comma, dollar', key: 'a:b@c;d,e$f', neighbour: 'a' },
  { what: 'brackets, braces, pipe, caret, backtick, tilde', key: '[a]{b}|c^d`e~f' },
  { what: "SigV4's special ones: !'()*", key: "a!b'c(d)e*f" },
  { what: 'equals and dots', key: 'a=b.c..d...' },
  { what: 'UTF-8', key: 'Ünïcödé/ключ/鍵', neighbour: 'Unicode' },
  { what: 'characters above U+FFFF', key: '\u{1F600}\u{10FFFF}' },
  { what: 'composed and decomposed forms are two keys', key: '\u00e9', neighbour: 'e\u0301' },
  { what: 'upper and lower case are two keys', key: 'Case', neighbour: 'case' },
  { what: 'newline and tab', key: 'a\nb\tc', neighbour: 'a b c', notInXml: true },
  { what: 'carriage return', key: 'a\rb', neighbour: 'a\nb', notInXml: true },
  { what: 'control characters', key: 'a\u0001b\u001fc\u007f', notInXml: true },
  { what: 'leading dot', key: '.hidden', neighbour: 'hidden' },
  { what: 'leading slash', key: '/lead', neighbour: 'lead', deviation: PATH_KEYS },
  { what: 'double slash', key: 'a//b', neighbour: 'a/b', deviation: PATH_KEYS },
  { what: 'only slashes', key: '//', deviation: PATH_KEYS },
  { what: 'two dots', key: 'a/../b', neighbour: 'b', deviation: PATH_KEYS },
  { what: 'two dots at the start', key: '../../outside', neighbour: 'outside', deviation: PATH_KEYS },
  { what: 'only two dots', key: '..', deviation: PATH_KEYS },
  { what: 'one dot', key: 'a/./b', neighbour: 'a/b', deviation: PATH_KEYS },
  { what: 'only one dot', key: '.', deviation: PATH_KEYS },
  { what: '1,024 bytes in segments', key: `${'d'.repeat(200)}/`.repeat(5) + 'f'.repeat(19) },
  { what: '1,024 bytes in one segment', key: 'k'.repeat(1024), neighbour: 'k'.repeat(1023), deviation: LONG_SEGMENTS },
  { what: '1,024 bytes of UTF-8', key: '€'.repeat(341) + 'x', deviation: LONG_SEGMENTS },
  { what: 'a segment of 256 bytes', key: `a/${'s'.repeat(256)}/b`, neighbour: 'a/b', deviation: LONG_SEGMENTS },
  { what: '512 nested folders', key: 'a/'.repeat(511) + 'b' },
  { what: 'names that servers use inside', key: '.s3x/.meta/.uploads/x', neighbour: '.s3x/x' },
];

async function listedUrlEncoded(ctx: CaseContext): Promise<string[]> {
  const query = { 'list-type': '2', 'encoding-type': 'url' };
  const answer = await sendSigned(ctx, { method: 'GET', path: pathOf(ctx.bucket), query });
  expectStatus(answer, 200);
  return xmlTexts(answer.body.toString(), 'Key').map((key) => decodeURIComponent(key.replace(/\+/g, ' ')));
}

async function wholeWay(ctx: CaseContext, row: KeyRow): Promise<void> {
  const { key } = row;
  const { ETag } = await put(ctx, key, `bytes of ${key}`);
  assert.equal(ETag, etagOf(`bytes of ${key}`));
  if (row.neighbour !== undefined) {
    await expectFailure(head(ctx, row.neighbour), 404);
    // "a" beside "a/b" has rows of its own below; here the neighbour is only put when it is no folder of the key.
    if (!key.startsWith(`${row.neighbour}/`)) await put(ctx, row.neighbour, 'neighbour');
  }
  assert.equal((await head(ctx, key)).ContentLength, Buffer.byteLength(`bytes of ${key}`));
  assert.equal((await get(ctx, key)).bytes.toString(), `bytes of ${key}`);
  if (!ctx.server.deviations.has('no-encoding-type')) {
    assert.ok((await listedUrlEncoded(ctx)).includes(key), 'listed with encoding-type=url');
  }
  if (row.notInXml === undefined) {
    assert.ok((await keysOf(ctx)).includes(key), 'listed without encoding');
    const exact = await listAll(ctx, { Prefix: key });
    assert.equal(exact.keys[0], key, 'listed by its own prefix');
  }
  await ctx.s3.send(
    new CopyObjectCommand({ Bucket: ctx.bucket, Key: 'zz-copy', CopySource: encodeUri(`${ctx.bucket}/${key}`) }),
  );
  assert.equal((await get(ctx, 'zz-copy')).bytes.toString(), `bytes of ${key}`);
  await ctx.s3.send(new DeleteObjectCommand({ Bucket: ctx.bucket, Key: key }));
  await expectFailure(get(ctx, key), 404, 'NoSuchKey');
  if (row.neighbour !== undefined && !key.startsWith(`${row.neighbour}/`)) {
    assert.equal((await get(ctx, row.neighbour)).bytes.toString(), 'neighbour');
  }
}

const BESIDE = notOnVersitygw('keys are paths of files: `a` and `a/b` cannot exist together');

export const keyCases: readonly ContractCase[] = [
  ...ROWS.map((row) => ({
    name: `key: ${row.what}`,
    ...row.deviation,
    run: (ctx: CaseContext) => wholeWay(ctx, row),
  })),
  {
    name: 'key: 1,025 bytes are KeyTooLongError',
    run: async (ctx) => {
      await expectFailure(put(ctx, 'k'.repeat(1025)), 400, 'KeyTooLongError');
      await expectFailure(put(ctx, '€'.repeat(342)), 400, 'KeyTooLongError');
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  ...[
    ['a', 'a/b'],
    ['a/b', 'a'],
    ['x/y', 'x/y/z/w'],
    ['a', 'a/'],
    ['a/', 'a/b'],
    ['a', 'a//b'],
  ].map(([first = '', second = '']) => ({
    name: `key: ${first} put first, then ${second}`,
    ...(first === 'a/' ? {} : BESIDE),
    run: async (ctx: CaseContext) => {
      await putAll(ctx, [first, second]);
      const expected = [first, second].sort();
      assert.deepEqual(await keysOf(ctx), expected);
      for (const key of expected) {
        assert.equal((await get(ctx, key)).bytes.toString(), key.endsWith('/') ? '' : key);
      }
      const folded = await ctx.s3.send(new ListObjectsV2Command({ Bucket: ctx.bucket, Delimiter: '/' }));
      const prefixes = (folded.CommonPrefixes ?? []).map((entry) => entry.Prefix ?? '');
      const prefix = `${first.split('/')[0] ?? ''}/`;
      assert.deepEqual(prefixes, [prefix]);
      await put(ctx, first, first.endsWith('/') ? '' : 'replaced');
      await put(ctx, second, second.endsWith('/') ? '' : 'replaced too');
      assert.deepEqual(await keysOf(ctx), expected);
      await ctx.s3.send(new DeleteObjectCommand({ Bucket: ctx.bucket, Key: first }));
      assert.deepEqual(await keysOf(ctx), [second]);
      await put(ctx, first);
      await ctx.s3.send(new DeleteObjectCommand({ Bucket: ctx.bucket, Key: second }));
      assert.deepEqual(await keysOf(ctx), [first]);
    },
  })),
  {
    name: 'key: a marker that has bytes',
    ...onVersitygw('keys are paths of files: a key that ends in a slash holds no bytes', /data payload/),
    run: async (ctx) => {
      await put(ctx, 'dir/', 'bytes in a marker');
      await put(ctx, 'dir/a', 'x');
      assert.equal((await get(ctx, 'dir/')).bytes.toString(), 'bytes in a marker');
      assert.deepEqual(await keysOf(ctx), ['dir/', 'dir/a']);
    },
  },
  {
    name: 'key: path traversal never leaves the bucket',
    run: async (ctx) => {
      const other = await ctx.newBucket();
      await put({ ...ctx, bucket: other }, 'secret', 'secret');
      for (const path of [
        `/${ctx.bucket}/../${other}/secret`,
        `/${ctx.bucket}/%2E%2E/${other}/secret`,
        `/${ctx.bucket}/..%2F${other}%2Fsecret`,
        `/${ctx.bucket}/a/../../${other}/secret`,
        `/${ctx.bucket}/../../../../../../etc/passwd`,
        `/${ctx.bucket}/..%2F..%2F..%2F..%2F..%2F..%2Fetc%2Fpasswd`,
      ]) {
        const answer = await sendSigned(ctx, { method: 'GET', path });
        assert.ok(answer.status >= 400 && answer.status < 500, `${path} answered ${answer.status}`);
      }
      for (const path of [`/../${other}/secret`, `/%2E%2E/etc/passwd`, `/..`]) {
        const answer = await sendSigned(ctx, { method: 'GET', path });
        assert.ok(!answer.body.toString().includes('root:'), path);
      }
    },
  },
  {
    name: 'key: escapes of bytes that are not UTF-8 are refused',
    ...onVersitygw('bytes that are not UTF-8 are kept', /answered 200/),
    run: async (ctx) => {
      for (const escaped of ['a%FFb', '%C0%AE', '%ED%A0%80', '%E2%82']) {
        const answer = await sendSigned(ctx, { method: 'PUT', path: `/${ctx.bucket}/${escaped}`, body: 'x' });
        assert.ok(answer.status >= 400 && answer.status < 500, `${escaped} answered ${answer.status}`);
      }
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  {
    name: 'key: a NUL byte is refused, or kept as every other byte',
    ...onVersitygw('a NUL byte in a key answers 500', /answered 500/),
    run: async (ctx) => {
      await put(ctx, 'a', 'neighbour');
      const answer = await sendSigned(ctx, { method: 'PUT', path: `/${ctx.bucket}/a%00b`, body: 'x' });
      const isRefused = answer.status >= 400 && answer.status < 500;
      assert.ok(isRefused || answer.status === 200, `answered ${answer.status}`);
      assert.deepEqual(await listedUrlEncoded(ctx), isRefused ? ['a'] : ['a', 'a\0b']);
      assert.equal((await get(ctx, 'a')).bytes.toString(), 'neighbour');
    },
  },
];
