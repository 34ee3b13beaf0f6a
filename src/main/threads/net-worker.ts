/**
 * A net thread's worker: builds the engine's NetThread from what the main thread sent, and passes messages both ways.
 * The kernel's descriptor comes later than the thread (mounting is the last step of a start), so the replier is bound on
 * `device`. Refuses to decide anything: this file only joins src/engine and src/fuse.
 *
 * Thread: a net thread. Owns: its NetThread. Shared words: none of its own. Blocks? Only in writev to /dev/fuse.
 */
import { randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../base/clock.js';
import { invariant } from '../../base/invariant.js';
import type { NetEvent } from '../../engine/api.js';
import { NetThread } from '../../engine/net/net-thread.js';
import { systemNetwork } from '../../engine/net/network.js';
import { collectGarbage } from '../memory/heaps.js';
import { rehearseNet } from '../rehearsal/rehearse-net.js';
import { LateReplier } from '../late-replier.js';
import type { NetWorkerData, ToNetWorker } from './messages.js';
import { Outbox } from './outbox.js';
import { pinThisThread } from './pin-thread.js';
import { tellStacks } from './stack-teller.js';

const port = parentPort;
invariant(port !== null, 'net-worker runs as a worker');
const data = workerData as NetWorkerData;

const RANDOM_STEPS = 2 ** 32;

/** Measured: about 80 ms of this thread, while the kernel's side comes up. */
const REHEARSAL = { fetches: 60, lists: 3, calls: 20, budgetMs: 300 };

// At the end of the loop's turn: what many sockets brought in it travels together.
const outbox = new Outbox<NetEvent>(port, (send) => setImmediate(send));
// A page's columns move to the main thread without a copy.
const post = (event: NetEvent): void => outbox.post(event, event.type === 'listed' ? event.columns.buffer : undefined);
const replier = new LateReplier((message) =>
  post({ type: 'log', level: 'error', fields: {}, message: `a read could not be answered: ${message}` }),
);
const thread = new NetThread(
  {
    target: data.target,
    pool: data.pool,
    connectionsMax: data.connectionsMax,
    anonymous: data.anonymous,
    verify: data.verify,
    ...(data.readDeadlineMs === undefined ? {} : { readDeadlineMs: data.readDeadlineMs }),
  },
  {
    post,
    replier,
    clock: systemClock,
    random: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS,
    network: systemNetwork,
    loopBusyMs: () => performance.eventLoopUtilization().active,
  },
);

// Before the rehearsal: the heap that it makes then lies beside the network card.
if (data.cpus !== undefined) {
  const why = pinThisThread(data.cpus);
  const fields = { cpus: data.cpus.length };
  if (why === undefined) post({ type: 'log', level: 'debug', fields, message: 'a net thread stays beside its card' });
  else post({ type: 'log', level: 'warn', fields, message: `a net thread could not be kept on its CPUs: ${why}` });
}

if (data.stackFd !== undefined) tellStacks(data.stackFd);

// Beside the rest of the start, which has nothing to spare when a mount is taken over; the first command for the store ends it.
const rehearsal = new AbortController();
if (data.isAwaited !== true) {
  void rehearseNet(REHEARSAL, rehearsal.signal).then((report) =>
    post({ type: 'log', level: 'debug', fields: { ...report }, message: 'a net thread rehearsed' }),
  );
}

const ENDS_REHEARSAL: ReadonlySet<ToNetWorker['type']> = new Set(['fetch', 'list', 'call', 'close']);

port.on('message', (messages: readonly ToNetWorker[]) => {
  for (const message of messages) {
    if (ENDS_REHEARSAL.has(message.type)) rehearsal.abort();
    if (message.type === 'device') {
      replier.bind(message.fd);
      thread.openAhead();
    } else if (message.type === 'collect') collectGarbage();
    else thread.handle(message);
  }
});
