/**
 * Who sends a request: checks its signature (header or presigned query) and says what its body must hash to.
 *
 * Without configured credentials everything is accepted and nothing is checked. With credentials, unsigned requests are
 * anonymous, and the caller decides what anonymous users may do. Order of the checks follows S3: form, key, token,
 * time, region, signature.
 */
import type { Session, SessionBook, SessionMode } from './sessions.js';
import { CLOCK_SKEW_MS_MAX, PRESIGN_SECONDS_MAX } from '../limits.js';
import { S3Error } from '../errors.js';
import type { RequestHead } from '../http/request-reader.js';
import {
  ALGORITHM,
  canonicalRequest,
  ChunkSigner,
  isSameSignature,
  sign,
  signingKey,
  type SigningScope,
  stringToSign,
} from './sigv4.js';

/** A key pair that may sign. */
export interface Credential {
  readonly accessKey: string;
  readonly secretKey: string;
  /** Temporary credentials: the token that must come along. */
  readonly sessionToken?: string;
  /** Temporary credentials: after this time (ms since 1970) they answer ExpiredToken. */
  readonly expiresMs?: number;
  /** Which sessions of directory buckets it may create (s3express:CreateSession). Default ReadWrite. */
  readonly sessions?: SessionMode | 'none';
}

/** A request as far as authentication needs it. */
export interface SignedRequest {
  readonly head: RequestHead;
  /** Decoded path. */
  readonly path: string;
  /** Decoded query in the order sent. */
  readonly query: readonly (readonly [string, string])[];
}

/** The outcome for an accepted request. */
export interface Identity {
  /** Null for anonymous, and when nothing is checked. */
  readonly accessKey: string | null;
  /** Region of the signature's scope, or null without a signature. */
  readonly region: string | null;
  /** Service of the signature's scope, or null without a signature. */
  readonly service: string | null;
  /** The session that signed, in a directory bucket. */
  readonly session: Session | null;
  /** Which sessions it may create. */
  readonly sessions: SessionMode | 'none';
  /** x-amz-content-sha256, as it was signed; UNSIGNED-PAYLOAD for presigned requests. */
  readonly payloadHash: string;
  /** Checks the chunks of a STREAMING-AWS4-HMAC-SHA256-PAYLOAD body. */
  readonly chunkSigner: ChunkSigner | null;
}

const UNSIGNED = 'UNSIGNED-PAYLOAD';

/**
 * Checks a request. `credentials` null means that nothing is checked.
 * @throws S3Error when a signature is present and not good
 */
export function authenticate(
  request: SignedRequest,
  credentials: readonly Credential[] | null,
  nowMs: number,
): Identity {
  return authenticateBy(request, credentials, nowMs, 'x-amz-security-token');
}

/** The same for a request to a directory bucket, which may be signed with the keys of a session. */
export function authenticateZonal(
  request: SignedRequest,
  credentials: readonly Credential[] | null,
  nowMs: number,
  zonal: { readonly sessions: SessionBook; readonly bucketName: string },
): Identity {
  const token = request.head.headers.get(SESSION_HEADER);
  if (credentials === null || token === undefined) return authenticate(request, credentials, nowMs);
  if (request.head.headers.has('x-amz-security-token')) {
    throw new S3Error('InvalidRequest', { message: `${SESSION_HEADER} and x-amz-security-token exclude each other` });
  }
  const session = zonal.sessions.find(token, zonal.bucketName, nowMs);
  const { accessKey, secretKey } = session;
  const identity = authenticateBy(request, [{ accessKey, secretKey, sessionToken: token }], nowMs, SESSION_HEADER);
  return { ...identity, session, sessions: 'none' };
}

const SESSION_HEADER = 'x-amz-s3session-token';

function authenticateBy(
  request: SignedRequest,
  credentials: readonly Credential[] | null,
  nowMs: number,
  tokenHeader: string,
): Identity {
  const { headers } = request.head;
  const anonymous: Identity = {
    accessKey: null,
    region: null,
    service: null,
    session: null,
    sessions: credentials === null ? 'ReadWrite' : 'none',
    payloadHash: headers.get('x-amz-content-sha256') ?? UNSIGNED,
    chunkSigner: null,
  };
  if (credentials === null) return anonymous;
  const authorization = headers.get('authorization');
  const presigned = request.query.find(([name]) => name === 'X-Amz-Algorithm');
  if (authorization !== undefined) {
    if (presigned !== undefined) {
      throw new S3Error('InvalidArgument', {
        message:
          'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified',
        elements: { ArgumentName: 'Authorization', ArgumentValue: authorization },
      });
    }
    return fromHeader(request, authorization, credentials, nowMs, tokenHeader);
  }
  if (presigned !== undefined) return fromQuery(request, credentials, nowMs);
  if (request.query.some(([name]) => name === 'Signature' || name === 'AWSAccessKeyId')) refuseVersion2();
  return anonymous;
}

function refuseVersion2(): never {
  throw new S3Error('InvalidRequest', {
    message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
  });
}

function fromHeader(
  request: SignedRequest,
  authorization: string,
  credentials: readonly Credential[],
  nowMs: number,
  tokenHeader: string,
): Identity {
  const { headers } = request.head;
  if (!authorization.startsWith(`${ALGORITHM} `)) {
    if (authorization.startsWith('AWS ') || authorization.startsWith('AWS4-ECDSA')) refuseVersion2();
    throw new S3Error('InvalidArgument', {
      message: 'Unsupported Authorization Type',
      elements: { ArgumentName: 'Authorization', ArgumentValue: authorization },
    });
  }
  const fields = new Map<string, string>();
  for (const field of authorization.slice(ALGORITHM.length + 1).split(',')) {
    const equals = field.indexOf('=');
    fields.set(field.slice(0, equals).trim(), field.slice(equals + 1).trim());
  }
  const credentialText = fields.get('Credential');
  const signedText = fields.get('SignedHeaders');
  const signature = fields.get('Signature');
  if (credentialText === undefined || signedText === undefined || signature === undefined) {
    throw new S3Error('AuthorizationHeaderMalformed', {
      message: 'The authorization header is malformed; Credential, SignedHeaders and Signature are required.',
    });
  }
  const { accessKey, scope } = parseCredential(credentialText, 'AuthorizationHeaderMalformed');
  const amzDate = headers.get('x-amz-date') ?? amzDateOf(headers.get('date'));
  const timeMs = parseAmzDate(amzDate);
  if (timeMs === null || amzDate === undefined) {
    throw new S3Error('AccessDenied', { message: 'AWS authentication requires a valid Date or x-amz-date header' });
  }
  const credential = findCredential(accessKey, headers.get(tokenHeader), credentials, nowMs);
  checkSkew(timeMs, nowMs, amzDate);
  const payloadHash = headers.get('x-amz-content-sha256');
  if (payloadHash === undefined) {
    throw new S3Error('InvalidRequest', { message: 'Missing required header for this request: x-amz-content-sha256' });
  }
  checkSignature(request, request.query, signedText, payloadHash, { credential, scope, amzDate, signature });
  const key = signingKey(credential.secretKey, scope);
  const isChunkSigned = payloadHash.startsWith('STREAMING-AWS4-HMAC-SHA256-PAYLOAD');
  const chunkSigner = isChunkSigned ? new ChunkSigner(key, amzDate, scope, signature) : null;
  return identityOf(credential, accessKey, scope, payloadHash, chunkSigner);
}

function identityOf(
  { sessions = 'ReadWrite' }: Credential,
  accessKey: string,
  { region, service }: SigningScope,
  payloadHash: string,
  chunkSigner: ChunkSigner | null,
): Identity {
  return { accessKey, region, service, session: null, sessions, payloadHash, chunkSigner };
}

function fromQuery(request: SignedRequest, credentials: readonly Credential[], nowMs: number): Identity {
  const query = new Map(request.query);
  const need = (name: string): string => {
    const value = query.get(name);
    if (value === undefined || value === '') {
      throw new S3Error('AuthorizationQueryParametersError', {
        message:
          'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
      });
    }
    return value;
  };
  if (need('X-Amz-Algorithm') !== ALGORITHM) {
    throw new S3Error('AuthorizationQueryParametersError', {
      message: `X-Amz-Algorithm only supports "${ALGORITHM}"`,
    });
  }
  const { accessKey, scope } = parseCredential(need('X-Amz-Credential'), 'AuthorizationQueryParametersError');
  const amzDate = need('X-Amz-Date');
  const timeMs = parseAmzDate(amzDate);
  if (timeMs === null) {
    throw new S3Error('AuthorizationQueryParametersError', {
      message: "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
    });
  }
  const expiresSeconds = Number(need('X-Amz-Expires'));
  if (!Number.isInteger(expiresSeconds) || expiresSeconds < 0 || expiresSeconds > PRESIGN_SECONDS_MAX) {
    throw new S3Error('AuthorizationQueryParametersError', {
      message:
        'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    });
  }
  const credential = findCredential(
    accessKey,
    query.get('X-Amz-Security-Token') ?? request.head.headers.get('x-amz-security-token'),
    credentials,
    nowMs,
  );
  if (timeMs > nowMs + CLOCK_SKEW_MS_MAX) throw new S3Error('AccessDenied', { message: 'Request is not yet valid' });
  if (nowMs > timeMs + expiresSeconds * 1000) {
    throw new S3Error('AccessDenied', {
      message: 'Request has expired',
      elements: { 'X-Amz-Expires': String(expiresSeconds), ServerTime: new Date(nowMs).toISOString() },
    });
  }
  const signature = need('X-Amz-Signature');
  const payloadHash = request.head.headers.get('x-amz-content-sha256') ?? UNSIGNED;
  const signed = request.query.filter(([name]) => name !== 'X-Amz-Signature');
  checkSignature(request, signed, need('X-Amz-SignedHeaders'), payloadHash, { credential, scope, amzDate, signature });
  return identityOf(credential, accessKey, scope, payloadHash, null);
}

function parseCredential(
  text: string,
  code: 'AuthorizationHeaderMalformed' | 'AuthorizationQueryParametersError',
): { accessKey: string; scope: SigningScope } {
  const fields = text.split('/');
  // An access key may hold slashes in theory; the scope is always the last four fields.
  const [date, region, service, terminator] = fields.slice(-4);
  const accessKey = fields.slice(0, -4).join('/');
  if (accessKey === '' || date === undefined || region === undefined || service === undefined) {
    throw new S3Error(code, {
      message: 'The Credential is malformed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    });
  }
  if (service !== 's3' && service !== 's3express') {
    throw new S3Error(code, {
      message: `The Credential is malformed; incorrect service "${service}". This endpoint belongs to "s3".`,
    });
  }
  if (terminator !== 'aws4_request' || !/^\d{8}$/.test(date)) {
    throw new S3Error(code, { message: 'The Credential is malformed; incorrect terminal or date.' });
  }
  return { accessKey, scope: { date, region, service } };
}

function findCredential(
  accessKey: string,
  token: string | undefined,
  credentials: readonly Credential[],
  nowMs: number,
): Credential {
  const sameKey = credentials.filter((credential) => credential.accessKey === accessKey);
  if (sameKey.length === 0) {
    throw new S3Error('InvalidAccessKeyId', { elements: { AWSAccessKeyId: accessKey } });
  }
  const credential = sameKey.find((candidate) => candidate.sessionToken === token);
  if (credential === undefined)
    throw new S3Error('InvalidToken', token === undefined ? {} : { elements: { 'Token-0': token } });
  if (credential.expiresMs !== undefined && nowMs >= credential.expiresMs) throw new S3Error('ExpiredToken');
  return credential;
}

function checkSkew(timeMs: number, nowMs: number, amzDate: string): void {
  if (Math.abs(nowMs - timeMs) <= CLOCK_SKEW_MS_MAX) return;
  throw new S3Error('RequestTimeTooSkewed', {
    elements: {
      RequestTime: amzDate,
      ServerTime: new Date(nowMs).toISOString(),
      MaxAllowedSkewMilliseconds: String(CLOCK_SKEW_MS_MAX),
    },
  });
}

function checkSignature(
  request: SignedRequest,
  query: readonly (readonly [string, string])[],
  signedText: string,
  payloadHash: string,
  claim: { credential: Credential; scope: SigningScope; amzDate: string; signature: string },
): void {
  const signedHeaders = signedText.split(';');
  const { headers, method } = request.head;
  // S3 insists that host and every x-amz- header is signed; otherwise a proxy could add one.
  for (const name of headers.keys()) {
    const mustBeSigned = name === 'host' || (name.startsWith('x-amz-') && name !== 'x-amz-content-sha256');
    if (mustBeSigned && !signedHeaders.includes(name)) {
      throw new S3Error('AccessDenied', {
        message: 'There were headers present in the request which were not signed',
        elements: { HeadersNotSigned: name },
      });
    }
  }
  const canonical = canonicalRequest({ method, path: request.path, query, headers, signedHeaders, payloadHash });
  const text = stringToSign(claim.amzDate, claim.scope, canonical);
  const expected = sign(signingKey(claim.credential.secretKey, claim.scope), text);
  if (claim.scope.date !== claim.amzDate.slice(0, 8) || !isSameSignature(expected, claim.signature)) {
    throw new S3Error('SignatureDoesNotMatch', {
      elements: {
        AWSAccessKeyId: claim.credential.accessKey,
        StringToSign: text,
        SignatureProvided: claim.signature,
        CanonicalRequest: canonical,
      },
    });
  }
}

function parseAmzDate(text: string | undefined): number | null {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  if (match === null) return null;
  const [, year, month, day, hour, minute, second] = match;
  const timeMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(timeMs) ? null : timeMs;
}

/** An HTTP date in the compact form that is signed. */
function amzDateOf(date: string | undefined): string | undefined {
  const timeMs = Date.parse(date ?? '');
  return Number.isNaN(timeMs) ? undefined : `${new Date(timeMs).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}
