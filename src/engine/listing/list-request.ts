/**
 * A ListRequest as an HTTP request, signed, in the one form that is both signed and sent.
 * Names are asked for URL-encoded, because XML 1.0 cannot carry the control characters that a key may hold.
 */
import type { DataTarget, ListCommand } from '../api.js';
import { encodeKey } from '../signing/object-path.js';
import type { RequestSigner } from '../signing/request-signer.js';

/** The request's head as it goes on the wire. */
export function listRequest(signer: RequestSigner, target: DataTarget, command: ListCommand): string {
  // Only AWS has archived objects in listings; other stores may refuse a header that they do not know.
  const headers = command.asksRestore ? [['x-amz-optional-object-attributes', 'RestoreStatus'] as const] : [];
  return signer.request('GET', `${target.basePath}/`, listQuery(command), headers);
}

/** Parameters in the order of their names; everything but A-Z a-z 0-9 - . _ ~ as %XX, the slash too. */
function listQuery({ request }: ListCommand): string {
  const parameters: readonly (readonly [string, string | number | undefined])[] = [
    ['continuation-token', request.continuationToken],
    ['delimiter', request.delimiter],
    ['encoding-type', 'url'],
    ['list-type', 2],
    ['max-keys', request.keysMax],
    ['prefix', request.prefix === '' ? undefined : request.prefix],
    ['start-after', request.startAfter],
  ];
  const parts: string[] = [];
  for (const [name, value] of parameters) {
    if (value !== undefined) parts.push(`${name}=${encodeKey(String(value)).replaceAll('/', '%2F')}`);
  }
  return parts.join('&');
}
