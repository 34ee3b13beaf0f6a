/**
 * Puts a reply on a socket the way a fault decision wants it: late, slow, cut, stalled or wrong.
 *
 * The body is a walk from byte 0 to where it stops; each step ends at the next event (a stall, a cut, a pacing chunk).
 * Bytes are copied before they are changed, so a fault never touches stored data.
 */
import { readSync } from 'node:fs';
import type { Socket } from 'node:net';
import { BODY_CHUNK_BYTES } from '../limits.js';
import { bodyBytes, discardBody, headText, type Reply } from '../http/reply.js';
import { contentLength, type SendOptions } from '../http/send.js';
import { sleepOnSocket, writeAll } from '../http/socket-io.js';
import type { FaultDecision } from './fault-engine.js';
import { pacedChunkBytes } from './pacer.js';

/** Time for bytes already written to leave before a reset drops what is still queued. */
const RESET_GRACE_MS = 20;

/** What the sender needs beside the reply. */
export interface ShapedSend {
  readonly socket: Socket;
  readonly reply: Reply;
  readonly decision: FaultDecision;
  /** When the request's head was complete, on performance.now()'s clock. */
  readonly startMs: number;
  /** RST instead of FIN. */
  readonly reset: () => void;
}

/** Sends; resolves with the body bytes sent and whether the connection can go on. Rejects when it fails by itself. */
export async function sendShaped(
  send: ShapedSend,
  options: SendOptions,
): Promise<{ sentBytes: number; canGoOn: boolean }> {
  try {
    return await shape(send, options);
  } finally {
    discardBody(send.reply);
  }
}

async function shape(send: ShapedSend, options: SendOptions): Promise<{ sentBytes: number; canGoOn: boolean }> {
  const { socket, reply, decision } = send;
  const { effects } = decision;
  const ended = { sentBytes: 0, canGoOn: false };
  if (decision.hangMs !== null && reply.status < 400) {
    await sleepOnSocket(socket, decision.hangMs);
    socket.end();
    return ended;
  }
  const waitedMs = performance.now() - send.startMs;
  if (!(await sleepOnSocket(socket, decision.firstByteMs - waitedMs))) return ended;
  if (effects.resetBeforeHead === true) {
    send.reset();
    return ended;
  }
  if (effects.closeBeforeHead === true) {
    socket.end();
    return ended;
  }
  if (effects.garbageHead === true) {
    await writeAll(socket, '\x16\x03\x01 this is not HTTP \x00\xff\r\n\r\n');
    socket.end();
    return ended;
  }
  // Faults of bodies and headers are for answers that succeeded; an error stays readable.
  const isPlain = reply.status >= 300;
  if (!isPlain) spoilHeaders(reply, effects);
  const wholeBytes = bodyBytes(reply);
  const shortBytes = isPlain ? wholeBytes : Math.max(0, wholeBytes - (effects.shortBodyBytes ?? 0));
  const declaredBytes = contentLength(reply) === null ? null : shortBytes;
  await writeAll(
    socket,
    headText(reply, 'Content-Length' in reply.headers ? null : declaredBytes, options.isKeepAlive),
  );
  if (options.isHead) return { sentBytes: 0, canGoOn: true };
  const stopAt = isPlain
    ? wholeBytes
    : Math.min(
        shortBytes,
        effects.resetAfterBytes ?? Infinity,
        effects.closeAfterBytes ?? Infinity,
        Math.max(0, wholeBytes - (effects.truncateBytes ?? 0)),
      );
  const sentBytes = await sendBytes(send, stopAt, isPlain ? undefined : effects.stallAfterBytes);
  if (stopAt >= shortBytes && (isPlain || effects.resetAfterBytes === undefined || effects.resetAfterBytes > stopAt)) {
    return { sentBytes, canGoOn: true };
  }
  if (!isPlain && effects.resetAfterBytes !== undefined && effects.resetAfterBytes <= stopAt) {
    await sleepOnSocket(socket, RESET_GRACE_MS);
    send.reset();
  } else {
    socket.end();
  }
  return { sentBytes, canGoOn: false };
}

async function sendBytes(send: ShapedSend, stopAt: number, stallAt: number | undefined): Promise<number> {
  const { socket, reply, decision } = send;
  const { body } = reply;
  const flipAt = reply.status >= 300 ? undefined : decision.effects.flipByteAt;
  const stepBytes = pacedChunkBytes(decision.pacers, BODY_CHUNK_BYTES);
  let at = 0;
  for (;;) {
    if (stallAt !== undefined && at === stallAt) {
      if (!(await sleepOnSocket(socket, decision.effects.stallMs ?? 0))) return at;
    }
    if (at >= stopAt || body === null) return at;
    let nextAt = Math.min(stopAt, at + stepBytes);
    if (stallAt !== undefined && stallAt > at) nextAt = Math.min(nextAt, stallAt);
    const piece = Buffer.allocUnsafeSlow(nextAt - at);
    if (Buffer.isBuffer(body)) body.copy(piece, 0, at, nextAt);
    else if (readSync(body.lease.fd, piece, 0, piece.length, body.startOffset + at) < piece.length) {
      throw new Error('file was cut short while it was being sent');
    }
    if (flipAt !== undefined && flipAt >= at && flipAt < nextAt) piece[flipAt - at] = (piece[flipAt - at] ?? 0) ^ 1;
    const nowMs = performance.now();
    const waitMs = Math.max(0, ...decision.pacers.map((pacer) => pacer.book(piece.length, nowMs)));
    // Timers are a millisecond coarse: waits below that are left to add up.
    if (waitMs >= 1 && !(await sleepOnSocket(socket, waitMs))) return at;
    await writeAll(socket, piece);
    at = nextAt;
  }
}

function spoilHeaders(reply: Reply, effects: FaultDecision['effects']): void {
  const { headers } = reply;
  if (effects.wrongEtag !== undefined && effects.wrongEtag !== false && 'ETag' in headers) {
    headers['ETag'] = typeof effects.wrongEtag === 'string' ? effects.wrongEtag : '"00000000000000000000000000000000"';
  }
  const range = headers['Content-Range'];
  if (effects.wrongContentRange !== undefined && effects.wrongContentRange !== false && range !== undefined) {
    headers['Content-Range'] =
      typeof effects.wrongContentRange === 'string'
        ? effects.wrongContentRange
        : range.replace(/(\d+)-(\d+)/, (_all, from: string, to: string) => `${Number(from) + 1}-${Number(to) + 1}`);
  }
}
