/**
 * A net thread's worker: builds the engine's NetThread from what the main thread sent, and passes messages both ways.
 * The kernel's descriptor comes later than the thread (mounting is the last step of a start), so the replier is bound on
 * `device`. Refuses to decide anything: this file only joins src/engine and src/fuse.
 *
 * Thread: a net thread. Owns: its NetThread. Shared words: none of its own. Blocks? Only in writev to /dev/fuse.
 */
import { randomInt } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../base/clock.js';
import { invariant } from '../../base/invariant.js';
import type { NetEvent } from '../../engine/api.js';
import { NetThread } from '../../engine/net/net-thread.js';
import { systemNetwork } from '../../engine/net/network.js';
import { LateReplier } from '../late-replier.js';
import type { NetWorkerData, ToNetWorker } from './messages.js';

const port = parentPort;
invariant(port !== null, 'net-worker runs as a worker');
const data = workerData as NetWorkerData;

const RANDOM_STEPS = 2 ** 32;

const post = (event: NetEvent): void =>
  // A page's columns move to the main thread without a copy.
  event.type === 'listed' ? port.postMessage(event, [event.columns.buffer]) : port.postMessage(event);
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
  { post, replier, clock: systemClock, random: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS, network: systemNetwork },
);

port.on('message', (message: ToNetWorker) => {
  if (message.type === 'device') replier.bind(message.fd);
  else thread.handle(message);
});
