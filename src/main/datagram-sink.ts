/**
 * Lines to whoever listens at a datagram socket (the log daemon, systemd's journal), each as one message: the connection is made
 * anew when the listener was, once a second at most, and lines that it did not take are counted and told when it takes some again.
 * Refuses to wait or to throw.
 */
import type { LineSink } from './log-sinks.js';
import { openSyslogSocket, type SyslogSocket } from './syslog-socket.js';

const RECONNECT_MS = 1_000;
/** pino's numbers. */
const LEVEL_INFO = 30;
const LEVEL_WARN = 40;

export interface DatagramSinkOptions {
  readonly path: string;
  /** In words, for the start line. */
  readonly description: string;
  /** Who did not take lines, for the one that tells it. */
  readonly listener: string;
  /** One of pino's lines as the listener wants it. */
  readonly message: (level: number, line: string) => Buffer;
}

/** Undefined when nobody listens. */
export function datagramSink({ path, description, listener, message }: DatagramSinkOptions): LineSink | undefined {
  let socket: SyslogSocket | undefined = openSyslogSocket(path);
  if (socket === undefined) return undefined;
  let lost = 0;
  let reconnectAtMs = 0;
  const send = (datagram: Buffer): boolean => {
    if (socket?.send(datagram) === true) return true;
    // The listener was started again: its socket is a new one.
    const nowMs = performance.now();
    if (nowMs < reconnectAtMs) return false;
    reconnectAtMs = nowMs + RECONNECT_MS;
    socket?.close();
    socket = openSyslogSocket(path);
    return socket?.send(datagram) === true;
  };
  return {
    lastLevel: LEVEL_INFO,
    description,
    write(line) {
      if (lost > 0) {
        const note = JSON.stringify({ msg: `${lost} log lines were lost: ${listener} did not take them` });
        if (send(message(LEVEL_WARN, note))) lost = 0;
      }
      if (!send(message(this.lastLevel, line))) lost++;
    },
    close() {
      socket?.close();
      socket = undefined;
    },
  };
}
