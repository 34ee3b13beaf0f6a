/**
 * What a case of the contract table is and what it gets to work with.
 *
 * A case is a plain function that throws when the server is wrong, so the same table runs on every server and from any runner. It gets an
 * empty bucket of its own and a client; it must not depend on another case. A server that is known to differ says so at the case itself,
 * and then the case must fail on it: a deviation that no longer holds is an error, so the list cannot rot.
 */
import assert from 'node:assert/strict';
import { CreateBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { ServerName, TestServer } from '../../support/servers/server.js';

/** What a case gets. The runner owns everything in it. */
export interface CaseContext {
  readonly server: TestServer;
  /** Path-style, one attempt, so that an error is seen as the server sent it. */
  readonly s3: S3Client;
  /** An empty bucket that only this case uses. */
  readonly bucket: string;
  /** Another empty bucket. */
  newBucket(): Promise<string>;
}

/** How a server differs at one case. */
export interface CaseDeviation {
  /** What the server does instead. */
  readonly reason: string;
  /** The message with which the case fails on this server; without it any failure will do. */
  readonly failsWith?: RegExp;
  /** Do not even run the case: it would hang, or harm the server. The runner prints the reason. */
  readonly skip?: true;
}

/** One row of the contract table. */
export interface ContractCase {
  /** Unique; starts with its area: `get: …`. */
  readonly name: string;
  readonly deviations?: Readonly<Partial<Record<ServerName, CaseDeviation>>>;
  run(ctx: CaseContext): Promise<void>;
}

/** A case that fails on versitygw in a known way. */
export function onVersitygw(reason: string, failsWith?: RegExp): Pick<ContractCase, 'deviations'> {
  return { deviations: { versitygw: { reason, ...(failsWith === undefined ? {} : { failsWith }) } } };
}

/** A case that is not run on versitygw. */
export function notOnVersitygw(reason: string): Pick<ContractCase, 'deviations'> {
  return { deviations: { versitygw: { reason, skip: true } } };
}

/** A client of `server`; `overrides` replace single settings. The caller destroys it. */
export function clientOf(server: TestServer, overrides: S3ClientConfig = {}): S3Client {
  const ca = server.tlsCaFile === undefined ? {} : { ca: readFileSync(server.tlsCaFile) };
  return new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler: new NodeHttpHandler({
      httpAgent: new HttpAgent({ keepAlive: true, maxSockets: 64 }),
      httpsAgent: new HttpsAgent({ keepAlive: true, maxSockets: 64, ...ca }),
      requestTimeout: 30_000,
    }),
    ...overrides,
  });
}

let bucketCount = 0;

/** Creates an empty bucket with a name not used before in this process. */
export async function createBucket(s3: S3Client): Promise<string> {
  bucketCount += 1;
  const bucket = `case-${process.pid}-${bucketCount}`;
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  return bucket;
}

/** What an SDK call threw, as S3 said it. */
export interface S3Failure {
  readonly status: number;
  /** The `<Code>` of the body; for HEAD, which has none, what the SDK makes of the status. */
  readonly code: string;
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Asserts that the call fails with one of the codes; returns what was thrown. */
export async function expectFailure(
  call: Promise<unknown>,
  status: number | readonly number[],
  code?: string | readonly string[],
): Promise<S3Failure> {
  let thrown: unknown;
  try {
    await call;
  } catch (error) {
    thrown = error;
  }
  if (thrown === undefined) assert.fail(`succeeded, expected ${String(status)} ${String(code ?? '')}`);
  return assertFailure(thrown, status, code);
}

/** The same for something already caught. */
export function assertFailure(
  thrown: unknown,
  status: number | readonly number[],
  code?: string | readonly string[],
): S3Failure {
  const failure = asFailure(thrown);
  const statuses = typeof status === 'number' ? [status] : status;
  const codes = code === undefined ? undefined : typeof code === 'string' ? [code] : code;
  const said = `${failure.status} ${failure.code}: ${failure.message}`;
  assert.ok(statuses.includes(failure.status), `expected status ${statuses.join(' or ')}, got ${said}`);
  if (codes !== undefined) assert.ok(codes.includes(failure.code), `expected code ${codes.join(' or ')}, got ${said}`);
  return failure;
}

function asFailure(thrown: unknown): S3Failure {
  if (!(thrown instanceof Error) || !('$metadata' in thrown)) throw thrown;
  const { httpStatusCode } = thrown.$metadata as { httpStatusCode?: number };
  const response =
    '$response' in thrown ? (thrown.$response as { headers?: Record<string, string> } | undefined) : undefined;
  return {
    status: httpStatusCode ?? 0,
    code: 'Code' in thrown && typeof thrown.Code === 'string' ? thrown.Code : thrown.name,
    message: thrown.message,
    headers: response?.headers ?? {},
  };
}
