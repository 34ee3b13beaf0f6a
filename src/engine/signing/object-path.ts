/**
 * Keys to URL paths. S3 signs the path exactly as it is sent, so there is one encoding and nobody may tidy it up:
 * every byte of the key's UTF-8 but A-Z a-z 0-9 - . _ ~ and / becomes %XX, and `//`, `.` and `..` stay.
 * Refuses nothing: which keys can be file names is decided elsewhere. Source: "Create a canonical request" of the
 * Signature Version 4 documentation (UriEncode).
 */

const HEX = '0123456789ABCDEF';
const escapes: string[] = [];
for (let byte = 0; byte < 256; byte++) {
  const char = String.fromCharCode(byte);
  escapes.push(/[A-Za-z0-9\-._~/]/.test(char) ? char : `%${HEX[byte >> 4] ?? ''}${HEX[byte & 15] ?? ''}`);
}

/** `key` percent-encoded for a request path, without a leading slash. A lone surrogate becomes U+FFFD, as in UTF-8. */
export function encodeKey(key: string): string {
  // Most keys need nothing.
  if (/^[A-Za-z0-9\-._~/]*$/.test(key)) return key;
  const bytes = Buffer.from(key, 'utf8');
  let path = '';
  for (const byte of bytes) path += escapes[byte] ?? '';
  return path;
}

/** Path of an object: `basePath` is '' (virtual-host addressing) or begins with '/', and is encoded already. */
export function objectPath(basePath: string, key: string): string {
  return `${basePath}/${encodeKey(key)}`;
}

/** A value of a query as it is signed and sent: the slash is escaped, too. */
export function queryValue(text: string): string {
  return encodeKey(text).replaceAll('/', '%2F');
}
