/**
 * The worker of the test server: runs the real reader loop on an inherited descriptor. The product's own worker entry
 * lives in src/main/threads; this one has no supervisor, no heartbeat and no logger.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { RingProducer, type RingMemory } from '../../src/base/byte-ring.js';
import type { PoolMemory } from '../../src/base/pool/layout.js';
import { PoolView } from '../../src/base/pool/pool-view.js';
import { DevFuseTransport } from '../../src/fuse/dev-fuse.js';
import { LoanTaker, type LoanMemory } from '../../src/fuse/slot-loans.js';
import { ReaderLoop } from '../../src/fuse/reader-loop.js';

const { fd, ring, pool, requestBufferBytes, counters, loans } = workerData as {
  fd: number;
  ring: RingMemory;
  pool: PoolMemory;
  requestBufferBytes: number;
  counters: SharedArrayBuffer;
  loans: LoanMemory | undefined;
};
new ReaderLoop({
  transport: new DevFuseTransport(fd),
  ring: new RingProducer(ring, () => parentPort?.postMessage('wake')),
  pool: new PoolView(pool),
  ...(loans ? { loans: new LoanTaker(loans) } : {}),
  requestBufferBytes,
  counters: new Int32Array(counters),
}).run();
