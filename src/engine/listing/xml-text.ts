/**
 * Character data of XML as bytes: entities and character references resolved, line ends as XML wants them.
 * The text is complete (from one `<` to the next), so a reference is never cut. Unknown entities stay as they stand, as
 * the SDK's parser leaves them.
 * Source: XML 1.0, sections 2.11 and 4.6.
 */

const AMPERSAND = 0x26;
const SEMICOLON = 0x3b;
const HASH = 0x23;
const CR = 0x0d;
const LF = 0x0a;
/** Longest reference that is looked at: `&#x10FFFF;` */
const REFERENCE_BYTES_MAX = 10;
const CODE_POINT_MAX = 0x10ffff;

const NAMED: readonly (readonly [string, number])[] = [
  ['quot', 0x22],
  ['amp', 0x26],
  ['lt', 0x3c],
  ['gt', 0x3e],
  ['apos', 0x27],
];

/** Copies [from, to) of `text` to `out` at `at`, resolved. Never longer than the original. Returns the end. */
export function copyText(text: Uint8Array, from: number, to: number, out: Uint8Array, at: number): number {
  for (let index = from; index < to; index++) {
    const byte = text[index] ?? 0;
    if (byte === AMPERSAND) {
      const end = referenceEnd(text, index, to);
      const code = end < 0 ? -1 : resolve(text, index + 1, end);
      if (code >= 0) {
        at = putCodePoint(out, at, code);
        index = end;
        continue;
      }
    } else if (byte === CR) {
      if (index + 1 < to && text[index + 1] === LF) continue;
      out[at++] = LF;
      continue;
    }
    out[at++] = byte;
  }
  return at;
}

/** Where the `;` of a reference that begins at `from` is, -1 when there is none near. */
function referenceEnd(text: Uint8Array, from: number, to: number): number {
  const last = Math.min(to, from + REFERENCE_BYTES_MAX);
  for (let index = from + 1; index < last; index++) if (text[index] === SEMICOLON) return index;
  return -1;
}

/** Code point of the reference [from, to), -1 when it is none. */
function resolve(text: Uint8Array, from: number, to: number): number {
  if (text[from] === HASH) return resolveNumber(text, from + 1, to);
  for (const [name, code] of NAMED) {
    if (name.length !== to - from) continue;
    let same = 0;
    while (same < name.length && text[from + same] === name.charCodeAt(same)) same++;
    if (same === name.length) return code;
  }
  return -1;
}

function resolveNumber(text: Uint8Array, from: number, to: number): number {
  const isHex = text[from] === 0x78;
  let value = 0;
  for (let index = isHex ? from + 1 : from; index < to; index++) {
    const byte = text[index] ?? 0;
    const lower = byte | 0x20;
    let digit = byte - 0x30;
    if (isHex && lower >= 0x61 && lower <= 0x66) digit = lower - 0x61 + 10;
    if (digit < 0 || digit > (isHex ? 15 : 9)) return -1;
    value = value * (isHex ? 16 : 10) + digit;
  }
  const isEmpty = to === (isHex ? from + 1 : from);
  return isEmpty || value > CODE_POINT_MAX ? -1 : value;
}

/** UTF-8 of a code point; what is none (half a surrogate pair) becomes U+FFFD. */
function putCodePoint(out: Uint8Array, at: number, codePoint: number): number {
  const code = codePoint >= 0xd800 && codePoint <= 0xdfff ? 0xfffd : codePoint;
  if (code < 0x80) {
    out[at++] = code;
  } else if (code < 0x800) {
    out[at++] = 0xc0 | (code >> 6);
    out[at++] = 0x80 | (code & 0x3f);
  } else if (code < 0x10000) {
    out[at++] = 0xe0 | (code >> 12);
    out[at++] = 0x80 | ((code >> 6) & 0x3f);
    out[at++] = 0x80 | (code & 0x3f);
  } else {
    out[at++] = 0xf0 | (code >> 18);
    out[at++] = 0x80 | ((code >> 12) & 0x3f);
    out[at++] = 0x80 | ((code >> 6) & 0x3f);
    out[at++] = 0x80 | (code & 0x3f);
  }
  return at;
}
