/**
 * A TCP or TLS server on loopback that says exactly the bytes that a test tells it to, torn where the test wants.
 * Real sockets, because what is tested is a client that lives on what the kernel does with them; no HTTP library,
 * because most of what it must say no library would.
 */
import net from 'node:net';
import tls from 'node:tls';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TEST_SERVER_CERT_PEM, TEST_SERVER_KEY_PEM } from './raw-server-certs.js';

export interface RawRequest {
  readonly method: string;
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The request's number on this server and on its connection, from 0. */
  readonly index: number;
  readonly indexOnConnection: number;
  /** Bytes of the Range header; -1 without one. */
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** One client's connection, driven by the test's script. */
export class RawConnection {
  readonly socket: net.Socket;
  /** The connection's number on this server, from 0. */
  readonly index: number;
  readonly #server: RawServer;
  #held = Buffer.alloc(0);
  /** What came since #held was put together. */
  #chunks: Buffer[] = [];
  #requests = 0;
  #wake: (() => void) | undefined;
  #isEnded = false;

  constructor(server: RawServer, socket: net.Socket, index: number) {
    this.#server = server;
    this.socket = socket;
    this.index = index;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake?.();
    });
    const ended = (): void => {
      this.#isEnded = true;
      this.#wake?.();
    };
    socket.on('end', ended).on('close', ended);
  }

  /** The next request's head; undefined when the client is gone. */
  async request(): Promise<RawRequest | undefined> {
    for (;;) {
      this.#gather();
      const end = this.#held.indexOf('\r\n\r\n');
      if (end >= 0) {
        const text = this.#held.toString('latin1', 0, end);
        this.#held = this.#held.subarray(end + 4);
        return this.#parse(text);
      }
      if (this.#isEnded) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** The next `bytes` bytes, which are a request's body; undefined when the client is gone before. */
  async body(bytes: number): Promise<Buffer | undefined> {
    const parts: Buffer[] = [];
    let missing = bytes;
    for (;;) {
      this.#gather();
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.length);
      parts.push(part);
      missing -= part.length;
      if (missing === 0) return Buffer.concat(parts);
      if (this.#isEnded) return undefined;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Resolves when the client is gone. */
  async gone(): Promise<void> {
    while (!this.#isEnded) {
      this.#chunks = [];
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Stops reading requests: what comes from now on is a tunnel's. Returns what was read too far. */
  detach(): Buffer {
    this.socket.removeAllListeners('data');
    this.#gather();
    return this.#held;
  }

  /** Writes it; resolves when the kernel has it. */
  send(data: string | Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve();
      else this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data, () => resolve());
    });
  }

  /** Writes it in two or more pieces, cut at the given positions, each in a packet of its own. */
  async sendTorn(data: string | Buffer, ...cuts: number[]): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    let at = 0;
    for (const cut of [...cuts, bytes.length]) {
      if (cut > at) await this.send(bytes.subarray(at, cut));
      at = Math.max(at, cut);
      // Two turns of the loop: the client, in the same process, has read what it was sent.
      await nextTurn();
      await nextTurn();
    }
  }

  /** FIN. */
  end(): void {
    this.socket.end();
  }

  /** RST. */
  reset(): void {
    if (this.socket instanceof tls.TLSSocket) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  #gather(): void {
    if (this.#chunks.length === 0) return;
    this.#held = Buffer.concat([this.#held, ...this.#chunks]);
    this.#chunks = [];
  }

  #parse(text: string): RawRequest {
    const [first = '', ...lines] = text.split('\r\n');
    const [method = '', target = ''] = first.split(' ');
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '');
    const request = {
      method,
      target,
      headers,
      index: this.#server.requests.length,
      indexOnConnection: this.#requests++,
      start: range ? Number(range[1]) : -1,
      end: range ? Number(range[2]) + 1 : -1,
    };
    this.#server.requests.push(request);
    return request;
  }
}

export type Script = (connection: RawConnection) => Promise<void>;

export interface RawServerOptions {
  readonly tls?: boolean;
  /** 127.0.0.1 unless given. */
  readonly host?: string;
  /** A free one unless given. */
  readonly port?: number;
  readonly script: Script;
}

export class RawServer {
  /** All requests so far, in order of arrival. */
  readonly requests: RawRequest[] = [];
  /** Connections accepted so far. */
  connections = 0;
  /** TLS sessions that were resumed. */
  resumed = 0;
  /** Server names that clients sent. */
  readonly serverNames: string[] = [];
  script: Script;
  readonly #server: net.Server;
  readonly #open = new Set<net.Socket>();

  private constructor(options: RawServerOptions) {
    this.script = options.script;
    const accept = (socket: net.Socket): void => {
      const connection = new RawConnection(this, socket, this.connections++);
      if (socket instanceof tls.TLSSocket) {
        if (socket.isSessionReused()) this.resumed++;
        if (typeof socket.servername === 'string') this.serverNames.push(socket.servername);
      }
      // A script that throws is a broken test: let it be seen.
      void this.script(connection);
    };
    this.#server = options.tls
      ? tls.createServer({ key: TEST_SERVER_KEY_PEM, cert: TEST_SERVER_CERT_PEM }, accept)
      : net.createServer(accept);
    this.#server.on('connection', (socket: net.Socket) => {
      this.#open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#open.delete(socket));
    });
    this.#server.on('tlsClientError', () => undefined);
  }

  static async start(options: RawServerOptions): Promise<RawServer> {
    const server = new RawServer(options);
    await new Promise<void>((resolve, reject) => {
      server.#server.on('error', reject);
      server.#server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
    });
    return server;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Connections that are open now. */
  get openConnections(): number {
    return this.#open.size;
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** The head that a right answer to `request` has. */
export function rightHead(request: RawRequest, object: Buffer, etag: string, more = ''): string {
  const { start, end } = request;
  if (start < 0) {
    return `HTTP/1.1 200 OK\r\nETag: ${etag}\r\nContent-Length: ${object.length}\r\n${more}\r\n`;
  }
  return (
    `HTTP/1.1 206 Partial Content\r\nContent-Type: binary/octet-stream\r\nETag: ${etag}\r\n` +
    `Content-Range: bytes ${start}-${end - 1}/${object.length}\r\nContent-Length: ${end - start}\r\n${more}\r\n`
  );
}

/** An S3 error answer with an XML body. */
export function errorAnswer(status: number, code: string, more = '', extraXml = ''): string {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>said so</Message>${extraXml}</Error>`;
  return `HTTP/1.1 ${status} Some Reason\r\nContent-Type: application/xml\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;
}

/** Answers one request; returns true when the script goes on reading requests of this connection. */
export type Answer = (request: RawRequest, connection: RawConnection) => Promise<boolean | void>;

/** A script that answers each request rightly, unless `fault` answers it (anything but undefined). */
export function objectScript(
  object: Buffer,
  etag: string,
  fault?: (request: RawRequest) => Answer | undefined,
): Script {
  return async (connection) => {
    for (;;) {
      const request = await connection.request();
      if (request === undefined) {
        connection.end();
        return;
      }
      const answer = fault?.(request);
      if (answer) {
        if ((await answer(request, connection)) !== true) return;
      } else {
        await connection.send(rightHead(request, object, etag));
        await connection.send(request.start < 0 ? object : object.subarray(request.start, request.end));
      }
    }
  };
}
