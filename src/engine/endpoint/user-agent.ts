/**
 * How we name ourselves to the store: `PREFIX mount-s3x/VERSION`, the same on both planes, so that a bucket's access log
 * tells our requests from others.
 */
import { packageVersion } from '../../base/program-file.js';

/** `prefix` is --user-agent-prefix; characters that cannot stand in a header are dropped. */
export function userAgentFor(prefix: string | undefined): string {
  const name = `mount-s3x/${packageVersion()}`;
  const cleanPrefix = (prefix ?? '').replace(/[^\x20-\x7e]/g, '').trim();
  return cleanPrefix === '' ? name : `${cleanPrefix} ${name}`;
}
