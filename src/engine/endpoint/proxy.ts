/**
 * Which proxy, if any, leads to a URL: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, lower-case names too.
 * One function for both planes, so that listings and ranged GETs take the same way. The rules are proxy-from-env's,
 * with one addition of ours: AWS's metadata addresses are never asked for through a proxy, which could only answer
 * with its own machine's credentials.
 * Refuses SOCKS: neither plane speaks it, and a proxy that is silently not used would be a leak.
 */
import { getProxyForUrl } from 'proxy-from-env';
import { EINVAL } from '../../base/errno.js';
import { StoreError } from '../store-error.js';

/** Answers the proxy's URL for `url`, undefined for a direct connection. */
export type ProxyFor = (url: string) => string | undefined;

const NEVER_PROXIED = new Set([
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '[fd00:ec2::254]',
  '[fd00:ec2::23]',
]);

/** Reads the process environment at each call. Throws StoreError (InvalidProxy) for a proxy URL that is not http(s). */
export const proxyFromEnvironment: ProxyFor = (url) => {
  if (NEVER_PROXIED.has(new URL(url).hostname)) return undefined;
  const proxyUrl = getProxyForUrl(url);
  if (proxyUrl === '') return undefined;
  const parsed = URL.canParse(proxyUrl) ? new URL(proxyUrl) : undefined;
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') {
    throw new StoreError({
      errno: EINVAL,
      code: 'InvalidProxy',
      status: 0,
      resource: url,
      message: `the proxy for ${url} is not an http:// or https:// URL`,
      remedy: 'correct HTTPS_PROXY / HTTP_PROXY, or name the host in NO_PROXY',
    });
  }
  return parsed.href;
};
