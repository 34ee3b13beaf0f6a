/**
 * What the SDK throws, turned into StoreError: facts first (status, code, region hint), then one sentence and a remedy.
 * The SDK's errors are of many shapes: S3's XML answers, answers without a body (HEAD), Node's socket and TLS errors,
 * parse errors of answers that were never S3's. All of that is sorted out here and nowhere else, so that no other file
 * looks into an SDK error. errno and "worth asking again" come from the shared table (s3-errno.ts).
 */
import { codeForStatus, errnoForS3 } from '../s3-errno.js';
import { StoreError } from '../store-error.js';

/** What can be said about a failed call. */
export interface FailureFacts {
  /** HTTP status, 0 when there was no answer. */
  readonly status: number;
  /** S3's code; our own word for a transport failure; '' when nobody said. */
  readonly code: string;
  readonly message: string;
  /** The region that the store says the bucket is in. */
  readonly region: string | undefined;
  /** Content-Type of the answer, lower case. */
  readonly contentType: string;
  /** Node's code of a transport failure (ECONNREFUSED, CERT_HAS_EXPIRED, ...). */
  readonly nodeCode: string;
  /** The host that DNS did not know. */
  readonly host?: string;
}

const MESSAGE_CHARACTERS_MAX = 300;

/** Node's and OpenSSL's codes, in our words. What is absent here stays 'ConnectionFailed'. */
const TRANSPORT_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'ConnectionRefused',
  ECONNRESET: 'ConnectionReset',
  EPIPE: 'ConnectionReset',
  ENOTFOUND: 'HostNotFound',
  EAI_AGAIN: 'NameServerFailed',
  ETIMEDOUT: 'Timeout',
  ESOCKETTIMEDOUT: 'Timeout',
  ENETUNREACH: 'HostUnreachable',
  EHOSTUNREACH: 'HostUnreachable',
  EPROTO: 'TlsFailed',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'CertificateNotTrusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'CertificateNotTrusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'CertificateNotTrusted',
  UNABLE_TO_GET_ISSUER_CERT: 'CertificateNotTrusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'CertificateNotTrusted',
  CERT_UNTRUSTED: 'CertificateNotTrusted',
  CERT_HAS_EXPIRED: 'CertificateExpired',
  CERT_NOT_YET_VALID: 'CertificateExpired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'CertificateWrongName',
};

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function textOf(value: unknown, name: string): string {
  const field = fieldOf(value, name);
  return typeof field === 'string' ? field : '';
}

/** Header names of the SDK's responses are lower case already. */
function headerOf(error: unknown, name: string): string {
  return textOf(fieldOf(fieldOf(error, '$response'), 'headers'), name);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, MESSAGE_CHARACTERS_MAX);
}

/** The first Node error code along the chain of causes and of addresses tried (AggregateError). */
function nodeCodeOf(error: unknown, depth = 0): string {
  if (depth > 5) return '';
  const code = textOf(error, 'code');
  if (Object.hasOwn(TRANSPORT_WORDS, code) || /^(E[A-Z]+|ERR_(SSL|TLS)_[A-Z_]+|HPE_[A-Z_]+)$/.test(code)) return code;
  const inner = fieldOf(error, 'errors');
  for (const one of Array.isArray(inner) ? (inner as unknown[]) : []) {
    const found = nodeCodeOf(one, depth + 1);
    if (found !== '') return found;
  }
  const cause = fieldOf(error, 'cause');
  return cause === undefined ? '' : nodeCodeOf(cause, depth + 1);
}

function transportWord(nodeCode: string, name: string): string {
  const known = Object.hasOwn(TRANSPORT_WORDS, nodeCode) ? TRANSPORT_WORDS[nodeCode] : undefined;
  if (known !== undefined) return known;
  if (name === 'TimeoutError') return 'Timeout';
  if (nodeCode.startsWith('ERR_SSL_') || nodeCode.startsWith('ERR_TLS_')) return 'TlsFailed';
  if (nodeCode.startsWith('HPE_')) return 'NotHttp';
  return 'ConnectionFailed';
}

function regionOf(error: unknown, message: string): string | undefined {
  const candidates = [
    headerOf(error, 'x-amz-bucket-region'),
    textOf(error, 'Region'),
    // Stores other than AWS say it in the message only: "... is wrong; expecting 'garage'".
    /expect(?:ed|ing)(?: region)?:? ['"]([A-Za-z0-9-]+)['"]/.exec(message)?.[1] ?? '',
  ];
  return candidates.find((region) => /^[A-Za-z0-9-]{2,63}$/.test(region));
}

/** Never throws, whatever it is given. */
export function failureFacts(error: unknown): FailureFacts {
  const metadataStatus = fieldOf(fieldOf(error, '$metadata'), 'httpStatusCode');
  const responseStatus = fieldOf(fieldOf(error, '$response'), 'statusCode');
  const status =
    typeof responseStatus === 'number' && responseStatus > 0
      ? responseStatus
      : typeof metadataStatus === 'number'
        ? metadataStatus
        : 0;
  const name = textOf(error, 'name');
  const message = oneLine(textOf(error, 'message'));
  const contentType = headerOf(error, 'content-type').toLowerCase();
  const nodeCode = status === 0 ? nodeCodeOf(error) : '';
  const facts = { status, message, contentType, nodeCode, region: regionOf(error, message) };
  if (status === 0) {
    const host = /getaddrinfo \S+ (\S+)/.exec(message)?.[1];
    return { ...facts, code: transportWord(nodeCode, name), ...(host === undefined ? {} : { host }) };
  }
  if (contentType.startsWith('text/html') || (status < 300 && !contentType.includes('xml'))) {
    return { ...facts, code: 'NotAnS3Server' };
  }
  const said = textOf(error, 'Code') || name;
  const nothing =
    said === '' ||
    /^(Unknown(Error)?|Error|SyntaxError|TypeError|Forbidden|Bad ?Request|S3ServiceException|\d+)$/.test(said);
  return { ...facts, code: nothing ? codeForStatus(status) : said };
}

/** A stranger's 404 says nothing about our object: it counts as a bad gateway. */
export function errnoOf(facts: FailureFacts): number {
  return errnoForS3(facts.code === 'NotAnS3Server' ? 502 : facts.status, facts.code);
}

/** What the call was about, for the sentence. */
export interface FailedCall {
  /** 'ListObjectsV2', 'HeadObject', ... */
  readonly operation: string;
  /** s3://bucket/key */
  readonly resource: string;
}

/** The StoreError of a failed call in the middle of a mount's life; probe.ts finds better words at its start. */
export function toStoreError(error: unknown, call: FailedCall): StoreError {
  if (error instanceof StoreError) return error;
  const facts = failureFacts(error);
  const status = facts.status === 0 ? '' : ` (${facts.status})`;
  const detail = facts.message === '' || facts.message === facts.code ? '' : `: ${facts.message}`;
  return new StoreError(
    {
      errno: errnoOf(facts),
      code: facts.code,
      status: facts.status,
      resource: call.resource,
      message: `${call.operation} ${call.resource}: ${facts.code}${status}${detail}`,
    },
    { cause: error },
  );
}
