/**
 * The order of keys: bytes of their UTF-8 form, which is what S3 sorts by.
 *
 * JavaScript compares UTF-16 units, which differs only where surrogate pairs (U+10000 and up) meet U+E000-U+FFFF. So the
 * comparison is the native one until the first differing unit turns out to be a surrogate; no key is ever encoded.
 */

/** Negative, zero or positive, as `a` sorts before, with or after `b` in UTF-8 byte order. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  const common = Math.min(a.length, b.length);
  for (let at = 0; at < common; at++) {
    const unitA = a.charCodeAt(at);
    const unitB = b.charCodeAt(at);
    if (unitA !== unitB) return rank(unitA) - rank(unitB);
  }
  return a.length - b.length;
}

/** Surrogates sort above every other unit, in their own order. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
