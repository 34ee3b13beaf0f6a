/**
 * A notification thread's worker: runs src/fuse's NotifierThread, one job after the other. It may wait in the kernel for a
 * directory whose LOOKUP is unanswered or a page that a READ has locked, which is why nothing else runs here and nothing
 * waits for it (kernel fact 8, docs/KERNEL.md). Refuses to answer requests.
 *
 * Thread: a notifier. Owns: the job it runs. Shared words: none. Blocks? In writev to
 * /dev/fuse; ends with the mount, which fails what it waits for.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { invariant } from '../../base/invariant.js';
import { DevFuseTransport } from '../../fuse/dev-fuse.js';
import { NotifierThread, type NotifierRequest } from '../../fuse/notifier-loop.js';
import type { NotifierWorkerData } from './messages.js';

const port = parentPort;
invariant(port !== null, 'notifier-worker runs as a worker');
const { fd } = workerData as NotifierWorkerData;
const thread = new NotifierThread(new DevFuseTransport(fd));

port.on('message', (request: NotifierRequest) => port.postMessage(thread.run(request)));
