/**
 * Conditions on reading: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since on GET and HEAD, alone and together.
 *
 * A mount pins the ETag of an open file with If-Match on every GET, so a server that ignored it would hand out mixed bytes. Precedence of
 * the four follows RFC 9110 section 13.2.2, which the S3 API reference restates.
 */
import assert from 'node:assert/strict';
import { etagOf } from './checksums.js';
import { onVersitygw, type CaseContext, type ContractCase } from './context.js';
import { put } from './helpers.js';
import { expectError, expectStatus, pathOf, sendSigned } from './raw.js';

const ETAG = etagOf('conditional');
const OTHER = '"00000000000000000000000000000000"';
const PAST = 'Sat, 01 Jan 2000 00:00:00 GMT';
/** S3 ignores an If-Modified-Since in the future, so "not modified since" needs the object's own time: see `run`. */
const OWN_TIME = 'own Last-Modified';

interface ConditionRow {
  readonly what: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly status: 200 | 206 | 304 | 412;
  readonly deviation?: Pick<ContractCase, 'deviations'>;
}

const NO_ETAG = onVersitygw('a 304 carries no ETag', /Expected values to be strictly equal/);
const NANOSECONDS = onVersitygw(
  'times are compared with fractions of a second that Last-Modified does not show',
  /\d{3} !== \d{3}/,
);

const ROWS: readonly ConditionRow[] = [
  { what: 'If-Match that matches', headers: { 'if-match': ETAG }, status: 200 },
  { what: 'If-Match without quotes', headers: { 'if-match': ETAG.slice(1, -1) }, status: 200 },
  { what: 'If-Match *', headers: { 'if-match': '*' }, status: 200 },
  { what: 'If-Match of another version', headers: { 'if-match': OTHER }, status: 412 },
  { what: 'If-None-Match that matches', headers: { 'if-none-match': ETAG }, status: 304, deviation: NO_ETAG },
  {
    what: 'If-None-Match without quotes',
    headers: { 'if-none-match': ETAG.slice(1, -1) },
    status: 304,
    deviation: NO_ETAG,
  },
  { what: 'If-None-Match of another version', headers: { 'if-none-match': OTHER }, status: 200 },
  { what: 'If-Modified-Since the past', headers: { 'if-modified-since': PAST }, status: 200 },
  {
    what: 'If-Modified-Since its own time',
    headers: { 'if-modified-since': OWN_TIME },
    status: 304,
    deviation: NANOSECONDS,
  },
  {
    what: 'If-Unmodified-Since its own time',
    headers: { 'if-unmodified-since': OWN_TIME },
    status: 200,
    deviation: NANOSECONDS,
  },
  { what: 'If-Unmodified-Since the past', headers: { 'if-unmodified-since': PAST }, status: 412 },
  {
    what: 'If-Match true wins over If-Unmodified-Since false',
    headers: { 'if-match': ETAG, 'if-unmodified-since': PAST },
    status: 200,
  },
  {
    what: 'If-None-Match true (changed) wins over If-Modified-Since false',
    headers: { 'if-none-match': ETAG, 'if-modified-since': PAST },
    status: 304,
    deviation: NO_ETAG,
  },
  { what: 'If-Match with a range', headers: { 'if-match': ETAG, range: 'bytes=0-3' }, status: 206 },
  { what: 'If-Match of another version with a range', headers: { 'if-match': OTHER, range: 'bytes=0-3' }, status: 412 },
  {
    what: 'If-Match of another version with an unsatisfiable range',
    headers: { 'if-match': OTHER, range: 'bytes=100-200' },
    status: 412,
  },
];

async function ask(ctx: CaseContext, method: 'GET' | 'HEAD', row: ConditionRow): Promise<void> {
  await put(ctx, 'c', 'conditional');
  const request = { method, path: pathOf(ctx.bucket, 'c') };
  const plain = await sendSigned(ctx, { ...request, method: 'HEAD' });
  const ownTime = plain.headers['last-modified'] ?? '';
  const headers = Object.fromEntries(
    Object.entries(row.headers).map(([name, value]) => [name, value === OWN_TIME ? ownTime : value]),
  );
  const answer = await sendSigned(ctx, { ...request, headers });
  if (row.status === 412 && method === 'GET') {
    expectError(answer, 412, 'PreconditionFailed');
    return;
  }
  expectStatus(answer, row.status);
  if (row.status === 304) {
    assert.equal(answer.body.length, 0);
    assert.equal(answer.headers['etag'], ETAG);
  }
  if (method === 'GET' && row.status < 300) {
    assert.equal(answer.body.toString(), row.status === 206 ? 'cond' : 'conditional');
  }
}

export const conditionCases: readonly ContractCase[] = [
  ...ROWS.map((row) => ({
    name: `condition on GET: ${row.what}: ${row.status}`,
    ...row.deviation,
    run: (ctx: CaseContext) => ask(ctx, 'GET', row),
  })),
  ...ROWS.filter((row) => row.status !== 206).map((row) => ({
    name: `condition on HEAD: ${row.what}: ${row.status}`,
    ...row.deviation,
    run: (ctx: CaseContext) => ask(ctx, 'HEAD', row),
  })),
  {
    name: 'condition on GET: of a missing key is NoSuchKey',
    run: async (ctx) => {
      const request = { method: 'GET', path: pathOf(ctx.bucket, 'missing'), headers: { 'if-match': ETAG } };
      expectError(await sendSigned(ctx, request), 404, 'NoSuchKey');
    },
  },
];
