/**
 * XML out by string concatenation, XML in by fast-xml-parser.
 *
 * Answers are flat and known, so a writer with escaping is enough and keeps a LIST page of 1,000 keys under a
 * millisecond. Input is parsed without type guessing (a key named "1e3" stays text) and without trimming (keys may end
 * in spaces). No namespaces, no attributes: S3's requests use neither.
 */
import { XMLParser } from 'fast-xml-parser';
import { S3Error } from './errors.js';

/** First line of every answer. */
export const XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** The namespace S3 puts on successful answers (not on errors). */
export const S3_XMLNS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

// eslint-disable-next-line no-control-regex
const NEEDS_ESCAPE = /[&<>"\u0000-\u001f]/;
// eslint-disable-next-line no-control-regex
const ESCAPED = /[&<>"\u0000-\u001f]/g;

function escapeOne(char: string): string {
  switch (char) {
    case '&':
      return '&amp;';
    case '<':
      return '&lt;';
    case '>':
      return '&gt;';
    case '"':
      return '&quot;';
    default:
      // S3 does the same; XML 1.0 parsers refuse most of these, which is why encoding-type=url exists.
      return `&#x${char.charCodeAt(0).toString(16)};`;
  }
}

/** Text made safe between tags. */
export function escapeXml(text: string): string {
  return NEEDS_ESCAPE.test(text) ? text.replace(ESCAPED, escapeOne) : text;
}

/** `<name>text</name>`, escaped. */
export function element(name: string, text: string | number | boolean): string {
  return `<${name}>${typeof text === 'string' ? escapeXml(text) : String(text)}</${name}>`;
}

/** A whole answer document. `inner` is XML already. */
export function documentXml(root: string, inner: string): Buffer {
  return Buffer.from(`${XML_HEAD}<${root}${S3_XMLNS}>${inner}</${root}>`);
}

/** A parsed element: text, or children by name. Children named in `lists` are always arrays. */
export type XmlNode = string | { readonly [name: string]: XmlNode | readonly XmlNode[] };

/**
 * Parses a request document and returns its root's content.
 * @throws S3Error MalformedXML when it is not XML or its root has another name
 */
export function parseXml(
  body: Buffer,
  root: string,
  lists: readonly string[],
): { readonly [name: string]: XmlNode | readonly XmlNode[] } {
  const parser = new XMLParser({
    ignoreAttributes: true,
    ignoreDeclaration: true,
    parseTagValue: false,
    trimValues: false,
    removeNSPrefix: true,
    htmlEntities: true,
    isArray: (name) => lists.includes(name),
  });
  let parsed: unknown;
  try {
    parsed = parser.parse(body, true);
  } catch {
    throw new S3Error('MalformedXML');
  }
  const content = typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, XmlNode>)[root] : undefined;
  if (content === undefined) throw new S3Error('MalformedXML');
  return typeof content === 'string' ? {} : content;
}

/** Text of a child element, or undefined when it is absent. */
export function childText(node: XmlNode, name: string): string | undefined {
  if (typeof node === 'string') return undefined;
  const child = node[name];
  return typeof child === 'string' ? child : undefined;
}

/** Children of a repeated element (see `lists` of parseXml). */
export function childList(node: XmlNode, name: string): readonly XmlNode[] {
  if (typeof node === 'string') return [];
  const child = node[name];
  return Array.isArray(child) ? (child as readonly XmlNode[]) : [];
}
