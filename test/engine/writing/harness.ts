/**
 * An S3Writer over net threads in this process, as the daemon joins them, against a server on 127.0.0.1, with a pool whose
 * slots hold a known pattern.
 */
import type { Test } from 'tap';
import { systemClock, type Clock } from '../../../src/base/clock.js';
import { BLOCK_BYTES, allocatePool } from '../../../src/base/pool/layout.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';
import type { DataCredentials, DataTarget, NetEvent } from '../../../src/engine/api.js';
import { CallPlane } from '../../../src/engine/calls/call-plane.js';
import { StoreCaller } from '../../../src/engine/calls/store-caller.js';
import type { NetPort } from '../../../src/engine/data-plane.js';
import { NetThread, type NetThreadOptions } from '../../../src/engine/net/net-thread.js';
import { systemNetwork } from '../../../src/engine/net/network.js';
import type { SlotPiece } from '../../../src/engine/write-api.js';
import type { ObjectWriteOptions } from '../../../src/engine/write-options.js';
import { S3Uploads } from '../../../src/engine/writing/list-uploads.js';
import { S3Writer } from '../../../src/engine/writing/s3-writer.js';
import { pattern } from '../net/harness.js';

export const BUCKET = 'bucket-one';

export interface WriterBenchOptions {
  readonly port: number;
  readonly credentials?: DataCredentials;
  readonly target?: Partial<DataTarget>;
  readonly objects?: Partial<ObjectWriteOptions>;
  readonly timeouts?: NetThreadOptions['timeouts'];
  readonly connectionsMax?: number;
  readonly slots?: number;
  readonly clock?: Clock;
  readonly threads?: number;
}

export interface WriterBench {
  readonly writer: S3Writer;
  readonly uploads: S3Uploads;
  readonly calls: CallPlane;
  readonly caller: StoreCaller;
  readonly threads: readonly NetThread[];
  readonly pool: PoolView;
  /** Events that are not calls'. */
  readonly events: NetEvent[];
  setCredentials(credentials: DataCredentials): void;
  /** What [from, to) of a slot holds. */
  readonly bytesOf: (pieces: readonly SlotPiece[]) => Buffer;
}

export function writerBench(t: Test, options: WriterBenchOptions): WriterBench {
  const events: NetEvent[] = [];
  const clock = options.clock ?? systemClock;
  const memory = allocatePool(options.slots ?? 4);
  const pool = new PoolView(memory);
  for (let slot = 0; slot < memory.slotCount; slot++)
    pool.bytes(slot, 0, BLOCK_BYTES).set(pattern(BLOCK_BYTES, slot + 1));
  const target: DataTarget = {
    tls: false,
    hostname: '127.0.0.1',
    port: options.port,
    hostHeader: `127.0.0.1:${options.port}`,
    basePath: `/${BUCKET}`,
    signingRegion: 'us-east-1',
    signingService: 's3',
    headers: {},
    userAgent: 'mount-s3x-test',
    maxAttempts: 4,
    localAddresses: [],
    ...options.target,
  };
  const threads = Array.from(
    { length: options.threads ?? 1 },
    () =>
      new NetThread(
        {
          target,
          pool: memory,
          connectionsMax: options.connectionsMax ?? 4,
          anonymous: options.credentials === undefined,
          timeouts: { backoffBaseMs: 1, backoffCapMs: 4, sweepMs: 10, continueMs: 20, ...options.timeouts },
        },
        {
          // As between threads: what is posted is a copy.
          post: (event) => {
            const arrived = structuredClone(event);
            queueMicrotask(() => {
              if (!calls.handle(arrived)) events.push(arrived);
            });
          },
          replier: { data: () => undefined, error: () => undefined },
          clock,
          random: Math.random,
          network: systemNetwork,
        },
      ),
  );
  const ports: NetPort[] = threads.map((thread) => ({ post: (command) => thread.handle(structuredClone(command)) }));
  const calls = new CallPlane(ports);
  const caller = new StoreCaller(BUCKET, calls);
  const objects: ObjectWriteOptions = { checksums: 'crc32c', tags: [], capabilities: {}, ...options.objects };
  const writer = new S3Writer(objects, { caller, clock });
  const setCredentials = (credentials: DataCredentials): void => {
    for (const thread of threads) thread.handle({ type: 'credentials', credentials });
  };
  if (options.credentials) setCredentials(options.credentials);
  t.teardown(() => {
    for (const thread of threads) thread.handle({ type: 'close' });
    calls.close();
  });
  const bytesOf = (pieces: readonly SlotPiece[]): Buffer =>
    Buffer.concat(pieces.map((piece) => Buffer.from(pool.bytes(piece.slot, piece.from, piece.to))));
  return { writer, uploads: new S3Uploads(caller), calls, caller, threads, pool, events, setCredentials, bytesOf };
}
