/**
 * Whether an endpoint is Amazon's own. A few things are only asked of AWS (restore status in listings, the region of the
 * instance), because other stores may stumble over them.
 */

/** `endpointUrl` undefined means the SDK's rules, hence AWS; VPC endpoints given as URLs are AWS too. */
export function isAwsEndpoint(endpointUrl: string | undefined): boolean {
  if (endpointUrl === undefined) return true;
  return /\.amazonaws\.com(\.cn)?$/.test(new URL(endpointUrl).hostname);
}
