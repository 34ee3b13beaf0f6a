/**
 * The first question to a bucket, asked at mount time: one LIST of one key under the prefix. It finds the bucket's region
 * and everything that a user can get wrong, and says each in one line with what to do, within PROBE_MS.
 * A LIST and not a HEAD, because HEAD answers have no body and so no reason, and because listing is the permission that a
 * mount cannot do without. Refuses patience: few attempts, short waits; a mount that hangs is worse than one that fails.
 */
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { StoreError } from '../store-error.js';
import { endpointError } from '../endpoint/resolve-target.js';
import { isAwsEndpoint } from '../endpoint/aws-endpoint.js';
import { SessionError } from './create-session.js';
import { createAdvice } from './probe-advice.js';
import { errnoOf, failureFacts, type FailureFacts } from './sdk-error.js';
import type { S3Connection } from './s3-connection.js';
import { accountParameters } from './s3-store.js';

/** For all of it, redirects included; the promise is 10 s from the command to the line on the screen. */
const PROBE_MS = 7_000;
/** Refused connections and unknown hosts come back at once; more attempts would only delay the bad news. */
const PROBE_ATTEMPTS = 3;
/** Regions tried after the first: the one that the store names, and one more for a store that changes its mind. */
const REGION_MOVES_MAX = 2;
/** SigV4 refuses at 15 minutes; the SDK corrects itself from 5 minutes on. */
const CLOCK_SKEW_WARN_MS = 5 * 60_000;

export interface ProbeResult {
  /** Where the bucket is; the connection has moved there. */
  readonly region: string;
  /** No key under the prefix: worth a warning, no error (a new bucket is empty). */
  readonly empty: boolean;
  /** The store's time minus ours, when the store complained; else 0. */
  readonly clockOffsetMs: number;
  readonly elapsedMs: number;
}

/** Moves `connection` to the bucket's region. Throws StoreError with `remedy`. */
export async function probeBucket(connection: S3Connection, signal?: AbortSignal): Promise<ProbeResult> {
  const startMs = connection.clock.nowMs();
  const hasty = connection.withAttempts(PROBE_ATTEMPTS);
  const ender = new AbortController();
  const timer = connection.clock.after(PROBE_MS, () => ender.abort());
  const ending = signal === undefined ? ender.signal : AbortSignal.any([ender.signal, signal]);
  // What the last attempt failed of: at the deadline the SDK only says that it was aborted.
  let lastError: unknown;
  hasty.client.middlewareStack.add(
    (next) => async (args) => {
      try {
        return await next(args);
      } catch (error) {
        if (!ending.aborted) lastError = error;
        throw error;
      }
    },
    { step: 'deserialize', priority: 'high', name: 'mountS3xLastError' },
  );
  try {
    for (let moves = 0; ; moves++) {
      try {
        const empty = await listOne(hasty, ending);
        const clockOffsetMs = adoptClock(connection, hasty);
        return { region: connection.region, empty, clockOffsetMs, elapsedMs: connection.clock.nowMs() - startMs };
      } catch (thrown) {
        const error = unwrapped(thrown);
        if (error instanceof StoreError) throw error;
        if (signal?.aborted) throw probeError(connection, cancelledFacts, error);
        const facts = ending.aborted ? lateFacts(lastError) : failureFacts(error);
        if (!isFromTheWire(error) && !ending.aborted && facts.nodeCode === '') throw endpointError(connection, error);
        if (moves < REGION_MOVES_MAX && tryMove(connection, facts)) continue;
        throw probeError(connection, facts, error);
      }
    }
  } finally {
    timer.cancel();
  }
}

async function listOne(connection: S3Connection, signal: AbortSignal): Promise<boolean> {
  const { bucket, prefix } = connection.settings.options;
  const input = {
    Bucket: bucket,
    MaxKeys: 1,
    ...(prefix === '' ? {} : { Prefix: prefix }),
    ...accountParameters(connection),
  };
  const answer = await connection.client.send(new ListObjectsV2Command(input), { abortSignal: signal });
  if (answer.Name === undefined && answer.KeyCount === undefined && answer.IsTruncated === undefined) {
    throw probeError(connection, notS3Facts, undefined);
  }
  return (answer.Contents?.length ?? 0) === 0;
}

/** Both planes sign with the store's time once it has complained; the user should know why the start was slow. */
function adoptClock(connection: S3Connection, hasty: S3Connection): number {
  const offsetMs = hasty.client.config.systemClockOffset;
  if (Math.abs(offsetMs) >= CLOCK_SKEW_WARN_MS) {
    connection.client.config.systemClockOffset = offsetMs;
    connection.log.warn(
      { offsetMs: Math.round(offsetMs) },
      "this machine's clock differs from the store's, signing with the store's time; set the clock (timedatectl set-ntp true)",
    );
  }
  return offsetMs;
}

/** Follows the region that the store named. False when there is nothing to follow. */
function tryMove(connection: S3Connection, facts: FailureFacts): boolean {
  const { settings } = connection;
  const { region } = facts;
  // 404 and 403 name the region as well, and would be the same there.
  const aboutRegion = facts.status === 301 || facts.status === 307 || facts.status === 400;
  if (region === undefined || region === connection.region || !aboutRegion) return false;
  if (settings.regionSource === 'option') return false;
  connection.log.info(
    { from: connection.region, to: region, source: settings.regionSource },
    'the bucket is in another region',
  );
  connection.moveToRegion(region);
  return true;
}

/** What the store said of a session that could not be created, unless that has its own advice. */
function unwrapped(thrown: unknown): unknown {
  return thrown instanceof SessionError && thrown.code !== 'AccessDenied' ? thrown.cause : thrown;
}

function isFromTheWire(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  return '$response' in error || '$metadata' in error || ('name' in error && error.name === 'TimeoutError');
}

const notS3Facts: FailureFacts = {
  status: 200,
  code: 'NotAnS3Server',
  message: '',
  region: undefined,
  contentType: '',
  nodeCode: '',
};
const cancelledFacts: FailureFacts = { ...notS3Facts, status: 0, code: 'Cancelled' };

function lateFacts(lastError: unknown): FailureFacts {
  const last = failureFacts(lastError);
  const known = lastError !== undefined && last.code !== 'ConnectionFailed';
  return known ? last : { ...notS3Facts, status: 0, code: 'Timeout' };
}

function probeError(connection: S3Connection, facts: FailureFacts, cause: unknown): StoreError {
  const { settings } = connection;
  const advice = createAdvice(facts, {
    bucket: settings.options.bucket,
    prefix: settings.options.prefix,
    region: connection.region,
    regionFromOption: settings.regionSource === 'option',
    endpointUrl: settings.endpointUrl,
    onAws: isAwsEndpoint(settings.endpointUrl),
    proxyUrl: settings.proxyFor(settings.endpointUrl ?? `https://s3.${connection.region}.amazonaws.com/`),
    ownCaBundle: settings.caPem !== undefined,
    anonymous: settings.options.anonymous,
    credentialsOrigin: connection.credentials.origin(),
    waitedMs: PROBE_MS,
  });
  return new StoreError(
    {
      errno: errnoOf(facts),
      code: facts.code,
      status: facts.status,
      ...advice,
    },
    cause === undefined ? undefined : { cause },
  );
}
