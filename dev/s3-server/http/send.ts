/**
 * Puts a reply on a socket, the quick way: no faults, no pacing.
 *
 * Files are read synchronously into a reused buffer: the bytes come from the page cache or a memory file system, where a
 * read is a copy and the thread pool would cost more than it saves. The price, a stall of every connection while a cold
 * disk reads half a mebibyte, is fair for a test server. Shaped replies are sent by faults/shaped-send.ts.
 */
import { readSync } from 'node:fs';
import type { Socket } from 'node:net';
import { BODY_CHUNK_BYTES, INLINE_BODY_BYTES_MAX } from '../limits.js';
import { bodyBytes, discardBody, headText, type FileSlice, type Reply } from './reply.js';
import { acquireChunk, releaseChunk, writeAll } from './socket-io.js';

/** How a reply goes out. */
export interface SendOptions {
  /** The request was HEAD: headers as for GET, no body. */
  readonly isHead: boolean;
  readonly isKeepAlive: boolean;
}

/** Content-Length to send, or null for statuses that must not have one. */
export function contentLength(reply: Reply): number | null {
  if (reply.status === 204 || reply.status === 304 || reply.status < 200) return null;
  return bodyBytes(reply);
}

/** Sends all of it. Rejects when the connection fails; the file's lease is released in every case. */
export async function sendReply(socket: Socket, reply: Reply, options: SendOptions): Promise<number> {
  const { body } = reply;
  const lengthBytes = 'Content-Length' in reply.headers ? null : contentLength(reply);
  const head = headText(reply, lengthBytes, options.isKeepAlive);
  if (body === null || options.isHead) {
    discardBody(reply);
    await writeAll(socket, head);
    return 0;
  }
  if (Buffer.isBuffer(body)) {
    if (body.length <= INLINE_BODY_BYTES_MAX) {
      await writeAll(socket, Buffer.concat([Buffer.from(head, 'latin1'), body]));
    } else {
      socket.write(head, 'latin1');
      await writeAll(socket, body);
    }
    return body.length;
  }
  try {
    return await sendFile(socket, head, body);
  } finally {
    body.lease.release();
  }
}

async function sendFile(socket: Socket, head: string, slice: FileSlice): Promise<number> {
  const chunk = acquireChunk();
  let isReusable = false;
  try {
    // The head travels in the same write as the first bytes.
    let filledBytes = chunk.write(head, 'latin1');
    let offset = slice.startOffset;
    while (offset < slice.endOffset) {
      const wantedBytes = Math.min(BODY_CHUNK_BYTES - filledBytes, slice.endOffset - offset);
      const gotBytes = readSync(slice.lease.fd, chunk, filledBytes, wantedBytes, offset);
      if (gotBytes === 0) throw new Error('file was cut short while it was being sent');
      offset += gotBytes;
      await writeAll(socket, chunk.subarray(0, filledBytes + gotBytes));
      filledBytes = 0;
    }
    if (filledBytes > 0) await writeAll(socket, chunk.subarray(0, filledBytes));
    isReusable = true;
    return slice.endOffset - slice.startOffset;
  } finally {
    // After a failed write the kernel or TLS may still hold the bytes: let the collector have the buffer.
    if (isReusable) releaseChunk(chunk);
  }
}
