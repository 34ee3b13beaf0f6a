/**
 * The other end of unix datagrams, for tests: what the log daemon or a service manager is. Bound to a path or an abstract
 * name; received messages are read without waiting. Refuses messages over 64 KiB.
 */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import type * as Koffi from 'koffi';
import { unixAddress } from '../../src/main/unix-datagram.js';

export interface DatagramListener {
  /** Everything that has arrived and was not read yet. */
  read(): string[];
  /** Reads until `done` says that it is enough, of all that was read so far; throws after `waitMs`. */
  until(done: (all: readonly string[]) => boolean, waitMs?: number): Promise<readonly string[]>;
  close(): void;
}

export function listenDatagrams(name: string): DatagramListener {
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  const libc = koffi.load(null);
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const bind = libc.func('int bind(int fd, const void *address, unsigned int bytes)');
  const recv = libc.func('long recv(int fd, _Out_ uint8_t *data, size_t bytes, int flags)');
  const close = libc.func('int close(int fd)');
  const address = unixAddress(name);
  if (address === undefined) throw new Error(`${name} is no address`);
  const fd = socket(1, 2 | 0o2000000, 0) as number;
  if (bind(fd, address, address.length) !== 0) throw new Error(`cannot bind ${name}`);
  const all: string[] = [];
  const read = (): string[] => {
    const news: string[] = [];
    for (;;) {
      const data = Buffer.alloc(65536);
      const bytes = Number(recv(fd, data, data.length, 0x40));
      if (bytes < 0) break;
      news.push(data.toString('utf8', 0, bytes));
    }
    all.push(...news);
    return news;
  };
  return {
    read,
    until: async (done, waitMs = 30_000) => {
      const deadline = Date.now() + waitMs;
      for (;;) {
        read();
        if (done(all)) return all;
        if (Date.now() > deadline)
          throw new Error(`not heard within ${waitMs / 1000} s; so far: ${JSON.stringify(all)}`);
        await sleep(50);
      }
    },
    close: () => void close(fd),
  };
}
