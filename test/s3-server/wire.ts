/**
 * A client below HTTP: writes bytes onto a socket and gives back the bytes that came.
 *
 * node:http refuses to send most of what a hostile or broken client sends, so these tests write it themselves. Everything is bounded: a
 * server that does not answer or close in time is an error with a name, never a hanging test.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestServer } from '../support/servers/server.js';
import { encodeUri, signed, type RawRequest } from './cases/raw.js';

/** Far more than any answer needs here; only a hang reaches it. */
const WAIT_MS_MAX = 10_000;

/** A plain-text connection to the server. The caller destroys it. */
export async function dial(server: TestServer): Promise<Socket> {
  const url = new URL(server.endpoint);
  const socket = connect({ port: Number(url.port), host: url.hostname, allowHalfOpen: true });
  socket.setNoDelay(true);
  await once(socket, 'connect');
  // Resets are what some of these tests are about.
  socket.on('error', () => undefined);
  return socket;
}

/** The bytes of a request as a correct client would send them. */
export function wireOf(request: RawRequest): Buffer {
  const query = Object.entries(request.query ?? {})
    .map(([name, value]) => `${encodeUri(name)}=${encodeUri(value)}`)
    .join('&');
  const body = Buffer.from(request.body ?? '');
  const headers = { ...request.headers };
  if (body.length > 0 && headers['transfer-encoding'] === undefined) headers['content-length'] = String(body.length);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const target = query === '' ? request.path : `${request.path}?${query}`;
  return Buffer.concat([Buffer.from(`${request.method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'), body]);
}

/** Signs a request and gives its bytes. */
export async function signedWire(server: TestServer, request: RawRequest): Promise<Buffer> {
  return wireOf(await signed(server, request));
}

/** Sends bytes and waits for the head of an answer, or for the end of the connection; gives the status, or 'closed'. */
export async function statusOf(server: TestServer, bytes: Buffer): Promise<number | 'closed'> {
  const socket = await dial(server);
  try {
    socket.write(bytes);
    return await firstStatus(socket);
  } finally {
    socket.destroy();
  }
}

/** The status of the next answer on a socket that is not read yet. */
export async function firstStatus(socket: Socket): Promise<number | 'closed'> {
  let seen = '';
  return within(
    new Promise((resolve) => {
      socket.on('data', (chunk) => {
        seen += chunk.toString('latin1');
        const status = /^HTTP\/1\.1 (\d{3}) [^\r]*\r\n[^]*?\r\n\r\n/.exec(seen)?.[1];
        if (status !== undefined) resolve(Number(status));
      });
      socket.once('end', () => resolve('closed'));
      socket.once('close', () => resolve('closed'));
    }),
    'an answer or the end of the connection',
  );
}

/** Sends bytes, says that no more come, and gives everything that arrives until the server ends the connection. */
export async function exchange(server: TestServer, bytes: Buffer): Promise<string> {
  const socket = await dial(server);
  const chunks: Buffer[] = [];
  try {
    socket.on('data', (chunk) => chunks.push(chunk));
    const ended = new Promise<void>((resolve) => {
      socket.once('end', () => resolve());
      socket.once('close', () => resolve());
    });
    socket.end(bytes);
    await within(ended, 'the end of the connection');
    return Buffer.concat(chunks).toString('latin1');
  } finally {
    socket.destroy();
  }
}

/** Statuses of all answers in what arrived. */
export function statusesIn(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}

/** Rejects when `work` takes longer than any working server does. */
export async function within<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new assert.AssertionError({ message: `${what} did not come` })), WAIT_MS_MAX);
  });
  try {
    return await Promise.race([work, tooLong]);
  } finally {
    clearTimeout(timer);
  }
}
