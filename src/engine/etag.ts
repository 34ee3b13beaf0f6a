/**
 * Which ETags tie bytes to a version. Only a strong one does: If-Match compares strongly, so for a weak one (`W/"..."`) it never
 * holds, and two bodies of the same weak one need not have the same bytes (RFC 9110, sections 8.8.3.2 and 13.1.1). An object may
 * also have none at all, in a listing or at all (gateways over plain files). Pure.
 */

/** Requests can be tied to it. */
export function isStrongEtag(etag: string): boolean {
  return etag !== '' && !isWeakEtag(etag);
}

/** `W/` is written large; who writes it small means the same. */
export function isWeakEtag(etag: string): boolean {
  return etag.charCodeAt(1) === 0x2f && (etag.charCodeAt(0) | 0x20) === 0x77;
}

/** Without its quotes: some stores lose them in listings, and they are no part of the value. */
export function bareEtag(etag: string): string {
  return etag.startsWith('"') && etag.endsWith('"') && etag.length >= 2 ? etag.slice(1, -1) : etag;
}

/** What stands behind `W/`, without quotes. */
function opaqueTag(etag: string): string {
  return bareEtag(isWeakEtag(etag) ? etag.slice(2) : etag);
}

/** Whether both may belong to one version, as far as they say anything. */
export function mayBeSameVersion(one: string, other: string): boolean {
  return one === '' || other === '' || opaqueTag(one) === opaqueTag(other);
}
