/**
 * One client connection: requests in turn, each answered before the next is read (pipelined input waits, bounded).
 *
 * It decides only about the connection itself: keep-alive, 100 Continue, what to do with a body that the handler did not
 * read, idle time. A broken request gets a plain 400 and the connection ends. Handlers never throw; a handler that does
 * ends its connection and is reported.
 */
import type { Socket } from 'node:net';
import { DRAIN_BYTES_MAX, IDLE_MS, LINGER_MS } from '../limits.js';
import { discardBody, type Reply } from './reply.js';
import { RequestBody } from './request-body.js';
import { HttpError, type RequestHead, RequestReader } from './request-reader.js';
import { sendReply, type SendOptions } from './send.js';
import { SocketInput } from './socket-io.js';

/** One request with its connection. */
export interface Exchange {
  readonly head: RequestHead;
  readonly body: RequestBody;
  readonly socket: Socket;
  /** Milliseconds of the event loop's clock when the head was complete. */
  readonly startMs: number;
}

/** What a handler wants done: a way to send its reply; it may also destroy the socket itself. */
export interface Outcome {
  readonly reply: Reply;
  /** Instead of the plain sender. Returns whether the connection can go on. */
  readonly send?: (options: SendOptions) => Promise<boolean>;
  /** Told when the reply has been sent, or has failed. */
  readonly onSent?: (sentBytes: number) => void;
}

export type ExchangeHandler = (exchange: Exchange) => Outcome | Promise<Outcome>;

/** A body rest up to this size is read before the answer, so that the connection can go on. */
const QUIET_DRAIN_BYTES = 256 * 1024;

/** Serves a connection until it ends. Never rejects. */
export async function serveConnection(
  socket: Socket,
  handler: ExchangeHandler,
  report: (error: unknown) => void,
): Promise<void> {
  const reader = new RequestReader(new SocketInput(socket));
  let isBusy = false;
  socket.setNoDelay(true);
  socket.setTimeout(IDLE_MS, () => {
    if (!isBusy) socket.destroy();
  });
  socket.on('error', () => undefined); // 'close' follows, and reads and writes report it.
  try {
    for (;;) {
      const head = await reader.readHead();
      if (head === null) break;
      isBusy = true;
      const isOpen = await serveOne(socket, reader, head, handler);
      isBusy = false;
      if (!isOpen) return;
    }
    socket.end();
  } catch (error) {
    if (error instanceof HttpError) await refuse(socket, error);
    else {
      if (!isConnectionError(error)) report(error);
      socket.destroy();
    }
  }
}

/** True when the connection can go on. */
async function serveOne(
  socket: Socket,
  reader: RequestReader,
  head: RequestHead,
  handler: ExchangeHandler,
): Promise<boolean> {
  const body = new RequestBody(head, reader, () => socket.write('HTTP/1.1 100 Continue\r\n\r\n'));
  const outcome = await handler({ head, body, socket, startMs: performance.now() });
  if (socket.destroyed) {
    discardBody(outcome.reply);
    return false;
  }
  const connection = head.headers.get('connection')?.toLowerCase() ?? '';
  let isKeepAlive = head.httpMinor === 1 ? !connection.includes('close') : connection.includes('keep-alive');
  if (!body.isConsumed) {
    const isSmall = (body.declaredBytes ?? Infinity) <= QUIET_DRAIN_BYTES;
    if (body.isWithheld || !isSmall || !(await drainQuietly(body))) isKeepAlive = false;
  }
  const options = { isHead: head.method === 'HEAD', isKeepAlive };
  let sentBytes = 0;
  try {
    if (outcome.send !== undefined) isKeepAlive = (await outcome.send(options)) && isKeepAlive;
    else sentBytes = await sendReply(socket, outcome.reply, options);
  } finally {
    outcome.onSent?.(sentBytes);
  }
  if (isKeepAlive) return true;
  if (!socket.destroyed) await linger(socket, body);
  return false;
}

/** True when the rest of the body was small and is read. */
async function drainQuietly(body: RequestBody): Promise<boolean> {
  try {
    return await body.drain(QUIET_DRAIN_BYTES);
  } catch {
    return false; // Broken or cut off: the answer may still arrive, the connection ends after it.
  }
}

/**
 * Ends a connection whose request body was not read: closing at once would reset it and could take the answer away from
 * the client, so the rest is swallowed for a while.
 */
async function linger(socket: Socket, body: RequestBody): Promise<void> {
  socket.end();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  try {
    if (!body.isWithheld) await body.drain(DRAIN_BYTES_MAX);
  } catch {
    // The client went away, which is what we wait for.
  }
  if (!socket.destroyed) {
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.resume();
    });
  }
  clearTimeout(timer);
}

async function refuse(socket: Socket, error: HttpError): Promise<void> {
  if (socket.destroyed) return;
  const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>BadRequest</Code><Message>${error.message}</Message></Error>`;
  const reply = { status: error.status, headers: { 'Content-Type': 'application/xml' }, body: Buffer.from(xml) };
  try {
    await sendReply(socket, reply, { isHead: false, isKeepAlive: false });
    socket.end();
    socket.resume();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  } catch {
    socket.destroy();
  }
}

function isConnectionError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  return [
    'ECONNRESET',
    'EPIPE',
    'ERR_STREAM_DESTROYED',
    'ERR_STREAM_WRITE_AFTER_END',
    'ECONNABORTED',
    'ETIMEDOUT',
  ].includes(code);
}
