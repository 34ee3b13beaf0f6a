/**
 * Who is at the other end of a unix socket, as the kernel says (SO_PEERCRED): the user who connected, whatever the file
 * system's permissions let happen since. Node does not offer it; libc's getsockopt does, through koffi, on the descriptor
 * of Node's own handle. Refuses to guess: what cannot be asked is `undefined`, and the caller turns it away.
 */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type * as Koffi from 'koffi';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid, gid, 32 bits each. */
const UCRED_BYTES = 12;

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

type GetSockOpt = (fd: number, level: number, name: number, value: Uint8Array, bytes: Uint32Array) => number;

let getsockopt: GetSockOpt | undefined;

/** The credentials of who connected `socket`, taken when it did. Undefined when they cannot be had. */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const fd = descriptorOf(socket);
  if (fd === undefined) return undefined;
  try {
    getsockopt ??= (createRequire(import.meta.url)('koffi') as typeof Koffi)
      .load(null)
      .func('int getsockopt(int fd, int level, int name, void *value, void *bytes)') as unknown as GetSockOpt;
    const value = Buffer.alloc(UCRED_BYTES);
    const bytes = new Uint32Array([UCRED_BYTES]);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, bytes) !== 0 || bytes[0] !== UCRED_BYTES) return undefined;
    return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
  } catch {
    return undefined;
  }
}

/** Node keeps the descriptor on an internal object; a Node that names it otherwise gives undefined here. */
function descriptorOf(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: unknown } | null };
  const fd = handle?.fd;
  return typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 ? fd : undefined;
}
