/**
 * Answers that say "not here": the bucket is in another region or at another address. None is followed, neither the first nor
 * any that would come after it: a request is signed for one host, and one that names another could have our session token sent
 * to it by anybody who can answer. A start moves to the region that a bucket names (store/probe.ts); what comes later is said
 * with where the answer points. 307 may pass by itself (a bucket so new that its name still leads to the wrong place): it is asked
 * again here, as often as any other failure. Pure.
 */
import { URL } from 'node:url';
import type { S3ErrorBody } from './error-body.js';
import type { Remedy } from './failure.js';
import type { ResponseHead } from './http-head.js';

/** What follows "the answer was ...": where it points and what to do; undefined when the answer is no redirect. */
export function redirectOf(
  head: ResponseHead,
  body: S3ErrorBody,
): { readonly hint: string; readonly remedy: Remedy } | undefined {
  const { status } = head;
  const isRedirect = status === 301 || status === 302 || status === 307 || status === 308;
  if (!isRedirect && body.code !== 'AuthorizationHeaderMalformed') return undefined;
  return { hint: hintOf(head, body), remedy: status === 307 ? 'backoff' : 'none' };
}

function hintOf(head: ResponseHead, body: S3ErrorBody): string {
  const region = body.region || head.get('x-amz-bucket-region');
  if (region) return `the bucket is in region ${region}: mount again with --region ${region}`;
  const host = body.endpoint || hostOf(head.get('location'));
  if (!host) return 'the bucket cannot be reached here: give the right --region or --endpoint-url';
  return `it points to ${host}, where nothing signed for this host is sent: give --endpoint-url of that host if it is right`;
}

/** '' for a place on the same host, or none. */
function hostOf(location: string | undefined): string {
  return location !== undefined && /^https?:/i.test(location) && URL.canParse(location) ? new URL(location).host : '';
}
