/**
 * A receive thread: hashes the bytes of upload bodies and writes them to their files, in the order in which they come.
 *
 * Why threads: the MD5 that is an ETag costs 1.4 CPU s/GB, more than all else about an upload, and the main thread serves
 * every connection. With it here a server on two cores takes twice as many bytes a second, and the buffers that sockets
 * allocate die in a small heap (measured: a sixth of the main thread's time was the collection of theirs).
 *
 * Thread: its own. Owns: the pieces it was sent; borrows descriptors until `done` or `cancelled`. Blocks? In writev.
 */
import { createHash, type Hash } from 'node:crypto';
import { writevSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { createChecksum, type Checksum } from '../checksums/checksums.js';
import type { FromReceiver, ToReceiver } from './messages.js';

interface Body {
  readonly fd: number;
  readonly md5: Hash;
  readonly checksum: Checksum | null;
  position: number;
  failure: string | null;
}

const port = parentPort;
if (port === null) throw new Error('receive-worker runs as a worker');

const bodies = new Map<number, Body>();
const tell = (message: FromReceiver): void => port.postMessage(message);

function take(id: number, body: Body, pieces: readonly Uint8Array[]): void {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.length;
  if (body.failure === null) {
    try {
      for (const piece of pieces) {
        body.md5.update(piece);
        body.checksum?.update(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
      }
      write(body, pieces);
    } catch (error) {
      body.failure = error instanceof Error ? error.message : String(error);
      tell({ type: 'failed', id, message: body.failure });
    }
  }
  tell({ type: 'taken', id, bytes });
}

function write(body: Body, pieces: readonly Uint8Array[]): void {
  let left = [...pieces];
  while (left.length > 0) {
    let written = writevSync(body.fd, left, body.position);
    body.position += written;
    while (left[0] !== undefined && written >= left[0].length) {
      written -= left[0].length;
      left.shift();
    }
    const [first] = left;
    if (first !== undefined && written > 0) left = [first.subarray(written), ...left.slice(1)];
  }
}

port.on('message', (message: ToReceiver) => {
  const { id } = message;
  if (message.type === 'open') {
    const { fd, position, checksum } = message;
    const running = checksum === null ? null : createChecksum(checksum);
    bodies.set(id, { fd, position, md5: createHash('md5'), checksum: running, failure: null });
    return;
  }
  const body = bodies.get(id);
  if (body === undefined) return;
  if (message.type === 'bytes') {
    take(id, body, message.pieces);
    return;
  }
  bodies.delete(id);
  // A body that failed and is cancelled is over all the same.
  if (message.type === 'cancel') tell({ type: 'cancelled', id });
  else if (body.failure !== null) tell({ type: 'failed', id, message: body.failure });
  else tell({ type: 'done', id, md5: body.md5.digest(), checksum: body.checksum?.digest() ?? null });
});
