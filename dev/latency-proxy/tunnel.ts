/**
 * One connection through the proxy: what the client sends passes at once, what the server sends goes through a DelayLine.
 * Bytes are read into buffers that are used again, and written from them: nothing is copied. At most LINE_CHUNKS_MAX
 * buffers are under way, then the server is not read any more, as behind a full link.
 * Refuses to know what it carries.
 */
import { connect, type Socket } from 'node:net';
import type { DelayLine, Link } from './delay-line.js';

/** Bytes read from the server at once. */
const CHUNK_BYTES = 256 * 1024;
/** Chunks under way on one connection: 16 MiB, more than 20 ms of the fastest link that this stands for. */
const LINE_CHUNKS_MAX = 64;
/** Buffers kept for the next read, over all connections. */
const SPARE_BUFFERS_MAX = 256;
/** A timer of Node may fire this much early; waiting again would cost a turn of the loop and be late. */
const EARLY_MS = 0.3;

const spare: Buffer[] = [];

interface Chunk {
  readonly buffer: Buffer;
  readonly bytes: number;
  leavesMs: number;
  /** It has its turn on what all share. */
  isReserved: boolean;
}

/** Counts of all tunnels. */
export const carried = { connections: 0, downBytes: 0, upBytes: 0 };

/** Joins an accepted connection with the server. `random` draws the jitter. */
export function openTunnel(
  client: Socket,
  server: { host: string; port: number },
  { line, link }: { line: DelayLine; link: Link },
): void {
  carried.connections++;
  const queue: Chunk[] = [];
  let writing = false;
  let timer: NodeJS.Timeout | undefined;
  let serverEnded = false;

  const release = (buffer: Buffer): void => {
    if (spare.length < SPARE_BUFFERS_MAX) spare.push(buffer);
  };
  const close = (): void => {
    clearTimeout(timer);
    for (const { buffer } of queue.splice(0)) release(buffer);
    client.destroy();
    upstream.destroy();
  };
  const pump = (): void => {
    timer = undefined;
    const head = queue[0];
    if (writing) return;
    if (head === undefined) {
      if (serverEnded) client.end();
      return;
    }
    const nowMs = performance.now();
    if (!head.isReserved) head.leavesMs = Math.max(head.leavesMs, link.reserve(head.bytes, nowMs));
    head.isReserved = true;
    const waitMs = head.leavesMs - nowMs;
    if (waitMs > EARLY_MS) {
      timer = setTimeout(pump, Math.round(waitMs));
      return;
    }
    queue.shift();
    writing = true;
    carried.downBytes += head.bytes;
    client.write(head.buffer.subarray(0, head.bytes), () => {
      release(head.buffer);
      writing = false;
      if (queue.length < LINE_CHUNKS_MAX) upstream.resume();
      if (timer === undefined) pump();
    });
  };

  let reading: Buffer | undefined;
  const upstream = connect({
    ...server,
    noDelay: true,
    onread: {
      buffer: () => (reading = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES)),
      callback: (bytes) => {
        if (reading === undefined) throw new Error('bytes without a buffer');
        queue.push({ buffer: reading, bytes, leavesMs: line.leavesAt(bytes, performance.now()), isReserved: false });
        reading = undefined;
        if (timer === undefined && !writing) pump();
        return queue.length < LINE_CHUNKS_MAX;
      },
    },
  });
  client.setNoDelay(true);
  client.on('data', (piece) => {
    carried.upBytes += piece.length;
    if (!upstream.write(piece)) client.pause();
  });
  upstream.on('drain', () => client.resume());
  client.on('end', () => upstream.end());
  upstream.on('end', () => {
    serverEnded = true;
    if (timer === undefined) pump();
  });
  client.on('error', close);
  upstream.on('error', close);
  client.on('close', close);
}
