/**
 * What the server is told and what it gives back: the programmatic interface, mirrored by the command line (main.ts).
 */
import type { Credential } from './auth/authenticate.js';
import type { FaultRule } from './faults/fault-rule.js';
import type { RecentRequest, ServerStats } from './stats.js';

/** Options of `startS3Server`. */
export interface S3ServerOptions {
  /** Data directory: every folder in it is a bucket. */
  readonly dir: string;
  /** 0, the default, picks a free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** With `secretKey`: signatures are verified. Without: everything is accepted and nothing checked. */
  readonly accessKey?: string;
  readonly secretKey?: string;
  /** More key pairs, for example temporary ones with a session token. */
  readonly credentials?: readonly Credential[];
  /** PEM texts; both or neither. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer };
  /** Region of the server and of its buckets. Default us-east-1. */
  readonly region?: string;
  /** Buckets that live in another region: asking for them here is redirected, as S3 does. */
  readonly bucketRegions?: Readonly<Record<string, string>>;
  /** Buckets that anonymous requests may read (GET, HEAD, LIST). */
  readonly publicBuckets?: readonly string[];
  /** Host names that stand before virtual-host buckets, beside `localhost` and `s3.localhost`. */
  readonly domains?: readonly string[];
  /** Smallest part but the last. Default 5 MiB, as S3. */
  readonly minPartBytes?: number;
  /** How long a session of a directory bucket lives. Default 300, as S3. */
  readonly sessionSeconds?: number;
  /** Serve `/-/stats`, `/-/faults` and so on, without authentication. */
  readonly admin?: boolean;
  readonly faults?: readonly FaultRule[];
  /** Where internal errors are reported. Default: stderr. */
  readonly report?: (error: unknown) => void;
}

/** A running server. */
export interface S3Server {
  /** `http://HOST:PORT` or `https://HOST:PORT`, without a trailing slash. */
  readonly url: string;
  readonly port: number;
  readonly host: string;
  /** Counters since the start or the last `resetStats`. */
  stats(): ServerStats;
  resetStats(): void;
  /** Replaces all fault rules; their counters start anew. Throws when a rule is malformed. */
  setFaults(rules: readonly FaultRule[]): void;
  /** Replaces all credentials; null switches checking off. */
  setCredentials(credentials: readonly Credential[] | null): void;
  /** The latest requests, oldest first; at most 1,000. */
  requests(): readonly RecentRequest[];
  /** Compares all indexes with the folders, now. */
  rescan(): void;
  /** Ends all sessions of directory buckets; requests signed with them answer ExpiredToken. */
  endSessions(): void;
  /** Stops listening, ends all connections, closes all files. */
  close(): Promise<void>;
}
