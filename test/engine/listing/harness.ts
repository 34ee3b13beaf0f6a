/**
 * A ListPlane over net threads in this process, as the daemon joins them, against a server on 127.0.0.1.
 */
import type { Test } from 'tap';
import { systemClock, type Clock } from '../../../src/base/clock.js';
import { allocatePool } from '../../../src/base/pool/layout.js';
import type { DataCredentials, DataTarget, NetEvent } from '../../../src/engine/api.js';
import type { NetPort } from '../../../src/engine/data-plane.js';
import { ListPlane } from '../../../src/engine/listing/list-plane.js';
import { NetThread } from '../../../src/engine/net/net-thread.js';
import { systemNetwork } from '../../../src/engine/net/network.js';

export interface ListBenchOptions {
  readonly port: number;
  readonly credentials?: DataCredentials | undefined;
  readonly anonymous?: boolean;
  readonly asksRestore?: boolean;
  readonly clock?: Clock;
  readonly threads?: number;
  readonly target?: Partial<DataTarget>;
}

export interface ListBench {
  readonly plane: ListPlane;
  readonly threads: readonly NetThread[];
  /** Events that are not listings'. */
  readonly events: NetEvent[];
  setCredentials(credentials: DataCredentials): void;
}

export function listBench(t: Test, options: ListBenchOptions): ListBench {
  const events: NetEvent[] = [];
  const clock = options.clock ?? systemClock;
  const target: DataTarget = {
    tls: false,
    hostname: '127.0.0.1',
    port: options.port,
    hostHeader: `127.0.0.1:${options.port}`,
    basePath: '/bucket-one',
    signingRegion: 'us-east-1',
    signingService: 's3',
    headers: {},
    userAgent: 'mount-s3x-test',
    maxAttempts: 4,
    localAddresses: [],
    ...options.target,
  };
  const anonymous = options.anonymous ?? options.credentials === undefined;
  const threads = Array.from(
    { length: options.threads ?? 1 },
    () =>
      new NetThread(
        {
          target,
          pool: allocatePool(4),
          connectionsMax: 4,
          anonymous,
          timeouts: { backoffBaseMs: 1, backoffCapMs: 4 },
        },
        {
          post: (event) => {
            // As between threads: what is posted is gone here.
            const arrived =
              event.type === 'listed' ? structuredClone(event, { transfer: [event.columns.buffer] }) : event;
            queueMicrotask(() => {
              if (!plane.handle(arrived)) events.push(arrived);
            });
          },
          replier: { data: () => undefined, error: () => undefined },
          clock,
          random: Math.random,
          network: systemNetwork,
        },
      ),
  );
  const ports: NetPort[] = threads.map((thread) => ({ post: (command) => thread.handle(command) }));
  const plane = new ListPlane({ bucket: 'bucket-one', asksRestore: options.asksRestore ?? false }, { ports, clock });
  const setCredentials = (credentials: DataCredentials): void => {
    for (const thread of threads) thread.handle({ type: 'credentials', credentials });
  };
  if (options.credentials) setCredentials(options.credentials);
  t.teardown(() => {
    plane.close();
    for (const thread of threads) thread.handle({ type: 'close' });
  });
  return { plane, threads, events, setCredentials };
}
