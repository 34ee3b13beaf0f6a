/**
 * The XML of writing: the bodies of DeleteObjects and CompleteMultipartUpload, and what is read out of answers.
 * Pure. Answers come from a peer that may be broken: they are bounded before they get here, and what is not there comes
 * out as '' or an empty list, never as an exception. Names are asked for URL-encoded where a store can give them so.
 */
import { XMLParser } from 'fast-xml-parser';
import { copyText } from '../listing/xml-text.js';
import type { UploadedPart } from '../write-api.js';

/** References are resolved by our own hand: the parser knows no numbers, and keys need their blanks. */
const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  processEntities: false,
  trimValues: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
});

/** What stands in a parsed answer; look into it with `field` and `fields`. */
export type Xml = unknown;

/** The element `root` of an answer; undefined when it is not there. */
export function parseAnswer(text: string, root: string): Xml {
  if (!text.includes(`<${root}`)) return undefined;
  try {
    return member(parser.parse(text), root);
  } catch {
    return undefined;
  }
}

/** Text of a child; '' without one. */
export function field(element: Xml, name: string): string {
  const value = member(element, name);
  return typeof value === 'string' ? unescape(value) : '';
}

/** All children of a name. */
export function fields(element: Xml, name: string): readonly Xml[] {
  const value = member(element, name);
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as unknown[]) : [value];
}

function unescape(text: string): string {
  if (!text.includes('&') && !text.includes('\r')) return text;
  const bytes = Buffer.from(text, 'utf8');
  return bytes.toString('utf8', 0, copyText(bytes, 0, bytes.length, bytes, 0));
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

/** Whether XML 1.0 can carry the text, escaped or not. */
export function isXmlText(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- those are what XML has no way to say
  return !/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(
    text,
  );
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

function escape(text: string): string {
  return text.replace(/[&<>"\t\n\r]/g, (char) => ESCAPES[char] ?? char);
}

const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

/** Body of DeleteObjects that answers with failures only. Keys must be XML text. */
export function deleteXml(keys: readonly string[]): string {
  let objects = '';
  for (const key of keys) objects += `<Object><Key>${escape(key)}</Key></Object>`;
  return `<?xml version="1.0" encoding="UTF-8"?><Delete ${NAMESPACE}><Quiet>true</Quiet>${objects}</Delete>`;
}

/** Body of CompleteMultipartUpload. */
export function completeXml(parts: readonly UploadedPart[], saysChecksums: boolean): string {
  let text = '';
  for (const { partNumber, etag, checksum } of parts) {
    const isSaid = saysChecksums && checksum !== undefined;
    const sum = !isSaid ? '' : `<Checksum${checksum.name}>${checksum.value}</Checksum${checksum.name}>`;
    text += `<Part><PartNumber>${partNumber}</PartNumber><ETag>${escape(etag)}</ETag>${sum}</Part>`;
  }
  return `<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUpload ${NAMESPACE}>${text}</CompleteMultipartUpload>`;
}
