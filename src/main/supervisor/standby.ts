/**
 * The first daemon of a mount, started before it is known what to mount: it loads its modules and starts its threads while
 * the command still reads its arguments. Nothing is mounted and nobody is asked anything until it gets its start message.
 * The supervisor starts it as its first act, so this file loads little. What a mount turns out not to need is discarded.
 *
 * Owns: the process and the descriptors that it was started with, until they are taken.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { commandAs, userEnvironment, type RunAs } from '../run-as/run-as.js';
import type { Owner } from '../state-directory.js';
import { openHandover, tryOpenDevice, type Handover } from './connection.js';
import { openJournalFile } from './journal-file.js';

/** Descriptors of the supervisor that a daemon inherits; the daemon's numbers are in api.ts. */
export interface DaemonDescriptors {
  readonly journalFd: number;
  readonly deviceFd?: number;
  readonly handoverFd?: number;
  readonly spareFd?: number;
}

export interface Standby {
  readonly entry: string;
  readonly child: ChildProcess;
  readonly journalFd: number;
  /** Absent for an ordinary user, and where it cannot be opened. */
  readonly deviceFd?: number;
  /** How an ordinary user's comes. */
  readonly handover?: Handover;
}

export interface DaemonProcess {
  readonly entry: string;
  /** For `ps`: what it serves. */
  readonly args: readonly string[];
  readonly descriptors: DaemonDescriptors;
  /** As whom; absent: as this process. */
  readonly runAs?: RunAs;
}

/** Starts a daemon's process. */
export function spawnDaemon({ entry, args, descriptors, runAs }: DaemonProcess): ChildProcess {
  const { journalFd, deviceFd, handoverFd, spareFd } = descriptors;
  const words = [process.execPath, entry, ...args] as const;
  const [program, ...rest] = runAs === undefined ? words : commandAs(runAs, words);
  const inherited = [journalFd, ...[deviceFd, handoverFd, spareFd].map((fd) => fd ?? ('ignore' as const))];
  return spawn(program, rest, {
    cwd: '/',
    detached: true,
    ...(runAs && { env: userEnvironment(process.env, runAs) }),
    stdio: ['ignore', 'ignore', 'inherit', 'ipc', ...inherited, 'pipe'],
    serialization: 'json',
  });
}

/** Undefined when something for it is missing: whoever starts a daemon in the usual way then says what. */
export async function startStandby(entry: string, owner: Owner): Promise<Standby | undefined> {
  let journalFd: number | undefined;
  try {
    journalFd = openJournalFile(owner);
    const deviceFd = owner.uid === 0 ? tryOpenDevice() : undefined;
    const handover = owner.uid === 0 ? undefined : await openHandover();
    const descriptors = {
      journalFd,
      ...(deviceFd === undefined ? {} : { deviceFd }),
      ...(handover ? { handoverFd: handover.theirs } : {}),
    };
    const child = spawnDaemon({ entry, args: [], descriptors });
    // Without a listener it would be thrown; whoever takes the process looks whether it lives.
    child.on('error', () => undefined);
    return { entry, child, journalFd, ...(deviceFd === undefined ? {} : { deviceFd }), ...(handover && { handover }) };
  } catch {
    if (journalFd !== undefined) closeSync(journalFd);
    return undefined;
  }
}

/** True when it has not ended. */
export function isAlive({ child }: Standby): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Ends it: nothing has begun. */
export function discardStandby({ child, journalFd, deviceFd, handover }: Standby): void {
  child.kill('SIGKILL');
  if (child.connected) child.disconnect();
  child.unref();
  closeSync(journalFd);
  if (deviceFd !== undefined) closeSync(deviceFd);
  handover?.close();
}
