/**
 * One interface for every S3 server that tests run against: the embedded one and real ones.
 *
 * A test asks for a server, gets an endpoint with its keys, and stops it; it never learns how the server was started. What a server is
 * known to do differently from S3 is a set of named deviations, so that an end-to-end test can leave out what that server cannot do and
 * say so. This file refuses to hold any server's start-up code and never probes a server to find out what it can do.
 */

/**
 * A difference from S3 that changes what an end-to-end test may expect. Differences in single answers are not listed here but at the case
 * of the contract table (test/s3-server/cases) that meets them.
 */
export type Deviation =
  /** RenameObject does not exist. */
  | 'no-rename-object'
  /** Keys are paths of real files: `a` and `a/b` cannot exist together. */
  | 'no-file-beside-directory'
  /** Keys with empty, `.` or `..` segments are refused or normalised. */
  | 'no-unclean-paths'
  /** Key segments over 255 bytes are refused. */
  | 'no-long-segments'
  /** ListObjects ignores encoding-type: keys that XML cannot hold break the listing. */
  | 'no-encoding-type'
  /** CopyObject ignores If-None-Match on the destination. */
  | 'copy-ignores-if-none-match'
  /** An unknown access key answers 404 and not 403 InvalidAccessKeyId. */
  | 'unknown-access-key-is-404'
  /** ListObjectsV2 with start-after inside a common prefix leaves the prefix out. */
  | 'start-after-inside-common-prefix';

/** Names under which the contract table lists deviations. */
export type ServerName = 'builtin' | 'versitygw';

/** Where a store is and who asks it: all that a mount needs. */
export interface StoreAddress {
  /** `http://127.0.0.1:PORT` or `https://…`, without a trailing slash. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** PEM file of the CA that signed the server's certificate; absent over plain HTTP. */
  readonly tlsCaFile?: string;
}

/** A running server. The holder owns it and must `stop()` it. */
export interface TestServer extends StoreAddress {
  readonly name: ServerName;
  /** The folder whose folders are the buckets. */
  readonly dataDir: string;
  /** Domain of virtual-host addressing: `BUCKET.DOMAIN` in the Host header names the bucket. */
  readonly virtualHostDomain: string;
  readonly deviations: ReadonlySet<Deviation>;
  /** Process id of a server that runs as a process of its own, for tests that kill it. */
  readonly pid?: number;
  /** Ends the server and removes what starting it created (a data folder given by the caller stays). */
  stop(): Promise<void>;
}

/** Why a server could not be started on this machine; a test prints `skip` and goes on without it. */
export interface ServerUnavailable {
  /** What is missing and how to install it, in one line. */
  readonly skip: string;
}

/** True when `startX()` gave a reason instead of a server. */
export function isUnavailable(server: TestServer | ServerUnavailable): server is ServerUnavailable {
  return 'skip' in server;
}

/** What every `startX()` accepts. */
export interface CommonServerOptions {
  /** Serve HTTPS with a certificate made for this run. Default false. */
  readonly tls?: boolean;
  /** Folder of the buckets; kept by `stop()`. Default: a new temporary one, removed by `stop()`. */
  readonly dataDir?: string;
  /** Folders (buckets) to create in `dataDir` before the server starts. */
  readonly buckets?: readonly string[];
}

/** Credentials that every test server is started with. */
export const TEST_ACCESS_KEY = 'TESTKEY';
export const TEST_SECRET_KEY = 'TESTSECRET';
export const TEST_REGION = 'us-east-1';
/** Resolves nowhere: clients connect to 127.0.0.1 and send it as the Host header. */
export const TEST_VIRTUAL_HOST_DOMAIN = 's3.localhost';
