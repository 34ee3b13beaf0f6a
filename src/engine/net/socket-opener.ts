/**
 * From "the bucket's endpoint" to a socket that is ready for requests: address, local address, proxy, TLS.
 * Opens are independent of requests, so a slow handshake never holds one. The certificate is always verified; the
 * store that is trusted is the system's, or the given bundle alone. Sessions are resumed, which saves a round trip and
 * most of a handshake's CPU.
 * Refuses to retry: it tries a few addresses within one open (address-race.ts), then the retry policy decides.
 */
import net from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../../base/clock.js';
import type { DataTarget } from '../api.js';
import { AddressBook, type Address } from './address-book.js';
import { AddressRace } from './address-race.js';
import type { AddressState } from './describe.js';
import { transportFailure } from './failure.js';
import { asError, authority, openTunnel, parseProxyUrl, type ProxyRoute } from './proxy.js';

/** Where a socket puts what it reads; see node's `onread`. The view must never be empty. */
export interface OnRead {
  buffer(): Uint8Array;
  callback(bytesRead: number): boolean;
}

/** The parts of the network that a test may replace. */
export interface Network {
  connectTcp(options: net.NetConnectOpts): net.Socket;
  connectTls(options: tls.ConnectionOptions): tls.TLSSocket;
  lookup(hostname: string): Promise<readonly Address[]>;
}

export interface SocketOpenerOptions {
  readonly target: DataTarget;
  readonly connectMs: number;
}

export interface SocketOpenerDeps {
  readonly clock: Clock;
  readonly network: Network;
}

/** One open in progress. */
export interface Opening {
  /** The connected socket, or a rejection with a Failure. */
  readonly socket: Promise<net.Socket>;
  /** Gives up; `socket` rejects. */
  abort(): void;
}

/** TCP keep-alive finds peers that vanished without a word (guessed). */
const KEEP_ALIVE_MS = 15_000;

export class SocketOpener {
  readonly #options: SocketOpenerOptions;
  readonly #deps: SocketOpenerDeps;
  readonly #proxy: ProxyRoute | undefined;
  readonly #addresses: AddressBook;
  readonly #secureContext: tls.SecureContext | undefined;
  /** Last session of the bucket's host, and of the proxy when that speaks TLS. */
  readonly #sessions = new Map<string, Buffer>();
  #nextLocal = 0;

  constructor(options: SocketOpenerOptions, deps: SocketOpenerDeps) {
    this.#options = options;
    this.#deps = deps;
    const { target } = options;
    this.#proxy = target.proxyUrl === undefined ? undefined : parseProxyUrl(target.proxyUrl);
    this.#addresses = new AddressBook((this.#proxy ?? target).hostname, {
      clock: deps.clock,
      lookup: (hostname) => deps.network.lookup(hostname),
    });
    if (target.tls || this.#proxy?.tls) {
      this.#secureContext = tls.createSecureContext(target.caPem === undefined ? {} : { ca: target.caPem });
    }
  }

  /** Starts to open a socket whose reads go to `onread` once it carries the bucket's bytes. */
  open(onread: OnRead): Opening {
    const race = new AddressRace({
      clock: this.#deps.clock,
      addresses: this.#addresses,
      connect: (address, took) => this.#openTo(address, onread, took),
    });
    return { socket: race.run(), abort: () => race.abort() };
  }

  get addressStates(): AddressState[] {
    return this.#addresses.states;
  }

  /** Another address answered far sooner than this one. */
  slow(address: string): void {
    this.#addresses.slow(address);
  }

  async #openTo(address: Address, onread: OnRead, took: (socket: net.Socket) => void): Promise<net.Socket> {
    const { target, connectMs } = this.#options;
    const { clock, network } = this.#deps;
    const opened: net.Socket[] = [];
    const use = <S extends net.Socket>(socket: S): S => {
      opened.push(socket);
      // Errors reach us through the events we wait for; one that nobody hears would end the process.
      socket.on('error', () => undefined);
      took(socket);
      return socket;
    };
    const where = `${address.address} port ${(this.#proxy ?? target).port}`;
    let isLate = false;
    const timer = clock.after(connectMs, () => {
      isLate = true;
      for (const socket of opened) socket.destroy();
    });
    try {
      const proxy = this.#proxy;
      const isTunnel = proxy !== undefined && target.tls;
      const first = await this.#openFirstHop(address, isTunnel ? undefined : onread, use);
      if (!isTunnel) return first;
      const host = authority(target.hostname, target.port);
      await openTunnel(first, host, proxy, target.userAgent);
      const tunnel = use(network.connectTls(this.#tlsOptions(target.hostname, { socket: first })));
      // Node ignores `onread` for TLS over a given socket (seen in 20 and 24), so bytes through a tunnel are copied once more.
      tunnel.on('data', (chunk: Buffer) => pour(chunk, onread));
      return await this.#secured(tunnel, target.hostname);
    } catch (error) {
      for (const socket of opened) socket.destroy();
      if (isLate) throw asError(transportFailure('ConnectTimeout', `no connection to ${where} within ${connectMs} ms`));
      throw error;
    } finally {
      timer.cancel();
    }
  }

  /** TCP, and TLS unless it comes inside a tunnel. `onread` undefined = ordinary 'data' events. */
  async #openFirstHop(
    address: Address,
    onread: OnRead | undefined,
    use: <S extends net.Socket>(socket: S) => S,
  ): Promise<net.Socket> {
    const { target } = this.#options;
    const hop = this.#proxy ?? target;
    const local = this.#localAddress(address.family);
    const options = {
      host: address.address,
      port: hop.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      ...(local === undefined ? {} : { localAddress: local }),
      ...(onread === undefined ? {} : { onread }),
    };
    if (hop.tls) {
      const secure = use(this.#deps.network.connectTls(this.#tlsOptions(hop.hostname, options)));
      return await this.#secured(secure, hop.hostname);
    }
    const socket = use(this.#deps.network.connectTcp(options));
    await settled(socket, 'connect');
    return socket;
  }

  #tlsOptions(hostname: string, extra: tls.ConnectionOptions & { onread?: OnRead }): tls.ConnectionOptions {
    const name = bareHost(hostname);
    const session = this.#sessions.get(name);
    return {
      ...extra,
      ...(this.#secureContext === undefined ? {} : { secureContext: this.#secureContext }),
      // A name, never an address, may stand in SNI (RFC 6066); without it node would check the address we connected to.
      ...(net.isIP(name) ? {} : { servername: name }),
      checkServerIdentity: (_servername, certificate) => tls.checkServerIdentity(name, certificate),
      ...(session === undefined ? {} : { session }),
      ALPNProtocols: ['http/1.1'],
      // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
      rejectUnauthorized: true,
    };
  }

  async #secured(socket: tls.TLSSocket, hostname: string): Promise<tls.TLSSocket> {
    socket.on('session', (session: Buffer) => this.#sessions.set(bareHost(hostname), session));
    await settled(socket, 'secureConnect');
    return socket;
  }

  /** The next of the local addresses that can reach a peer of this family; undefined when none were asked for. */
  #localAddress(family: 4 | 6): string | undefined {
    const { localAddresses } = this.#options.target;
    if (localAddresses.length === 0) return undefined;
    for (let step = 0; step < localAddresses.length; step++) {
      const local = localAddresses[this.#nextLocal++ % localAddresses.length];
      if (local !== undefined && net.isIP(local) === family) return local;
    }
    const message = `none of the addresses of --bind (${localAddresses.join(', ')}) is an IPv${family} address`;
    throw asError(transportFailure('NoLocalAddress', message));
  }
}

/** Resolves at `event`, rejects at 'error' or 'close'. */
function settled(socket: net.Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: Error): void => {
      socket.off(event, onEvent).off('error', finish).off('close', onClose);
      if (error) reject(error);
      else resolve();
    };
    const onEvent = (): void => finish();
    const onClose = (): void => finish(asError(transportFailure('ConnectionReset', 'closed while connecting')));
    socket.on(event, onEvent).on('error', finish).on('close', onClose);
  });
}

/** Hands over a chunk as reads of the size that `onread` asks for. */
function pour(chunk: Buffer, onread: OnRead): void {
  for (let at = 0; at < chunk.length;) {
    const view = onread.buffer();
    const bytes = Math.min(view.length, chunk.length - at);
    view.set(chunk.subarray(at, at + bytes));
    onread.callback(bytes);
    at += bytes;
  }
}

/** Without the brackets that an IPv6 address has in URLs. */
function bareHost(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}
