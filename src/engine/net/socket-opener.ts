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
import { LocalAddresses, type LocalPlace } from './local-addresses.js';
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
  readonly #locals: LocalAddresses | undefined;

  constructor(options: SocketOpenerOptions, deps: SocketOpenerDeps) {
    this.#options = options;
    this.#deps = deps;
    const { target } = options;
    this.#proxy = target.proxyUrl === undefined ? undefined : parseProxyUrl(target.proxyUrl);
    this.#addresses = new AddressBook((this.#proxy ?? target).hostname, {
      clock: deps.clock,
      lookup: (hostname) => deps.network.lookup(hostname),
    });
    if (target.localAddresses.length > 0) this.#locals = new LocalAddresses(target.localAddresses, deps.clock);
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
    const local = this.#placeFor(address.family);
    let isLate = false;
    const timer = clock.after(connectMs, () => {
      isLate = true;
      for (const socket of opened) socket.destroy();
    });
    try {
      const proxy = this.#proxy;
      const isTunnel = proxy !== undefined && target.tls;
      const first = await this.#openFirstHop(address, isTunnel ? undefined : onread, local, use);
      if (!isTunnel) return first;
      const host = authority(target.hostname, target.port);
      await openTunnel(first, host, proxy, target.userAgent);
      const tunnel = use(network.connectTls(this.#tlsOptions(target.hostname, { socket: first })));
      // Node ignores `onread` for TLS over a given socket (seen in 20 and 24), so bytes through a tunnel are copied once more.
      tunnel.on('data', (chunk: Buffer) => pour(chunk, onread));
      return await this.#secured(tunnel, target.hostname);
    } catch (error) {
      for (const socket of opened) socket.destroy();
      if (opened.length === 0) local?.release();
      if (isLate || isOfThePath(error)) local?.failed();
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
    local: LocalPlace | undefined,
    use: <S extends net.Socket>(socket: S) => S,
  ): Promise<net.Socket> {
    const { target } = this.#options;
    const hop = this.#proxy ?? target;
    const options = {
      host: address.address,
      port: hop.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      ...(local === undefined ? {} : { localAddress: local.address }),
      ...(onread === undefined ? {} : { onread }),
    };
    if (hop.tls) {
      const secure = use(this.#deps.network.connectTls(this.#tlsOptions(hop.hostname, options)));
      if (local) secure.once('close', local.release);
      return await this.#secured(secure, hop.hostname);
    }
    const socket = use(this.#deps.network.connectTcp(options));
    if (local) socket.once('close', local.release);
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

  /** A place at one of the local addresses, for a peer of this family; undefined when none were asked for. */
  #placeFor(family: 4 | 6): LocalPlace | undefined {
    if (this.#locals === undefined) return undefined;
    const place = this.#locals.take(family);
    if (place) return place;
    const all = this.#options.target.localAddresses.join(', ');
    const message = `none of the addresses of --bind (${all}) is an IPv${family} address`;
    throw asError(transportFailure('NoLocalAddress', message));
  }
}

/** It says that the peer cannot be reached from where we are, and not that nobody listens there. */
function isOfThePath(error: unknown): boolean {
  const { syscall, code } = error as NodeJS.ErrnoException;
  return (syscall === 'connect' || syscall === 'bind') && code !== 'ECONNREFUSED';
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
