/**
 * What the unit tests of the embedded server share: a server on a temporary directory that ends with the test, an SDK
 * client for it, and a raw HTTP exchange for what no client library would send or show.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Test } from 'tap';
import { type S3Server, type S3ServerOptions, startS3Server } from '../../../dev/s3-server/server.js';

/** A directory that is removed when the test ends. */
export function tempDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 's3x-s3-server-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A server that ends with the test. Without `dir` it gets one of its own. */
export async function startServer(
  t: Test,
  options: Partial<S3ServerOptions> = {},
): Promise<{ server: S3Server; dir: string }> {
  const dir = options.dir ?? tempDir(t);
  const server = await startS3Server({
    ...options,
    dir,
    report: (error) => t.fail(`internal error: ${error instanceof Error ? (error.stack ?? '') : String(error)}`),
  });
  t.teardown(() => server.close());
  return { server, dir };
}

/** An SDK client that ends with the test. */
export function clientOf(t: Test, server: S3Server, config: S3ClientConfig = {}): S3Client {
  const client = new S3Client({
    endpoint: server.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'TEST', secretAccessKey: 'SECRET' },
    maxAttempts: 1,
    ...config,
  });
  t.teardown(() => client.destroy());
  return client;
}

/** One connection's worth of bytes both ways: everything the server says until the connection ends. */
export interface RawExchange {
  readonly text: string;
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** 'end' for a clean end by the server, or the error's code. */
  readonly ended: string;
}

/** Sends text (latin1) and reads until the server ends the connection or `until` has arrived. */
export function rawExchange(server: S3Server, request: string, until?: string): Promise<RawExchange> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    const socket = connect({ port: server.port, host: server.host });
    const finish = (ended: string): void => {
      socket.destroy();
      const all = Buffer.concat(pieces);
      const headEnd = all.indexOf('\r\n\r\n');
      const head = all.toString('latin1', 0, headEnd < 0 ? all.length : headEnd).split('\r\n');
      const headers = new Map<string, string>();
      for (const line of head.slice(1)) {
        const colon = line.indexOf(':');
        headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
      }
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head[0] ?? '')?.[1] ?? 0);
      resolve({ text: all.toString('latin1'), status, headers, body: all.subarray(headEnd + 4), ended });
    };
    socket.on('connect', () => socket.write(request, 'latin1'));
    socket.on('data', (piece) => {
      pieces.push(piece);
      if (until !== undefined && Buffer.concat(pieces).includes(until)) finish('until');
    });
    socket.on('end', () => finish('end'));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });
}

/** A GET's text with `Connection: close`. */
export function rawGet(path: string, headers: Record<string, string> = {}): string {
  let text = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n`;
  for (const [name, value] of Object.entries(headers)) text += `${name}: ${value}\r\n`;
  return `${text}\r\n`;
}

/** Something asynchronous that must come true soon; fails the test's promise when it does not within 5 s. */
export async function eventually(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never came true: ${what}`);
}
