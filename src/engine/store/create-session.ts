/**
 * One CreateSession by the SDK, with words for what a user can have wrong: the permission is another than for general
 * purpose buckets, and policies may allow sessions for reading only.
 */
import { CreateSessionCommand, type S3Client } from '@aws-sdk/client-s3';
import { errnoForS3 } from '../s3-errno.js';
import { StoreError } from '../store-error.js';
import type { Session } from '../credentials/express-session.js';
import { callS3, type CallDeps } from './s3-call.js';

/** All attempts of one: the old session lives on meanwhile, and at the start somebody waits for words. */
const DEADLINE_MS = 6_000;

/** CreateSession failed. `cause` is what the SDK threw; 'AccessDenied' comes with a remedy. */
export class SessionError extends StoreError {}

export interface SessionRequest {
  readonly bucket: string;
  readonly region: string;
  /** For sessions that only read (--read-only). */
  readonly readsOnly: boolean;
}

/** Throws SessionError. `deps.credentials` are the IAM credentials: they are loaded again once when they are refused. */
export async function createSession(client: S3Client, deps: CallDeps, request: SessionRequest): Promise<Session> {
  const call = { operation: 'CreateSession', resource: `s3://${request.bucket}`, deadlineMs: DEADLINE_MS };
  try {
    return await callS3(deps, call, (signal) => ask(client, request, signal));
  } catch (error) {
    if (error instanceof StoreError) throw sessionError(error, request);
    throw error;
  }
}

async function ask(client: S3Client, request: SessionRequest, abortSignal: AbortSignal): Promise<Session> {
  const { bucket, readsOnly } = request;
  const command = new CreateSessionCommand({ Bucket: bucket, SessionMode: readsOnly ? 'ReadOnly' : 'ReadWrite' });
  let date = '';
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> };
      date = headers?.['date'] ?? '';
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'mountS3xDate' },
  );
  const { Credentials: made } = await client.send(command, { abortSignal });
  const answeredAtMs = Date.parse(date);
  const { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, SessionToken: sessionToken } = made ?? {};
  if (!accessKeyId || !secretAccessKey || !sessionToken || made?.Expiration === undefined) {
    throw new StoreError({
      errno: errnoForS3(502, 'NotAnS3Server'),
      code: 'NotAnS3Server',
      status: 200,
      resource: `s3://${bucket}`,
      message: `CreateSession s3://${bucket}: the answer holds no keys`,
      remedy: 'the store does not know directory buckets, or another server answers in its place',
    });
  }
  return {
    accessKeyId,
    secretAccessKey,
    sessionToken,
    expiresAtMs: made.Expiration.getTime(),
    answeredAtMs: Number.isNaN(answeredAtMs) ? undefined : answeredAtMs,
  };
}

function sessionError(error: StoreError, request: SessionRequest): SessionError {
  const { errno, code, status, resource, message, remedy } = error;
  const { bucket, region, readsOnly } = request;
  const facts = { errno, code, status, resource };
  const options = { cause: error.cause ?? error };
  if (code !== 'AccessDenied') {
    return new SessionError({ ...facts, message, ...(remedy === undefined ? {} : { remedy }) }, options);
  }
  const line = `"Action": "s3express:CreateSession", "Resource": "arn:aws:s3express:${region}:ACCOUNT:bucket/${bucket}"`;
  const mode = readsOnly ? '' : '; if it may only read, mount with --read-only';
  return new SessionError(
    {
      ...facts,
      message: `s3://${bucket}: no permission to create a ${readsOnly ? 'ReadOnly' : 'ReadWrite'} session`,
      remedy: `add to the policy: { "Effect": "Allow", ${line} }${mode} (docs/SECURITY.md)`,
    },
    options,
  );
}
