/**
 * Telling the service manager (sd_notify(3)): datagrams of `NAME=value` lines to the socket that NOTIFY_SOCKET names, a path
 * or an abstract name. Where koffi cannot be loaded, the program systemd-notify says it, one process a message.
 * Refuses to wait and to fail: a manager that does not listen is not our mount's problem.
 */
import { spawn } from 'node:child_process';
import { helperEnvironment } from '../../base/helper-environment.js';
import { connectDatagram } from '../unix-datagram.js';

/** Longest a systemd-notify may take; it waits until the manager has read the message. */
const PROGRAM_WAIT_MS = 5_000;

export interface NotifyChannel {
  /** Sends the assignments as one message. Values hold no line ends. */
  send(assignments: Readonly<Record<string, string | number>>): void;
}

/** The text of a message: line ends within a value would begin another assignment. */
export function notifyText(assignments: Readonly<Record<string, string | number>>): string {
  return Object.entries(assignments)
    .map(([name, value]) => `${name}=${String(value).replace(/[\r\n]+/g, ' ')}`)
    .join('\n');
}

/** A channel to the manager at `socketName` (NOTIFY_SOCKET). `connect` is given by tests. */
export function openNotifyChannel(socketName: string, connect = connectDatagram): NotifyChannel {
  const socket = connect(socketName);
  if (socket !== undefined) {
    return { send: (assignments) => void socket.send(Buffer.from(notifyText(assignments), 'utf8')) };
  }
  return {
    send: (assignments) => {
      const words = notifyText(assignments).split('\n');
      const child = spawn('systemd-notify', ['--', ...words], {
        env: helperEnvironment({ NOTIFY_SOCKET: socketName }),
        stdio: 'ignore',
        timeout: PROGRAM_WAIT_MS,
      });
      child.on('error', () => undefined);
      child.unref();
    },
  };
}
