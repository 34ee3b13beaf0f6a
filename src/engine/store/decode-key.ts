/**
 * Keys out of answers that were asked for URL-encoded, for those that are not scanned as bytes (src/engine/listing does).
 * Pure.
 */

/**
 * S3's `encoding-type=url`: percent-encoded UTF-8 with `+` for a space (a plus is %2B). Bytes that are no UTF-8 become
 * replacement characters, as such a key could not be asked for through the SDK either.
 */
export function decodeKey(encoded: string): string {
  const spaced = encoded.includes('+') ? encoded.replaceAll('+', ' ') : encoded;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    const bytes = spaced.replace(/%([0-9A-Fa-f]{2})|[^\x20-\x7e]/g, (found, hex: string | undefined) =>
      hex === undefined ? Buffer.from(found, 'utf8').toString('latin1') : String.fromCharCode(Number.parseInt(hex, 16)),
    );
    return Buffer.from(bytes, 'latin1').toString('utf8');
  }
}
