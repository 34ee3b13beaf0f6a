/** What a test server is told on its command line, as JSON. */
import type { OpenReply } from '../../src/fuse/handlers.js';

export interface ServerOptions {
  readonly readers?: number;
  readonly later?: boolean;
  readonly ttlMs?: number;
  readonly readOnly?: boolean;
  /** What OPEN and OPENDIR say besides the handle. */
  readonly openFlags?: Omit<OpenReply, 'handle'>;
  /** WRITEs come in slots of the pool; `keep`: the file system keeps them for a while, `sink`: it drops the bytes. */
  readonly loans?: 'copy' | 'keep' | 'sink';
  /** Note who flushes (WitnessedFs). */
  readonly witness?: boolean;
  readonly allowOther?: boolean;
  readonly source?: string;
  readonly extra?: readonly string[];
  /** Path -> content, or path -> bytes of pattern. */
  readonly files?: Readonly<Record<string, string | number>>;
  /** Files whose blocks are put into the pool. */
  readonly resident?: readonly string[];
}
