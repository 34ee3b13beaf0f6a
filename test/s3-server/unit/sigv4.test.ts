/**
 * Signatures against the examples that AWS publishes ("Authenticating Requests", Amazon S3 API reference), and against
 * requests signed by the SDK's own signer, whole and tampered with.
 */
import { createHash } from 'node:crypto';
import { Hash } from '@smithy/hash-node';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import t from 'tap';
import { authenticate, type Credential } from '../../../dev/s3-server/auth/authenticate.js';
import { canonicalRequest, ChunkSigner, sign, signingKey, stringToSign } from '../../../dev/s3-server/auth/sigv4.js';
import { parseQuery, percentDecode, percentEncode, percentEncodePath } from '../../../dev/s3-server/http/percent.js';
import type { RequestHead } from '../../../dev/s3-server/http/request-reader.js';

const ACCESS_KEY = 'AKIAIOSFODNN7EXAMPLE';
const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const CREDENTIALS: Credential[] = [{ accessKey: ACCESS_KEY, secretKey: SECRET_KEY }];
const AMZ_DATE = '20130524T000000Z';
const NOW_MS = Date.UTC(2013, 4, 24);
const SCOPE = { date: '20130524', region: 'us-east-1', service: 's3' };
const EMPTY = createHash('sha256').update('').digest('hex');
const HOST = 'examplebucket.s3.amazonaws.com';

function headOf(method: string, target: string, headers: Record<string, string>): RequestHead {
  const [rawPath = '', rawQuery = ''] = target.split('?', 2);
  return {
    method,
    rawPath,
    rawQuery,
    httpMinor: 1,
    headers: new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
  };
}

function check(
  head: RequestHead,
  nowMs = NOW_MS,
  credentials: Credential[] | null = CREDENTIALS,
): ReturnType<typeof authenticate> {
  return authenticate(
    { head, path: percentDecode(head.rawPath), query: parseQuery(head.rawQuery) },
    credentials,
    nowMs,
  );
}

const EXAMPLES = [
  {
    name: 'GET with a range',
    method: 'GET',
    target: '/test.txt',
    headers: { host: HOST, range: 'bytes=0-9', 'x-amz-content-sha256': EMPTY, 'x-amz-date': AMZ_DATE },
    signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  {
    name: 'PUT',
    method: 'PUT',
    target: '/test$file.text',
    headers: {
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      host: HOST,
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      'x-amz-date': AMZ_DATE,
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    },
    signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  {
    name: 'GET of a sub-resource without a value',
    method: 'GET',
    target: '/?lifecycle',
    headers: { host: HOST, 'x-amz-content-sha256': EMPTY, 'x-amz-date': AMZ_DATE },
    signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  },
  {
    name: 'GET with a query',
    method: 'GET',
    target: '/?max-keys=2&prefix=J',
    headers: { host: HOST, 'x-amz-content-sha256': EMPTY, 'x-amz-date': AMZ_DATE },
    signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
];

for (const { name, method, target, headers, signature } of EXAMPLES) {
  t.test(`published example: ${name}`, (t) => {
    const signedHeaders = Object.keys(headers).join(';');
    const authorization = `AWS4-HMAC-SHA256 Credential=${ACCESS_KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signedHeaders},Signature=`;
    const good = headOf(method, target, { ...headers, authorization: authorization + signature });
    t.equal(check(good).accessKey, ACCESS_KEY);
    t.equal(check(good).region, 'us-east-1');
    const wrong = `${signature.slice(0, -1)}${signature.endsWith('1') ? '2' : '1'}`;
    t.throws(() => check(headOf(method, target, { ...headers, authorization: authorization + wrong })), {
      code: 'SignatureDoesNotMatch',
    });
    t.end();
  });
}

t.test('published example: presigned GET', (t) => {
  const target =
    '/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404';
  const head = headOf('GET', target, { host: HOST });
  t.equal(check(head).accessKey, ACCESS_KEY);
  t.equal(check(head).payloadHash, 'UNSIGNED-PAYLOAD');
  t.equal(check(head, NOW_MS + 86_400_000).accessKey, ACCESS_KEY, 'good to the last millisecond');
  t.throws(() => check(head, NOW_MS + 86_400_001), { code: 'AccessDenied', message: 'Request has expired' });
  t.throws(() => check(head, NOW_MS - 16 * 60_000), { code: 'AccessDenied', message: 'Request is not yet valid' });
  const longer = headOf('GET', target.replace('86400', '86401'), { host: HOST });
  t.throws(() => check(longer), { code: 'SignatureDoesNotMatch' });
  t.throws(() => check(headOf('GET', target.replace('86400', '604801'), { host: HOST })), {
    code: 'AuthorizationQueryParametersError',
  });
  t.end();
});

t.test('published example: signed chunks', (t) => {
  const seed = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9';
  const canonical = canonicalRequest({
    method: 'PUT',
    path: '/examplebucket/chunkObject.txt',
    query: [],
    headers: new Map([
      ['content-encoding', 'aws-chunked'],
      ['content-length', '66824'],
      ['host', 's3.amazonaws.com'],
      ['x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'],
      ['x-amz-date', AMZ_DATE],
      ['x-amz-decoded-content-length', '66560'],
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
    ]),
    signedHeaders:
      'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class'.split(
        ';',
      ),
    payloadHash: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  });
  const key = signingKey(SECRET_KEY, SCOPE);
  t.equal(sign(key, stringToSign(AMZ_DATE, SCOPE, canonical)), seed);
  const signer = new ChunkSigner(key, AMZ_DATE, SCOPE, seed);
  const hash = (bytes: number): string => createHash('sha256').update(Buffer.alloc(bytes, 'a')).digest('hex');
  t.equal(signer.chunk(hash(65536)), 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648');
  t.equal(signer.chunk(hash(1024)), '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497');
  t.equal(signer.chunk(EMPTY), 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9');
  t.end();
});

t.test('published example: signed chunks with a trailer', (t) => {
  const seed = '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e';
  const signer = new ChunkSigner(signingKey(SECRET_KEY, SCOPE), AMZ_DATE, SCOPE, seed);
  const hash = (bytes: number): string => createHash('sha256').update(Buffer.alloc(bytes, 'a')).digest('hex');
  t.equal(signer.chunk(hash(65536)), 'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2');
  t.equal(signer.chunk(hash(1024)), '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7');
  t.equal(signer.chunk(EMPTY), '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992');
  const trailers = new Map([
    ['x-amz-checksum-crc32c', 'sOO8/Q=='],
    ['x-amz-trailer-signature', 'not part of what is signed'],
  ]);
  t.equal(signer.trailer(trailers), 'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435');
  t.end();
});

const sdkSigner = new SignatureV4({
  service: 's3',
  region: 'eu-west-1',
  credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
  sha256: Hash.bind(null, 'sha256'),
  uriEscapePath: false,
  applyChecksum: true,
});

/** A request signed by the SDK, as it would arrive. */
async function sdkSigned(
  key: string,
  query: Record<string, string>,
  extra: Record<string, string> = {},
): Promise<RequestHead> {
  const path = `/bucket/${percentEncodePath(key)}`;
  const request = await sdkSigner.sign(
    new HttpRequest({ method: 'GET', hostname: 'h', path, query, headers: { host: 'h:9000', ...extra } }),
    { signingDate: new Date(NOW_MS) },
  );
  const search = Object.entries(query).map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`);
  return headOf('GET', `${path}?${search.join('&')}`, request.headers);
}

t.test('requests signed by the SDK are accepted, whatever is in their keys and queries', async (t) => {
  for (const key of ['plain', 'a b/ü+%25', "!'()*~._-", '日本/𝄞', '//a/../.', '$&,:;=@?#[]']) {
    const head = await sdkSigned(key, { prefix: key, 'start-after': 'a=b&c', delimiter: '/' });
    t.equal(check(head).accessKey, ACCESS_KEY, key);
  }
});

t.test('what is wrong with a signed request is named as S3 names it', async (t) => {
  const head = await sdkSigned('k', {});
  const change = (headers: Record<string, string | undefined>): RequestHead => {
    const changed = new Map(head.headers);
    for (const [name, value] of Object.entries(headers)) {
      if (value === undefined) changed.delete(name);
      else changed.set(name, value);
    }
    return { ...head, headers: changed };
  };
  const authorization = head.headers.get('authorization') ?? '';
  t.throws(() => check({ ...head, rawPath: '/bucket/other' }), { code: 'SignatureDoesNotMatch' });
  t.throws(() => check({ ...head, rawQuery: 'acl' }), { code: 'SignatureDoesNotMatch' });
  t.throws(() => check({ ...head, method: 'PUT' }), { code: 'SignatureDoesNotMatch' });
  t.throws(() => check(head, NOW_MS + 15 * 60_000 + 1), { code: 'RequestTimeTooSkewed', status: 403 });
  t.throws(() => check(head, NOW_MS - 15 * 60_000 - 1), { code: 'RequestTimeTooSkewed' });
  t.equal(check(head, NOW_MS + 15 * 60_000).accessKey, ACCESS_KEY);
  t.throws(() => check(change({ authorization: authorization.replace(ACCESS_KEY, 'OTHER') })), {
    code: 'InvalidAccessKeyId',
  });
  t.throws(() => check(change({ 'x-amz-meta-added': 'by a proxy' })), { code: 'AccessDenied' });
  t.throws(() => check(change({ 'x-amz-content-sha256': undefined })), { code: 'InvalidRequest' });
  t.throws(() => check(change({ authorization: 'AWS AKIA:abc' })), { code: 'InvalidRequest' });
  t.throws(() => check(change({ authorization: 'Bearer x' })), { code: 'InvalidArgument' });
  t.throws(() => check(change({ authorization: authorization.replace('/s3/', '/ec2/') })), {
    code: 'AuthorizationHeaderMalformed',
  });
  t.throws(() => check(change({ authorization: 'AWS4-HMAC-SHA256 Credential=x' })), {
    code: 'AuthorizationHeaderMalformed',
  });
  t.throws(() => check({ ...head, rawQuery: 'X-Amz-Algorithm=AWS4-HMAC-SHA256' }), { code: 'InvalidArgument' });
});

t.test('temporary credentials need their token, and end', async (t) => {
  const temporary = [{ accessKey: ACCESS_KEY, secretKey: SECRET_KEY, sessionToken: 'TOKEN', expiresMs: NOW_MS + 1000 }];
  const withToken = await sdkSigned('k', {}, { 'x-amz-security-token': 'TOKEN' });
  const wrongToken = await sdkSigned('k', {}, { 'x-amz-security-token': 'OTHER' });
  t.equal(check(withToken, NOW_MS, temporary).accessKey, ACCESS_KEY);
  t.throws(() => check(withToken, NOW_MS + 1000, temporary), { code: 'ExpiredToken' });
  t.throws(() => check(wrongToken, NOW_MS, temporary), { code: 'InvalidToken' });
  t.throws(() => check(withToken), { code: 'InvalidToken' });
});

t.test('without credentials nothing is checked; with them, an unsigned request is anonymous', (t) => {
  const unsigned = headOf('GET', '/b/k', { host: 'h' });
  t.equal(check(unsigned, NOW_MS, null).accessKey, null);
  t.equal(check(unsigned).accessKey, null);
  t.equal(check(headOf('GET', '/b/k', { host: 'h', authorization: 'nonsense' }), NOW_MS, null).accessKey, null);
  t.throws(() => check(headOf('GET', '/b/k?AWSAccessKeyId=x&Signature=y', { host: 'h' })), { code: 'InvalidRequest' });
  t.end();
});
