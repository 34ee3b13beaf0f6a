/**
 * One open over a few addresses: the next is tried when the one before fails, or has not answered for CONNECT_STAGGER_MS
 * (the idea of RFC 8305, "Happy Eyeballs"); the first socket that stands wins, the others are closed.
 * So that an address that swallows packets, or an IPv6 that leads nowhere, costs a quarter of a second and not a time-out.
 * Bound: ADDRESSES_PER_CONNECT attempts. Refuses to try an address twice.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../base/clock.js';
import type { Address, AddressBook } from './address-book.js';
import { failureFromError, transportFailure, type Failure } from './failure.js';
import { ADDRESSES_PER_CONNECT, CONNECT_STAGGER_MS } from './limits.js';
import { asError } from './proxy.js';

export interface AddressRaceDeps {
  readonly clock: Clock;
  readonly addresses: AddressBook;
  /** Opens a socket; `took` hears of each socket made, at once. Rejects within a bounded time. */
  connect(address: Address, took: (socket: Socket) => void): Promise<Socket>;
}

export class AddressRace {
  readonly #deps: AddressRaceDeps;
  readonly #sockets = new Set<Socket>();
  readonly #tried = new Set<string>();
  #underWay = 0;
  #canTryMore = true;
  #isOver = false;
  #last: Failure | undefined;
  #timer: Timer | undefined;
  #resolve: (socket: Socket) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  constructor(deps: AddressRaceDeps) {
    this.#deps = deps;
  }

  /** Call once. Rejects with a Failure: the last one. */
  run(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      void this.#next();
    });
  }

  /** Gives up; `run` rejects. */
  abort(): void {
    this.#last ??= transportFailure('Aborted', 'the connection was given up');
    this.#lose();
  }

  async #next(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { clock, addresses } = this.#deps;
    this.#underWay++;
    const address = await addresses.next().catch((error: unknown) => {
      this.#last ??= failureFromError(error);
      return undefined;
    });
    const isNew = address !== undefined && !this.#tried.has(address.address);
    if (!isNew || this.#isOver) {
      this.#canTryMore = false;
      this.#ended();
      return;
    }
    this.#tried.add(address.address);
    if (this.#tried.size >= ADDRESSES_PER_CONNECT) this.#canTryMore = false;
    else this.#timer = clock.after(CONNECT_STAGGER_MS, () => void this.#next());
    await this.#try(address);
  }

  async #try(address: Address): Promise<void> {
    const own: Socket[] = [];
    try {
      const socket = await this.#deps.connect(address, (opened) => {
        own.push(opened);
        this.#sockets.add(opened);
        if (this.#isOver) opened.destroy();
      });
      for (const opened of own) this.#sockets.delete(opened);
      if (this.#isOver) socket.destroy();
      else this.#win(socket);
    } catch (error) {
      for (const opened of own) this.#sockets.delete(opened);
      if (this.#isOver) return;
      this.#last = failureFromError(error);
      this.#deps.addresses.failed(address.address);
      if (this.#last.remedy === 'none') this.#lose();
      else this.#ended();
    }
  }

  /** One attempt is over without a socket: the next one begins now, if there is one. */
  #ended(): void {
    this.#underWay--;
    if (this.#isOver) return;
    if (this.#canTryMore) void this.#next();
    else if (this.#underWay === 0) this.#lose();
  }

  #win(socket: Socket): void {
    this.#end();
    this.#resolve(socket);
  }

  #lose(): void {
    if (this.#isOver) return;
    this.#end();
    this.#reject(asError(this.#last ?? transportFailure('ConnectionFailed', 'no address could be tried')));
  }

  #end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }
}
