/**
 * The SDK's S3 client of a mount with everything that it needs said explicitly, so that it looks up nothing by itself:
 * region (movable, once the bucket has told its own), endpoint, credentials, retries, transport, user agent.
 * Probe, store and endpoint resolution share one connection. Refuses region redirects by the SDK: it would follow them
 * for each call anew, while the net threads need to know.
 */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { createSessionCredentials } from '../credentials/express-session.js';
import type { CredentialSource } from '../credentials/source.js';
import { hasSessions } from '../endpoint/directory-bucket.js';
import { correctExpressEndpoint } from '../endpoint/express-endpoint.js';
import type { Transport } from '../endpoint/http-handler.js';
import type { StoreSettings } from '../endpoint/settings.js';
import { createSession } from './create-session.js';
import { SdkLog, silenceSdkNotices } from './sdk-log.js';

export interface S3ConnectionDeps {
  readonly settings: StoreSettings;
  readonly credentials: CredentialSource;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Log;
  /** The sessions of a directory bucket that another client has already. */
  readonly sessions?: CredentialSource;
}

/** One more is asked for soon, and the old one lives for minutes. */
const SESSION_ATTEMPTS = 3;

/** Sends signed requests; owned by who made it. */
export class S3Connection {
  readonly settings: StoreSettings;
  /** What object requests are signed with: the credentials given, or a directory bucket's sessions by them. */
  readonly credentials: CredentialSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly client: S3Client;
  readonly #deps: S3ConnectionDeps;
  readonly #region: { name: string };
  /** For CreateSession: gives up early. */
  #asking: S3Client | undefined;

  /** `maxAttempts` other than the settings' makes calls that must fail fast (the probe). */
  constructor(
    deps: S3ConnectionDeps,
    region = { name: deps.settings.region },
    maxAttempts = deps.settings.maxAttempts,
  ) {
    this.#deps = deps;
    this.settings = deps.settings;
    this.clock = deps.clock;
    this.log = deps.log;
    this.#region = region;
    silenceSdkNotices();
    const { options, endpointUrl } = deps.settings;
    const isExpress = hasSessions(options);
    const credentials = isExpress ? (deps.sessions ?? this.#openSessions()) : deps.credentials;
    this.credentials = credentials;
    this.client = new S3Client({
      ...clientConfig(deps, region, maxAttempts),
      ...(isExpress ? sessionProvider(credentials) : {}),
    });
    if (isExpress && endpointUrl !== undefined) {
      correctExpressEndpoint(this.client, options.bucket, { endpointUrl, forcePathStyle: options.forcePathStyle });
    }
    this.client.middlewareStack.add(
      (next) => (args) => {
        nameOurselves(args.request, deps.settings.userAgent);
        return next(args);
      },
      { step: 'build', priority: 'low', name: 'mountS3xUserAgent' },
    );
    this.client.middlewareStack.add(
      (next) => (args) =>
        next(args).catch((error: unknown) => {
          if (isGarbage(error)) Object.assign(error, { $retryable: {} });
          throw error;
        }),
      { step: 'deserialize', priority: 'low', name: 'mountS3xGarbage' },
    );
  }

  /** What requests are signed for now. */
  get region(): string {
    return this.#region.name;
  }

  /** From now on; calls under way keep theirs. */
  moveToRegion(region: string): void {
    this.#region.name = region;
  }

  /** The same store and region through a client that gives up after `maxAttempts`. Shares the transport. */
  withAttempts(maxAttempts: number): S3Connection {
    const sessions = this.credentials;
    return new S3Connection(
      { ...this.#deps, sessions },
      this.#region,
      Math.min(maxAttempts, this.settings.maxAttempts),
    );
  }

  /** Sessions are asked for with the credentials given, whatever else this client is for. */
  #openSessions(): CredentialSource {
    const { credentials, clock, log, settings } = this.#deps;
    const { bucket, readsOnly = false } = settings.options;
    return createSessionCredentials(credentials, {
      clock,
      log,
      create: () => {
        this.#asking ??= this.withAttempts(SESSION_ATTEMPTS).client;
        return createSession(this.#asking, { clock, credentials }, { bucket, region: this.region, readsOnly });
      },
    });
  }

  /** Closes the transport, for `withAttempts` siblings too. */
  close(): void {
    this.client.destroy();
  }
}

/**
 * An answer that is no HTTP (Node's parser says HPE_...): a server or proxy on its way down or up sends such things, and
 * the net threads ask again. The SDK would not, unless told so.
 */
function isGarbage(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('HPE_');
}

function nameOurselves(request: unknown, userAgent: string): void {
  if (typeof request !== 'object' || request === null || !('headers' in request)) return;
  const headers = request.headers as Record<string, string>;
  const sdkName = headers['user-agent'];
  headers['user-agent'] = sdkName === undefined ? userAgent : `${userAgent} ${sdkName}`;
}

function clientConfig(deps: S3ConnectionDeps, region: { name: string }, maxAttempts: number): S3ClientConfig {
  const { settings, credentials } = deps;
  const { options } = settings;
  return {
    region: () => Promise.resolve(region.name),
    ...(settings.endpointUrl === undefined ? {} : { endpoint: settings.endpointUrl }),
    // We have looked already, with the right profile: see endpoint/shared-config.ts.
    ignoreConfiguredEndpointUrls: true,
    forcePathStyle: options.forcePathStyle,
    useAccelerateEndpoint: options.transferAcceleration,
    useDualstackEndpoint: settings.dualStack,
    useFipsEndpoint: settings.fips,
    useArnRegion: true,
    followRegionRedirects: false,
    disableMultiregionAccessPoints: false,
    ...(options.anonymous ? anonymousSigning : { credentials: sdkCredentials(credentials) }),
    maxAttempts,
    retryMode: settings.retryMode,
    defaultsMode: 'standard',
    profile: settings.profile.name,
    requestHandler: deps.transport,
    logger: new SdkLog(deps.log),
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  };
}

/** Requests go out as they are. */
const anonymousSigning: S3ClientConfig = {
  credentials: { accessKeyId: '', secretAccessKey: '' },
  signer: { sign: (request) => Promise.resolve(request) },
};

interface Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** The SDK would keep sessions of its own, always for writing. Its types leave out that it reads a provider from here. */
function sessionProvider(sessions: CredentialSource): object {
  return { s3ExpressIdentityProvider: { getS3ExpressIdentity: () => sessions.current() } };
}

/** `memoized` tells the SDK that caching is done: it would keep refused credentials until they end. */
function sdkCredentials(source: CredentialSource): (() => Promise<Identity>) & { memoized: boolean } {
  const provide = async (): Promise<Identity> => {
    const now = await source.current();
    return now ?? { accessKeyId: '', secretAccessKey: '' };
  };
  return Object.assign(provide, { memoized: true });
}
