/**
 * How S3 keys become paths. A key `a/b/c` is the file c in the directory a/b; `a/b/` is that directory's marker.
 * Keys are handled as strings and compared as S3 sorts them, by UTF-8 bytes, which is not JavaScript's order.
 * Refuses to rename anything: a key whose last component cannot be a file name is hidden (and counted), never escaped.
 */

/** Linux' NAME_MAX: bytes of one path component. */
export const NAME_BYTES_MAX = 255;
/** S3's longest key in UTF-8 bytes; a longer path cannot exist, so nobody asks the store for it. */
export const KEY_BYTES_MAX = 1024;

const surrogate = /\p{Surrogate}/u;

/** True when `name` can be shown as a file name: 1 to 255 bytes of valid UTF-8, no slash, no NUL, not `.` or `..`. */
export function isFileName(name: string): boolean {
  if (name === '' || name === '.' || name === '..') return false;
  if (name.includes('/') || name.includes('\0')) return false;
  // A UTF-16 unit is 1 to 3 bytes of UTF-8: most names need no counting.
  if (name.length * 3 > NAME_BYTES_MAX && Buffer.byteLength(name) > NAME_BYTES_MAX) return false;
  // A lone surrogate has no UTF-8 form; the kernel could never give such a name back.
  return !surrogate.test(name);
}

/** True when some object could have the key of `name` in `directoryKey`; false needs no request to say "no such file". */
export function couldBeKey(directoryKey: string, name: string): boolean {
  if (!isFileName(name)) return false;
  const units = directoryKey.length + name.length;
  return units * 3 <= KEY_BYTES_MAX || Buffer.byteLength(directoryKey) + Buffer.byteLength(name) <= KEY_BYTES_MAX;
}

/** Order of UTF-8 bytes: what ListObjectsV2 sorts by. JavaScript's own order differs above U+D7FF. */
export function compareKeys(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let index = 0; index < shorter; index++) {
    let x = a.charCodeAt(index);
    let y = b.charCodeAt(index);
    if (x === y) continue;
    // Surrogates stand for code points above U+FFFF, so they sort after U+E000..U+FFFF.
    if (x >= 0xd800 && y >= 0xd800) {
      x = x >= 0xe000 ? x - 0x800 : x + 0x2000;
      y = y >= 0xe000 ? y - 0x800 : y + 0x2000;
    }
    return x - y;
  }
  return a.length - b.length;
}

/** The key of the directory that holds `key` (a file's key or a directory's, which ends with a slash). */
export function parentDirectoryKey(key: string): string {
  return key.slice(0, key.lastIndexOf('/', key.length - 2) + 1);
}

/** Last component of a file's or a directory's key. */
export function baseName(key: string): string {
  const end = key.endsWith('/') ? key.length - 1 : key.length;
  return key.slice(key.lastIndexOf('/', end - 1) + 1, end);
}
