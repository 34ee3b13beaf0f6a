/**
 * Tells the net threads where the bucket is: the SDK builds a GET of it and is stopped before sending, so that every
 * endpoint rule (virtual host or path, dual-stack, FIPS, acceleration, access points, base paths) is the SDK's own and
 * both planes talk to the same place. A copy of those rules would be wrong within a year.
 * Refuses what the net threads cannot sign: multi-region access points (SigV4A).
 */
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { EINVAL, EOPNOTSUPP } from '../../base/errno.js';
import type { DataTarget } from '../api.js';
import { StoreError } from '../store-error.js';
import type { S3Connection } from '../store/s3-connection.js';

/** Stands for the object; its length is cut off the path that the SDK built. */
const PLACEHOLDER_KEY = 'k';

interface BuiltRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: number | undefined;
  readonly path: string;
  readonly signingRegion: string;
  readonly signingService: string;
  readonly signingScheme: string;
}

export interface TargetExtras {
  /** Local addresses to bind connections to (--bind), resolved by the caller. */
  readonly localAddresses?: readonly string[];
}

/** For the connection's present region: call it after the probe has found that. Throws StoreError. */
export async function resolveTarget(connection: S3Connection, extras: TargetExtras = {}): Promise<DataTarget> {
  const { settings } = connection;
  const { options } = settings;
  const built = await buildRequest(connection);
  if (built.signingScheme.includes('sigv4a')) {
    throw unsupported(options.bucket, 'multi-region access points come with a later version', 'name the bucket itself');
  }
  const tls = built.protocol === 'https:';
  const port = built.port ?? (tls ? 443 : 80);
  const hostHeader = port === (tls ? 443 : 80) ? built.hostname : `${built.hostname}:${port}`;
  const proxyUrl = settings.proxyFor(`${built.protocol}//${hostHeader}/`);
  return {
    tls,
    hostname: built.hostname.replace(/^\[|\]$/g, ''),
    port,
    hostHeader,
    basePath: built.path.slice(0, -(PLACEHOLDER_KEY.length + 1)),
    signingRegion: built.signingRegion,
    signingService: built.signingService,
    headers: {
      ...(options.requesterPays ? { 'x-amz-request-payer': 'requester' } : {}),
      ...(options.expectedBucketOwner === undefined
        ? {}
        : { 'x-amz-expected-bucket-owner': options.expectedBucketOwner }),
    },
    userAgent: settings.userAgent,
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
    ...(settings.caPem === undefined ? {} : { caPem: settings.caPem }),
    maxAttempts: settings.maxAttempts,
    isPatient: settings.isPatient,
    localAddresses: extras.localAddresses ?? [],
  };
}

function unsupported(bucket: string, what: string, remedy: string): StoreError {
  return new StoreError({
    errno: EOPNOTSUPP,
    code: 'NotSupported',
    status: 0,
    resource: `s3://${bucket}`,
    message: `s3://${bucket}: ${what}`,
    remedy,
  });
}

/** Carries the built request out of the middleware stack. */
class Captured extends Error {
  readonly built: BuiltRequest;
  constructor(built: BuiltRequest) {
    super('captured');
    this.built = built;
  }
}

async function buildRequest(connection: S3Connection): Promise<BuiltRequest> {
  const { options } = connection.settings;
  const command = new GetObjectCommand({ Bucket: options.bucket, Key: PLACEHOLDER_KEY });
  command.middlewareStack.add(
    (_next, context) => (args) => Promise.reject(new Captured(readRequest(args.request, context, connection.region))),
    // After the serializer and the endpoint rules, before checksums, sessions and signing.
    { step: 'build', priority: 'high', name: 'mountS3xCapture' },
  );
  try {
    await connection.client.send(command);
  } catch (error) {
    if (error instanceof Captured) return error.built;
    if (error instanceof StoreError) throw error;
    throw endpointError(connection, error);
  }
  throw endpointError(connection, new Error('the SDK sent a request that was to be captured'));
}

/** The SDK's rules said no: combinations that cannot be, a bucket name that cannot be. */
export function endpointError(connection: S3Connection, error: unknown): StoreError {
  const { bucket } = connection.settings.options;
  const text = error instanceof Error ? error.message.replace(/\s+/g, ' ').trim() : String(error);
  return new StoreError(
    {
      errno: EINVAL,
      code: 'InvalidEndpoint',
      status: 0,
      resource: `s3://${bucket}`,
      message: `s3://${bucket}: ${text}`,
      remedy:
        'check the bucket name and the combination of --endpoint-url, --dual-stack, --transfer-acceleration, --force-path-style and FIPS',
    },
    { cause: error },
  );
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function readRequest(request: unknown, context: unknown, region: string): BuiltRequest {
  const schemes = fieldOf(context, 'authSchemes');
  const scheme: unknown = Array.isArray(schemes) ? schemes[0] : undefined;
  const text = (value: unknown, otherwise: string): string =>
    typeof value === 'string' && value !== '' ? value : otherwise;
  const port = fieldOf(request, 'port');
  return {
    protocol: text(fieldOf(request, 'protocol'), 'https:'),
    hostname: text(fieldOf(request, 'hostname'), ''),
    port: typeof port === 'number' ? port : undefined,
    path: text(fieldOf(request, 'path'), '/'),
    signingRegion: text(fieldOf(scheme, 'signingRegion'), region),
    signingService: text(fieldOf(scheme, 'signingName'), 's3'),
    signingScheme: text(fieldOf(scheme, 'name'), 'sigv4'),
  };
}
