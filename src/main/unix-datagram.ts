/**
 * A datagram socket of the unix domain, which Node does not have, through koffi: socket, connect, send, close of libc. For
 * the log daemon and the service manager. Sends never wait (MSG_DONTWAIT) and never raise SIGPIPE. koffi is loaded at first
 * use (2.5 MiB, measured), so a process that talks to neither does not pay for it.
 * Refuses to throw: no socket is `undefined`, a lost message is `false`.
 */
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** Bytes of sun_path, its closing zero included (unix(7)). */
const PATH_BYTES_MAX = 108;

interface Calls {
  readonly socket: (family: number, type: number, protocol: number) => number;
  readonly connect: (fd: number, address: Uint8Array, addressBytes: number) => number;
  readonly send: (fd: number, data: Uint8Array, dataBytes: number, flags: number) => number;
  readonly close: (fd: number) => number;
}

let calls: Calls | undefined;

function loadCalls(): Calls {
  if (calls !== undefined) return calls;
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  const libc = koffi.load(null);
  calls = {
    socket: libc.func('int socket(int domain, int type, int protocol)') as unknown as Calls['socket'],
    connect: libc.func('int connect(int fd, const void *address, unsigned int bytes)') as unknown as Calls['connect'],
    send: libc.func('long send(int fd, const void *data, size_t bytes, int flags)') as unknown as Calls['send'],
    close: libc.func('int close(int fd)') as unknown as Calls['close'],
  };
  return calls;
}

export interface DatagramSocket {
  /** False when the message was not taken. */
  send(message: Uint8Array): boolean;
  close(): void;
}

/**
 * struct sockaddr_un of a path, or of an abstract name, which begins with `@` (as in NOTIFY_SOCKET) and is exactly as long
 * as the address says. Undefined for what is neither, or too long.
 */
export function unixAddress(name: string): Buffer | undefined {
  const isAbstract = name.startsWith('@');
  if (!isAbstract && !name.startsWith('/')) return undefined;
  const path = Buffer.from(isAbstract ? `\0${name.slice(1)}` : `${name}\0`, 'utf8');
  if (path.length < 2 || path.length > PATH_BYTES_MAX || name.includes('\0')) return undefined;
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX, 0);
  return Buffer.concat([family, path]);
}

/** Connects to who listens at `name` (see unixAddress); undefined when nobody does, or koffi cannot be loaded. */
export function connectDatagram(name: string): DatagramSocket | undefined {
  const address = unixAddress(name);
  if (address === undefined) return undefined;
  try {
    const libc = loadCalls();
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return undefined;
    if (libc.connect(fd, address, address.length) !== 0) {
      libc.close(fd);
      return undefined;
    }
    let open = true;
    return {
      send: (message) => open && libc.send(fd, message, message.length, MSG_DONTWAIT | MSG_NOSIGNAL) === message.length,
      close() {
        if (open) libc.close(fd);
        open = false;
      },
    };
  } catch {
    return undefined;
  }
}
