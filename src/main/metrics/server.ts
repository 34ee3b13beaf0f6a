/**
 * The little HTTP server that Prometheus scrapes: GET /metrics, on a TCP address or a Unix socket (0600). It answers from
 * one text for SAMPLE_AGE_MS, made once however many ask, so that scrapers cannot make the daemon work more than that.
 *
 * Thread: main; reads and READs do not wait for it: a text is a few milliseconds. Bounds: CONNECTIONS_MAX (one more is closed at
 * once), HEADER_BYTES_MAX, times for a head, a request, an answer and an idle connection; an answer is one text a connection.
 * Refuses to fail a mount: an address that cannot be had is a log line, and is tried again every RETRY_MS.
 */
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createConnection } from 'node:net';
import type { Clock, Timer } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { codeOf, messageOf } from '../../base/thrown.js';
import { isOpenToOthers, metricsAddressText, type MetricsAddress } from './address.js';

const CONNECTIONS_MAX = 16;
const HEADER_BYTES_MAX = 8 * 1024;
const HEAD_WAIT_MS = 5_000;
const REQUEST_WAIT_MS = 10_000;
/** Also for a peer that does not take its answer. */
const IDLE_MS = 15_000;
/** However busy: sixteen peers that read a byte now and then must not keep the right one out for ever. */
const CONNECTION_MS = 60_000;
const RETRY_MS = 30_000;
/** Two scrapers, or one with a nervous finger, get the same text. */
export const SAMPLE_AGE_MS = 500;

export interface MetricsServerDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** The text of now. */
  text(): Promise<string>;
  readonly contentType: string;
}

export class MetricsServer {
  readonly #address: MetricsAddress;
  readonly #deps: MetricsServerDeps;
  readonly #server: Server;
  #retry: Timer | undefined;
  #isClosed = false;
  #isTold = false;
  #text: Promise<string> | undefined;
  #textMs = -Infinity;

  constructor(address: MetricsAddress, deps: MetricsServerDeps) {
    this.#address = address;
    this.#deps = deps;
    this.#server = createServer(
      {
        maxHeaderSize: HEADER_BYTES_MAX,
        headersTimeout: HEAD_WAIT_MS,
        requestTimeout: REQUEST_WAIT_MS,
        keepAliveTimeout: IDLE_MS,
        connectionsCheckingInterval: HEAD_WAIT_MS,
      },
      (request, response) => this.#answer(request, response),
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.setTimeout(IDLE_MS, (socket) => socket.destroy());
    this.#server.on('connection', (socket) => {
      const end = setTimeout(() => socket.destroy(), CONNECTION_MS).unref();
      socket.once('close', () => clearTimeout(end));
    });
    this.#server.on('clientError', (_error, socket) => socket.destroy());
    this.#server.unref();
  }

  /** Resolves when it listens, or after the first try that failed. Never rejects. */
  async open(): Promise<void> {
    const { log, clock } = this.#deps;
    try {
      await this.#listen();
      const address = this.at;
      log.info({ address }, `metrics are served at ${address}`);
      if (isOpenToOthers(this.#address)) {
        log.warn({ address }, 'metrics can be read by whoever reaches this address: they have no password');
      }
    } catch (error) {
      if (this.#isClosed) return;
      const fields = { err: error, address: metricsAddressText(this.#address) };
      const sentence = `metrics cannot be served (${reasonOf(error)}): trying again every ${RETRY_MS / 1000} s`;
      if (!this.#isTold) log.error(fields, sentence);
      this.#isTold = true;
      this.#retry = clock.after(RETRY_MS, () => void this.open());
    }
  }

  /** Where it listens, with the port that was found for port 0. */
  get at(): string {
    const bound = this.#server.address();
    if (this.#address.kind === 'unix' || bound === null || typeof bound === 'string') {
      return metricsAddressText(this.#address);
    }
    return metricsAddressText({ ...this.#address, port: bound.port });
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #listen(): Promise<void> {
    const address = this.#address;
    if (address.kind === 'unix') await removeDeadSocket(address.path);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      const listening = (): void => {
        this.#server.off('error', reject);
        this.#server.on('error', () => undefined);
        resolve();
      };
      if (address.kind === 'tcp') {
        this.#server.listen(address.port, address.host, listening);
        return;
      }
      // Between bind(2), which is done in this call, and chmod(2) nobody else shall connect.
      const mask = process.umask(0o177);
      try {
        this.#server.listen(address.path, listening);
      } finally {
        process.umask(mask);
      }
    });
    if (address.kind === 'unix') chmodSync(address.path, 0o600);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    const path = (request.url ?? '').replace(/\?.*$/s, '');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    if (path !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('metrics are at /metrics\n');
      return;
    }
    this.#latest().then(
      (text) => {
        response.writeHead(200, { 'content-type': this.#deps.contentType, 'cache-control': 'no-store' });
        response.end(request.method === 'HEAD' ? undefined : text);
      },
      (error: unknown) => {
        this.#deps.log.warn({ err: error }, 'metrics could not be gathered');
        response.writeHead(500).end();
      },
    );
  }

  #latest(): Promise<string> {
    const nowMs = this.#deps.clock.nowMs();
    if (this.#text !== undefined && nowMs - this.#textMs < SAMPLE_AGE_MS) return this.#text;
    this.#textMs = nowMs;
    const text = this.#deps.text();
    this.#text = text;
    text.catch(() => {
      if (this.#text === text) this.#text = undefined;
    });
    return text;
  }
}

/** A socket that nobody listens at, left by a daemon that died. Somebody else's, and other files, stay: listen(2) says so. */
async function removeDeadSocket(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket()) return;
  } catch {
    return;
  }
  const lives = await new Promise<boolean>((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (!lives) rmSync(path, { force: true });
}

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  if (code === 'EADDRINUSE') return 'the address is in use, by another mount perhaps: give each its own';
  return code ?? messageOf(error);
}
