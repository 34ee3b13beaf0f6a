/**
 * A reader thread's worker: runs src/fuse's ReaderLoop on the descriptor until the file system is unmounted.
 * Refuses to do anything else: while it sits in read(2) it cannot be sent messages, only requests.
 *
 * Thread: a reader thread. Owns: its ring's producer side. Shared words: pins of the pool. Blocks? In read(2) of /dev/fuse
 * (kernel fact 2, docs/KERNEL.md: it ends only by unmounting, aborting the connection, or a fatal signal).
 */
import { parentPort } from 'node:worker_threads';
import { RingProducer } from '../../base/byte-ring.js';
import { invariant } from '../../base/invariant.js';
import { PoolView } from '../../base/pool/pool-view.js';
import { DevFuseTransport } from '../../fuse/dev-fuse.js';
import { ReaderAccount } from '../../fuse/reader-account.js';
import { ReaderLoop } from '../../fuse/reader-loop.js';
import { LoanTaker } from '../../fuse/slot-loans.js';
import type { FromReaderWorker, ReaderStart, ReaderWorkerData } from './messages.js';

const port = parentPort;
invariant(port !== null, 'reader-worker runs as a worker');

// Two messages, and no more: what it works with, which may come later than the thread (spare-threads.ts), and the
// descriptor, which comes when the file system is mounted.
port.once('message', (data: ReaderWorkerData) => {
  port.once('message', ({ fd, requestBufferBytes }: ReaderStart) => {
    new ReaderLoop({
      transport: new DevFuseTransport(fd),
      ring: new RingProducer(data.ring, () => port.postMessage('wake' satisfies FromReaderWorker)),
      pool: new PoolView(data.pool),
      ...(data.loans ? { loans: new LoanTaker(data.loans) } : {}),
      requestBufferBytes,
      counters: new Int32Array(data.counters),
      account: new ReaderAccount(data.account),
    }).run();
  });
  port.postMessage('ready' satisfies FromReaderWorker);
});
