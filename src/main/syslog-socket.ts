/**
 * The log daemon's socket: a datagram socket at a path. Looks before it connects, so that a mount on a machine without a log
 * daemon never loads koffi for it. Refuses to throw: no socket is `undefined`, a lost message is `false`.
 */
import { statSync } from 'node:fs';
import { connectDatagram, type DatagramSocket } from './unix-datagram.js';

export type SyslogSocket = DatagramSocket;

/** Connects to the log daemon at `path`; undefined when there is none. */
export function openSyslogSocket(path: string): SyslogSocket | undefined {
  try {
    if (!statSync(path).isSocket()) return undefined;
  } catch {
    return undefined;
  }
  return connectDatagram(path);
}
