/**
 * The way to a store, in this process, which can break in the ways in which real ones do, and mend. One address all the time.
 *
 *   open     bytes pass, in both directions
 *   refused  nobody listens; connections that were open are reset
 *   reset    connections are taken and reset at once, as a published port or a balancer without backends does
 *   gateway  each request is answered by a gateway's own page (502, as nginx says it)
 *   silent   connections are taken and nothing is ever answered; those that were open stop where they are
 *
 * Connections that were open when the way breaks do not come back. Refuses to judge what a mount makes of it.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TestServer } from './server.js';

export type WayState = 'open' | 'refused' | 'reset' | 'gateway' | 'silent';

const PAGE = '<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n';
const BAD_GATEWAY = `HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: ${PAGE.length}\r\n\r\n`;

export class BrokenWay {
  readonly #to: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  readonly #silenced = new Set<Socket>();
  #state: WayState = 'open';
  #port = 0;
  #server: Server | undefined;
  /** Requests that the gateway answered, connections that were reset or left without an answer. */
  turnedAway = 0;

  constructor(server: TestServer) {
    const { hostname, port } = new URL(server.endpoint);
    this.#to = { host: hostname, port: Number(port) };
  }

  static async open(server: TestServer): Promise<BrokenWay> {
    const way = new BrokenWay(server);
    await way.set('open');
    return way;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async set(state: WayState): Promise<void> {
    this.#state = state;
    for (const socket of [...this.#sockets]) {
      if (state === 'silent') this.#silence(socket);
      else socket.resetAndDestroy();
    }
    if (state === 'refused') await this.#stopListening();
    else if (this.#server === undefined) await this.#listen();
  }

  async close(): Promise<void> {
    await this.set('refused');
  }

  async #listen(): Promise<void> {
    const server = createServer((socket) => this.#taken(socket));
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address !== null && typeof address === 'object') this.#port = address.port;
  }

  async #stopListening(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#silenced) socket.destroy();
    this.#silenced.clear();
    await closed;
  }

  /** Nothing of it is read any more, and nothing said. */
  #silence(socket: Socket): void {
    this.#sockets.delete(socket);
    this.#silenced.add(socket);
    socket.unpipe();
    socket.pause();
  }

  #taken(socket: Socket): void {
    socket.on('error', () => undefined);
    if (this.#state !== 'open') this.turnedAway++;
    switch (this.#state) {
      case 'open':
        this.#pass(socket);
        return;
      case 'gateway':
        this.#keep(socket);
        answerAll(socket, () => this.turnedAway++);
        return;
      case 'silent':
        this.#silence(socket);
        return;
      default:
        socket.resetAndDestroy();
    }
  }

  #pass(socket: Socket): void {
    const other = connect(this.#to);
    for (const [one, its] of [
      [socket, other],
      [other, socket],
    ] as const) {
      this.#keep(one);
      one.on('error', () => its.destroy());
      one.on('close', () => its.destroy());
      one.pipe(its);
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** Reads requests with their bodies and answers each with the page. */
function answerAll(socket: Socket, answered: () => void): void {
  let held = Buffer.alloc(0);
  let bodyBytes = 0;
  const answer = (isHead: boolean): void => {
    answered();
    socket.write(isHead ? BAD_GATEWAY : BAD_GATEWAY + PAGE);
  };
  let isHead = false;
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    for (;;) {
      if (bodyBytes > 0) {
        const taken = Math.min(bodyBytes, held.length);
        held = held.subarray(taken);
        bodyBytes -= taken;
        if (bodyBytes > 0) return;
        answer(isHead);
        continue;
      }
      const end = held.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = held.toString('latin1', 0, end);
      held = held.subarray(end + 4);
      isHead = head.startsWith('HEAD ');
      bodyBytes = Number(/^content-length: *(\d+)$/im.exec(head)?.[1] ?? 0);
      if (/^expect: *100-continue$/im.test(head)) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      if (bodyBytes === 0) answer(isHead);
    }
  });
}
