/**
 * Where a directory bucket is with an endpoint of the user's (--endpoint-url): the SDK's rules put the bucket before the
 * endpoint's own path and a second slash before the key for addresses, and know no path style for host names, whatever forcePathStyle says. On AWS the rules stand as they are.
 * Refuses to know anything else of an endpoint: region, service and scheme stay the SDK's.
 */
import type { S3Client } from '@aws-sdk/client-s3';

/** Changes how `client` finds `bucket` below `endpointUrl`. */
export function correctExpressEndpoint(
  client: S3Client,
  bucket: string,
  options: { readonly endpointUrl: string; readonly forcePathStyle: boolean },
): void {
  const resolve = client.config.endpointProvider;
  client.config.endpointProvider = (parameters, context) => {
    const endpoint = resolve(parameters, context);
    return { ...endpoint, url: corrected(endpoint.url, bucket, options) };
  };
}

function corrected(
  found: URL,
  bucket: string,
  options: { readonly endpointUrl: string; readonly forcePathStyle: boolean },
): URL {
  const isVirtualHost = found.hostname.startsWith(`${bucket}.`) && !options.forcePathStyle;
  const url = new URL(isVirtualHost ? found : options.endpointUrl);
  const path = url.pathname.replace(/\/+$/, '');
  url.pathname = isVirtualHost ? path : `${path}/${bucket}`;
  return url;
}
