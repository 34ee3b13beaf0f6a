/**
 * What the embedded S3 server costs: so that a bench of the mount knows how much of the machine its own server takes.
 *
 * The server runs as a process of its own and reports its CPU time through its admin endpoint; the client is raw
 * sockets that send prepared, signed requests and count bytes, so that little but the server is measured. Data lies on
 * /dev/shm. The floors are those the server was built to: 1 GB/s of ranged GETs on one core, 0.2 ms CPU for a 40 kB GET,
 * 3 ms CPU for a LIST page of 1,000 from 20,000 keys.
 *
 *   node dist/bench/s3-server.js [--seconds 5] [--dir /dev/shm/s3x-bench-s3-server]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Hash } from '@smithy/hash-node';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import type { ServerStats } from '../dev/s3-server/server.js';

const BUCKET = 'bench';
const BIG_BYTES = 1024 ** 3;
const RANGE_BYTES = 8 * 1024 ** 2;
const SMALL_BYTES = 40_000;
const LIST_KEYS = 20_000;
const CONNECTIONS = 16;
const HEAD_END = Buffer.from('\r\n\r\n');

const { values } = parseArgs({ options: { seconds: { type: 'string' }, dir: { type: 'string' } } });
const runMs = Number(values.seconds ?? '5') * 1000;
const dir = values.dir ?? '/dev/shm/s3x-bench-s3-server';

const signer = new SignatureV4({
  service: 's3',
  region: 'us-east-1',
  credentials: { accessKeyId: 'BENCH', secretAccessKey: 'SECRET' },
  sha256: Hash.bind(null, 'sha256'),
  uriEscapePath: false,
  applyChecksum: true,
});

/** Text of a signed GET, good for a quarter of an hour. */
async function signedGet(port: number, path: string, query: Record<string, string>, range?: string): Promise<Buffer> {
  const request = await signer.sign(
    new HttpRequest({
      method: 'GET',
      hostname: '127.0.0.1',
      path,
      query,
      headers: {
        host: `127.0.0.1:${port}`,
        'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
        ...(range === undefined ? {} : { range }),
      },
    }),
  );
  const search = new URLSearchParams(query).toString();
  let text = `GET ${path}${search === '' ? '' : `?${search}`} HTTP/1.1\r\n`;
  for (const [name, value] of Object.entries(request.headers)) text += `${name}: ${value}\r\n`;
  return Buffer.from(`${text}\r\n`);
}

/** Sends requests in turn over one connection until `endMs`; returns requests and body bytes. */
function runConnection(
  port: number,
  requests: readonly Buffer[],
  endMs: number,
): Promise<{ requests: number; bytes: number }> {
  return new Promise((resolve, reject) => {
    const done = { requests: 0, bytes: 0 };
    let head = Buffer.alloc(0);
    let bodyLeft = 0;
    let at = Math.floor(Math.random() * requests.length);
    const into = Buffer.allocUnsafeSlow(1024 * 1024);
    const take = (chunk: Buffer): void => {
      let rest = chunk;
      if (bodyLeft === 0) {
        head = Buffer.concat([head, rest]);
        const end = head.indexOf(HEAD_END);
        if (end < 0) return;
        const text = head.toString('latin1', 0, end);
        if (!/^HTTP\/1.1 20[06] /.test(text)) return void reject(new Error(text));
        bodyLeft = Number(/content-length: (\d+)/i.exec(text)?.[1]);
        rest = head.subarray(end + 4);
        head = Buffer.alloc(0);
      }
      bodyLeft -= rest.length;
      done.bytes += rest.length;
      if (bodyLeft > 0) return;
      done.requests++;
      if (performance.now() >= endMs) socket.end(() => resolve(done));
      else next();
    };
    const socket: Socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      // One buffer for all reads: the client's share of a core should be small.
      onread: {
        buffer: into,
        callback: (bytes) => {
          take(into.subarray(0, bytes));
          return true;
        },
      },
    });
    const next = (): void => void socket.write(requests[at++ % requests.length] as Buffer);
    socket.on('error', reject);
    socket.on('connect', next);
  });
}

async function stats(port: number): Promise<ServerStats> {
  return (await (await fetch(`http://127.0.0.1:${port}/-/stats`)).json()) as ServerStats;
}

/** Runs one load and prints its line. */
async function measure(port: number, name: string, connections: number, requests: readonly Buffer[]): Promise<void> {
  const endMs = performance.now() + runMs;
  const before = await stats(port);
  const startMs = performance.now();
  const results = await Promise.all(Array.from({ length: connections }, () => runConnection(port, requests, endMs)));
  const seconds = (performance.now() - startMs) / 1000;
  const after = await stats(port);
  const count = results.reduce((sum, one) => sum + one.requests, 0);
  const gigabytes = results.reduce((sum, one) => sum + one.bytes, 0) / 1e9;
  const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
  console.log(
    [
      name.padEnd(34),
      `${((gigabytes / seconds) * 1000).toFixed(0).padStart(6)} MB/s`,
      `${(count / seconds).toFixed(0).padStart(7)} requests/s`,
      `server ${(cpuSeconds / gigabytes).toFixed(2)} cpu s/GB`,
      `${((cpuSeconds / count) * 1000).toFixed(3)} cpu ms/request`,
      `${(after.rssBytes / 1024 ** 2).toFixed(0)} MiB`,
    ].join('  '),
  );
}

function startServer(): Promise<{ port: number; child: ChildProcess }> {
  const main = new URL('../dev/s3-server/main.js', import.meta.url).pathname;
  const flags = ['--dir', dir, '--admin', '--access-key', 'BENCH', '--secret-key', 'SECRET'];
  const child = spawn(process.execPath, [main, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`server ended with code ${code}`)));
    child.stdout.on('data', (text: Buffer) => {
      const port = /:(\d+),/.exec(text.toString())?.[1];
      if (port !== undefined) resolve({ port: Number(port), child });
    });
  });
}

async function makeData(): Promise<void> {
  await mkdir(join(dir, BUCKET, 'keys'), { recursive: true });
  const piece = Buffer.alloc(8 * 1024 ** 2, 's3 server bench ');
  const big = await open(join(dir, BUCKET, 'big'), 'w');
  for (let bytes = 0; bytes < BIG_BYTES; bytes += piece.length) await big.write(piece);
  await big.close();
  await writeFile(join(dir, BUCKET, 'small'), piece.subarray(0, SMALL_BYTES));
  for (let at = 0; at < LIST_KEYS; at++) {
    await writeFile(join(dir, BUCKET, 'keys', `image-${String(at).padStart(6, '0')}.jpg`), '');
  }
}

let server: ChildProcess | undefined;
try {
  await rm(dir, { recursive: true, force: true });
  await makeData();
  const { port, child } = await startServer();
  server = child;
  const ranges: Buffer[] = [];
  for (let from = 0; from < BIG_BYTES; from += RANGE_BYTES) {
    ranges.push(await signedGet(port, `/${BUCKET}/big`, {}, `bytes=${from}-${from + RANGE_BYTES - 1}`));
  }
  const small = [await signedGet(port, `/${BUCKET}/small`, {})];
  const pages: Buffer[] = [];
  for (let at = 0; at < LIST_KEYS; at += 1000) {
    const after = `keys/image-${String(at).padStart(6, '0')}.jpg`;
    pages.push(await signedGet(port, `/${BUCKET}`, { 'list-type': '2', prefix: 'keys/', 'start-after': after }));
  }
  await runConnection(port, pages, performance.now()); // Builds the index.
  await measure(port, `GET 8 MiB ranges, ${CONNECTIONS} connections`, CONNECTIONS, ranges);
  await measure(port, 'GET 8 MiB ranges, 1 connection', 1, ranges);
  await measure(port, `GET 40 kB, ${CONNECTIONS} connections`, CONNECTIONS, small);
  await measure(port, 'GET 40 kB, 1 connection', 1, small);
  await measure(port, 'LIST 1,000 of 20,000, 4 connections', 4, pages);
} finally {
  server?.removeAllListeners('exit');
  server?.kill();
  await rm(dir, { recursive: true, force: true });
}
