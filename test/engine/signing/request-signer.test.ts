/**
 * Signed requests: AWS's published example, and equality with what the SDK's own S3 client sends for odd keys.
 */
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Hash } from '@smithy/hash-node';
import { HttpRequest, HttpResponse } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { Readable } from 'node:stream';
import t from 'tap';
import type { DataTarget } from '../../../src/engine/api.js';
import { encodeKey, objectPath } from '../../../src/engine/signing/object-path.js';
import { RequestSigner } from '../../../src/engine/signing/request-signer.js';
import { Signature, amzDateOf, type HeaderField } from '../../../src/engine/signing/signature.js';

const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const wallMs = Date.UTC(2013, 4, 24);

const target: DataTarget = {
  tls: true,
  hostname: 'examplebucket.s3.amazonaws.com',
  port: 443,
  hostHeader: 'examplebucket.s3.amazonaws.com',
  basePath: '',
  signingRegion: 'us-east-1',
  signingService: 's3',
  headers: {},
  userAgent: 'mount-s3x/test',
  maxAttempts: 3,
  localAddresses: [],
};

class Sha256 extends Hash {
  constructor(secret?: ConstructorParameters<typeof Hash>[1]) {
    super('sha256', secret);
  }
}

const oddKeys = [
  'plain/key.txt',
  'a b',
  'a+b',
  'a//b',
  '//a',
  'a/',
  './a',
  '../a',
  'a/./b',
  'a/../b',
  '.',
  '..',
  'a?b=c&d',
  'a#b',
  'a%20b',
  '%2F',
  'line\nbreak',
  'tab\tnul\u0001',
  'quote\'"(x)*!~',
  'ümlaut/日本語/🦊',
  'back\\slash',
  'semi;colon:at@eq=,$',
];

interface Parsed {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

function parse(request: string): Parsed {
  const [line = '', ...lines] = request.slice(0, -4).split('\r\n');
  const headers: Record<string, string> = {};
  for (const text of lines) headers[text.slice(0, text.indexOf(':'))] = text.slice(text.indexOf(':') + 2);
  const parts = line.split(' ');
  t.equal(parts.length, 3, 'one request line');
  return { path: parts[1] ?? '', headers };
}

function signer(more: Partial<DataTarget> = {}, now = wallMs): RequestSigner {
  const made = new RequestSigner(
    { target: { ...target, ...more }, absolutePrefix: '', hopHeaders: {} },
    { wallMs: () => now },
  );
  made.setCredentials(credentials);
  return made;
}

t.test('the example of the S3 documentation (GET Object with a Range)', (t) => {
  // "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", example GET Object.
  const signature = new Signature(credentials, { region: 'us-east-1', service: 's3' });
  const amzDate = amzDateOf(wallMs);
  const fields: HeaderField[] = [
    ['host', 'examplebucket.s3.amazonaws.com'],
    ['range', 'bytes=0-9'],
    ['x-amz-content-sha256', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['x-amz-date', amzDate],
  ];
  t.equal(
    signature.authorization('GET', objectPath('', 'test.txt'), '', fields, amzDate),
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ' +
      'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, ' +
      'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );
  t.end();
});

t.test('a listing, the next day, and blanks in values: as the SDK signs them', async (t) => {
  const made = signer({ basePath: '/bucket' });
  const v4 = new SignatureV4({
    credentials,
    region: 'us-east-1',
    service: 's3',
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
  for (const day of [0, 1, 1, 40]) {
    const now = wallMs + day * 86_400_000;
    made.correctClock(new Date(now).toUTCString());
    const query = 'encoding-type=url&list-type=2&prefix=a%20b%2F';
    const blanks = 'two  blanks\tand a tab ';
    const { headers } = parse(made.request('GET', '/bucket', query, [['x-amz-odd', blanks]]));
    const theirs = await v4.sign(
      new HttpRequest({
        method: 'GET',
        path: '/bucket',
        query: { 'encoding-type': 'url', 'list-type': '2', prefix: 'a b/' },
        headers: { host: target.hostHeader, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', 'x-amz-odd': blanks },
      }),
      { signingDate: new Date(now) },
    );
    t.equal(headers['authorization'], theirs.headers['authorization']);
  }
});

/** What the SDK sends for the same GET; its own bookkeeping headers left out, as we send none. */
async function sdkRequest(key: string, sessionToken?: string): Promise<HttpRequest> {
  let seen: HttpRequest | undefined;
  const client = new S3Client({
    region: 'us-east-1',
    credentials: { ...credentials, ...(sessionToken === undefined ? {} : { sessionToken }) },
    endpoint: 'https://s3.us-east-1.amazonaws.com',
    forcePathStyle: true,
    requestHandler: {
      handle: (request: HttpRequest) => {
        seen = request;
        return Promise.resolve({ response: new HttpResponse({ statusCode: 206, body: Readable.from([]) }) });
      },
    },
  });
  await client.send(new GetObjectCommand({ Bucket: 'bucket', Key: key, Range: 'bytes=5-99', IfMatch: '"etag"' }));
  client.destroy();
  if (seen === undefined) throw new Error('the SDK sent nothing');
  return seen;
}

async function sameAsSdk(key: string, sessionToken?: string): Promise<void> {
  const theirs = await sdkRequest(key, sessionToken);
  const ours = signer({
    basePath: '/bucket',
    hostname: 's3.us-east-1.amazonaws.com',
    hostHeader: 's3.us-east-1.amazonaws.com',
  });
  ours.setCredentials({ ...credentials, ...(sessionToken === undefined ? {} : { sessionToken }) });
  const { path, headers } = parse(ours.get({ key, etag: '"etag"', startOffset: 5, endOffset: 100 }));
  if (path !== theirs.path) throw new Error(`path ${path} is not the SDK's ${theirs.path}`);
  // Sign what we sent, with the SDK's path and the documented header set: the signatures must agree.
  const v4 = new SignatureV4({
    credentials: { ...credentials, ...(sessionToken === undefined ? {} : { sessionToken }) },
    region: 'us-east-1',
    service: 's3',
    sha256: Sha256,
    uriEscapePath: false,
  });
  const again = await v4.sign(
    new HttpRequest({
      method: 'GET',
      path: theirs.path,
      headers: {
        host: theirs.headers['host'] ?? '',
        range: theirs.headers['range'] ?? theirs.headers['Range'] ?? '',
        'if-match': theirs.headers['if-match'] ?? theirs.headers['If-Match'] ?? '',
        'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      },
    }),
    { signingDate: new Date(wallMs) },
  );
  if (headers['authorization'] !== again.headers['authorization']) throw new Error(`signature differs for ${key}`);
  if (headers['x-amz-security-token'] !== sessionToken) throw new Error('session token is missing');
}

t.test("paths and signatures are the SDK's own, for odd keys", async (t) => {
  for (const key of oddKeys) await t.resolves(sameAsSdk(key), JSON.stringify(key));
  await t.resolves(sameAsSdk('a', 'a session token/+='), 'with a session token');
});

t.test("paths and signatures are the SDK's own, for any key", async () => {
  const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });
  const mixed = fc.array(fc.oneof(key, fc.constantFrom('/', '//', '.', '..', '/../', '+', '%', '?', '#', '\n', ' ')), {
    minLength: 1,
    maxLength: 6,
  });
  await fc.assert(
    fc.asyncProperty(mixed, async (parts) => sameAsSdk(parts.join(''))),
    { numRuns: 100 },
  );
});

t.test('the path is every byte of the key, escaped or not', (t) => {
  t.equal(encodeKey('a b/ü?'), 'a%20b/%C3%BC%3F');
  t.equal(encodeKey('..//.'), '..//.');
  t.equal(objectPath('', ''), '/');
  t.equal(objectPath('/bucket', '/x'), '/bucket//x');
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (key) => decodeURIComponent(encodeKey(key)) === key));
  t.end();
});

t.test('headers that the target asks for are sent and signed; nothing can break out of a header', (t) => {
  const made = signer({ headers: { 'x-amz-request-payer': 'requester' } });
  const { headers } = parse(made.get({ key: 'k', etag: '"e\r\nx-evil: 1"', startOffset: 0, endOffset: 1 }));
  t.equal(headers['x-amz-request-payer'], 'requester');
  t.match(
    headers['authorization'],
    /SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date;x-amz-request-payer/,
  );
  t.equal(headers['x-evil'], undefined);
  t.equal(headers['if-match'], '"ex-evil: 1"');
  t.equal(headers['user-agent'], 'mount-s3x/test');
  t.end();
});

t.test('anonymous requests carry no signature', (t) => {
  const made = signer();
  made.setCredentials(undefined);
  const { headers } = parse(made.get({ key: 'k', etag: '"e"', startOffset: 0, endOffset: 1 }));
  t.equal(headers['authorization'], undefined);
  t.equal(headers['x-amz-date'], undefined);
  t.equal(headers['range'], 'bytes=0-0');
  t.end();
});

t.test("the clock is corrected by the store's Date", (t) => {
  const made = signer();
  t.equal(made.correctClock(undefined), false);
  t.equal(made.correctClock('yesterday'), false);
  t.equal(made.correctClock('Fri, 24 May 2013 00:00:00 GMT'), false, 'no correction when it agrees');
  t.equal(made.correctClock('Fri, 24 May 2013 02:00:00 GMT'), true);
  t.equal(made.correctClock('Fri, 24 May 2013 02:00:00 GMT'), false, 'only once');
  t.equal(made.clockOffsetMs, 7_200_000);
  const { headers } = parse(made.get({ key: 'k', etag: '"e"', startOffset: 0, endOffset: 1 }));
  t.equal(headers['x-amz-date'], '20130524T020000Z');
  t.end();
});

t.test('a key id of another day or region is a fresh scope', (t) => {
  const late = signer({ signingRegion: 'eu-west-1' }, Date.UTC(2026, 10, 22, 23, 59, 59));
  const { headers } = parse(late.get({ key: 'k', etag: '"e"', startOffset: 0, endOffset: 1 }));
  t.match(headers['authorization'], /Credential=AKIAIOSFODNN7EXAMPLE\/20261122\/eu-west-1\/s3\/aws4_request/);
  t.end();
});

t.test("a directory bucket's session signs all but copies, which go by the IAM keys", async (t) => {
  const express = { ...target, signingService: 's3express' };
  const signer = new RequestSigner({ target: express, absolutePrefix: '', hopHeaders: {} }, { wallMs: () => wallMs });
  const session = { accessKeyId: 'ASIASESSION', secretAccessKey: 'of the session', sessionToken: 'a token' };
  const iam = { ...credentials, sessionToken: 'of the role' };
  signer.setCredentials({ ...session, iam });
  const sdk = async (identity: typeof iam, headers: Record<string, string>, method: string) => {
    const { sessionToken: _, ...keys } = identity;
    const s3 = new SignatureV4({
      credentials: keys,
      region: 'us-east-1',
      service: 's3express',
      sha256: Sha256,
      uriEscapePath: false,
    });
    const { hostname } = express;
    const all = { host: hostname, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD', ...headers };
    const request = new HttpRequest({ method, hostname, path: '/k', headers: all });
    return (await s3.sign(request, { signingDate: new Date(wallMs) })).headers['authorization'];
  };
  const put = parse(signer.request('PUT', '/k', '', [['x-amz-meta-a', 'b']])).headers;
  t.equal(put['x-amz-s3session-token'], 'a token');
  t.notOk('x-amz-security-token' in put);
  t.match(put['authorization'], /Credential=ASIASESSION\/\d+\/us-east-1\/s3express\//);
  t.equal(put['authorization'], await sdk(session, { 'x-amz-meta-a': 'b', 'x-amz-s3session-token': 'a token' }, 'PUT'));
  const copy = parse(signer.request('PUT', '/k', '', [['x-amz-copy-source', 'b/s']])).headers;
  t.equal(copy['x-amz-security-token'], 'of the role');
  t.notOk('x-amz-s3session-token' in copy);
  t.equal(
    copy['authorization'],
    await sdk(iam, { 'x-amz-copy-source': 'b/s', 'x-amz-security-token': 'of the role' }, 'PUT'),
  );
});
