/**
 * A net thread's worker: builds the engine's NetThread from what the main thread sent, and passes messages both ways.
 * The kernel's descriptor comes later than the thread (mounting is the last step of a start), so the replier is bound on
 * `device`. Refuses to decide anything: this file only joins src/engine and src/fuse.
 *
 * Thread: a net thread. Owns: its NetThread. Shared words: none of its own. Blocks? Only in writev to /dev/fuse.
 */
import { randomInt } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { parentPort, type MessagePort } from 'node:worker_threads';
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

const RANDOM_STEPS = 2 ** 32;

/** Measured: about 80 ms of this thread, when nobody wants anything yet. */
const REHEARSAL = { fetches: 60, lists: 3, calls: 20, budgetMs: 300 };
/** What the store is wanted for ends a rehearsal. */
const ENDS_REHEARSAL: ReadonlySet<ToNetWorker['type']> = new Set(['fetch', 'list', 'call', 'close']);

const parent = parentPort;
invariant(parent !== null, 'net-worker runs as a worker');
// What it works with may come later than the thread (spare-threads.ts).
parent.once('message', (data: NetWorkerData) => begin(parent, data));

function begin(port: MessagePort, data: NetWorkerData): void {
  // At the end of the loop's turn: what many sockets brought in it travels together.
  const outbox = new Outbox<NetEvent>(port, (send) => setImmediate(send));
  // A page's columns move to the main thread without a copy.
  const post = (event: NetEvent): void =>
    outbox.post(event, event.type === 'listed' ? event.columns.buffer : undefined);
  // Before anything else: the heap that work makes then lies beside the network card.
  if (data.cpus !== undefined) pin(data.cpus, post);
  const replier = new LateReplier((message) =>
    post({ type: 'log', level: 'error', fields: {}, message: `a read could not be answered: ${message}` }),
  );
  const { target, pool, connectionsMax, anonymous, verify, readDeadlineMs } = data;
  const thread = new NetThread(
    { target, pool, connectionsMax, anonymous, verify, ...(readDeadlineMs === undefined ? {} : { readDeadlineMs }) },
    {
      post,
      replier,
      clock: systemClock,
      random: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS,
      network: systemNetwork,
      loopBusyMs: () => performance.eventLoopUtilization().active,
    },
  );
  if (data.stackFd !== undefined) tellStacks(data.stackFd);
  let rehearsal: AbortController | undefined;
  port.on('message', (messages: readonly ToNetWorker[]) => {
    for (const message of messages) {
      if (rehearsal !== undefined && ENDS_REHEARSAL.has(message.type)) {
        // Once: each abort makes an error with a stack, 12 us of every small file.
        rehearsal.abort();
        rehearsal = undefined;
      }
      if (message.type === 'device') {
        replier.bind(message.fd);
        thread.openAhead();
      } else if (message.type === 'collect') collectGarbage();
      else if (message.type === 'rehearse') {
        rehearsal?.abort();
        rehearsal = new AbortController();
        void rehearse(rehearsal.signal, post);
      } else thread.handle(message);
    }
  });
}

function pin(cpus: readonly number[], post: (event: NetEvent) => void): void {
  const why = pinThisThread(cpus);
  const fields = { cpus: cpus.length };
  if (why === undefined) post({ type: 'log', level: 'debug', fields, message: 'a net thread stays beside its card' });
  else post({ type: 'log', level: 'warn', fields, message: `a net thread could not be kept on its CPUs: ${why}` });
}

async function rehearse(stop: AbortSignal, post: (event: NetEvent) => void): Promise<void> {
  const report = await rehearseNet(REHEARSAL, stop);
  post({ type: 'log', level: 'debug', fields: { ...report }, message: 'a net thread rehearsed' });
}
