/**
 * What an S3 error body says: code, message, and where the bucket really is.
 * The bytes come from a peer that may be broken or hostile, so they are bounded before they get here, entities are not
 * expanded, and a body that is no S3 error (a proxy's HTML page) yields empty fields rather than an exception.
 */
import { XMLParser } from 'fast-xml-parser';

/** Fields of `<Error>`; '' where the body does not have them. */
export interface S3ErrorBody {
  readonly code: string;
  readonly message: string;
  /** Region that the bucket is in, in answers to a request for the wrong one. */
  readonly region: string;
  /** Host to ask instead, in redirects. */
  readonly endpoint: string;
}

const NOTHING: S3ErrorBody = { code: '', message: '', region: '', endpoint: '' };

/** Longest field that is kept: codes and messages end up in log lines. */
const FIELD_CHARS_MAX = 512;

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  processEntities: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
});

/** Never throws. */
export function parseS3Error(body: Buffer): S3ErrorBody {
  // Saves parsing a proxy's HTML, and an empty body.
  if (!body.includes('<Error')) return NOTHING;
  let root: unknown;
  try {
    root = parser.parse(body.toString('utf8'));
  } catch {
    return NOTHING;
  }
  const error = member(root, 'Error');
  const code = textOf(error, 'Code');
  return {
    // A code is an identifier; anything else is not put into logs and tables as one.
    code: /^[A-Za-z0-9._]{1,100}$/.test(code) ? code : '',
    message: textOf(error, 'Message'),
    region: textOf(error, 'Region'),
    endpoint: textOf(error, 'Endpoint'),
  };
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

function textOf(value: unknown, name: string): string {
  const text = member(value, name);
  // eslint-disable-next-line no-control-regex -- that is what is taken out
  return typeof text === 'string' ? text.slice(0, FIELD_CHARS_MAX).replace(/[\x00-\x1f\x7f]/g, ' ') : '';
}
