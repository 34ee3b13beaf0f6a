/**
 * A datagram socket of the unix domain, which Node does not have, through koffi: socket, connect, send, close of libc.
 * Only what /dev/log needs. Sends never wait (MSG_DONTWAIT) and never raise SIGPIPE. koffi is loaded at first use, so a
 * mount that logs elsewhere does not pay for it. Refuses to throw: no socket is `undefined`, a lost message is `false`.
 */
import { createRequire } from 'node:module';
import { statSync } from 'node:fs';
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

export interface SyslogSocket {
  /** False when the message was not taken. */
  send(message: Uint8Array): boolean;
  close(): void;
}

/** Connects to the log daemon at `path`; undefined when there is none. */
export function openSyslogSocket(path: string): SyslogSocket | undefined {
  const pathBytes = Buffer.from(path, 'utf8');
  if (pathBytes.length >= PATH_BYTES_MAX) return undefined;
  try {
    if (!statSync(path).isSocket()) return undefined;
    const libc = loadCalls();
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return undefined;
    const address = Buffer.alloc(2 + PATH_BYTES_MAX);
    address.writeUInt16LE(AF_UNIX, 0);
    pathBytes.copy(address, 2);
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
