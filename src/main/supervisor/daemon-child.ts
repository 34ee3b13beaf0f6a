/**
 * One daemon as its supervisor sees it: started with the descriptors of the mount, spoken to over a channel, ended.
 * Each daemon is a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which passes it on.
 * A killed daemon may stay unreaped for as long as a thread of it waits in the kernel (kernel fact 3): `kill` waits
 * KILL_WAIT_MS at most. Refuses to decide anything.
 */
import type { ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { asAwayMessage, asReadyMessage } from '../readiness.js';
import { mountSource } from '../mount-source.js';
import type { MountConfig } from '../config.js';
import type { RunAs } from '../run-as/run-as.js';
import { spawnDaemon, type DaemonDescriptors } from './standby.js';
import {
  asSuperviseMessage,
  DEVICE_FD,
  HANDOVER_FD,
  JOURNAL_FD,
  SPARE_FD,
  STACK_FD,
  type FromDaemon,
  type Life,
  type ToDaemon,
  type Waiting,
} from './api.js';
import { asErrand } from './errands.js';

/** How long a daemon that was killed may take to be gone before the next one starts. */
export const KILL_WAIT_MS = 1000;

export interface DaemonOptions extends DaemonDescriptors {
  readonly entry: string;
  readonly config: MountConfig;
  readonly life: Omit<Life, 'journalFd' | 'deviceFd' | 'handoverFd' | 'spareFd' | 'stackFd'>;
  /** As whom; absent: as this process. Not `config`'s, which a daemon may have changed. */
  readonly runAs?: RunAs;
  /** Started already, with these descriptors. */
  readonly started?: ChildProcess;
}

/** How a daemon ended. */
export interface DaemonEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

export class DaemonChild {
  readonly pid: number;
  /** Settles when the process is gone, or taken for gone. */
  readonly ended: Promise<DaemonEnd>;
  readonly #child: ChildProcess;
  #isGone = false;
  #end: (end: DaemonEnd) => void = () => undefined;

  constructor(options: DaemonOptions, onMessage: (message: FromDaemon) => void) {
    const { config, entry, runAs, deviceFd, handoverFd, spareFd } = options;
    const args = [mountSource(config), config.mountPoint];
    this.#child = options.started ?? spawnDaemon({ entry, args, descriptors: options, ...(runAs && { runAs }) });
    this.pid = this.#child.pid ?? 0;
    this.ended = new Promise((resolve) => {
      this.#end = (end) => {
        this.#isGone = true;
        this.stackSocket?.destroy();
        resolve(end);
      };
      // 'close' would wait for the last message too; it is 'exit' that says the end, and messages come before it unless
      // the process was killed.
      this.#child.once('exit', (code, signal) => setImmediate(() => this.#end({ code, signal })));
      this.#child.once('error', () => this.#end({ code: null, signal: null }));
    });
    this.stackSocket?.on('error', () => undefined);
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) this.#end({ code: exitCode, signal: signalCode });
    this.#child.on('message', (value) => {
      const message = asFromDaemon(value);
      if (message !== undefined) onMessage(message);
    });
    const life: Life = {
      ...options.life,
      journalFd: JOURNAL_FD,
      stackFd: STACK_FD,
      ...(deviceFd === undefined ? {} : { deviceFd: DEVICE_FD }),
      ...(handoverFd === undefined ? {} : { handoverFd: HANDOVER_FD }),
      ...(spareFd === undefined ? {} : { spareFd: SPARE_FD }),
    };
    this.send({ type: 'start', config, life });
  }

  /** Where its main thread says anything of it; undefined when this daemon has none. */
  get stackSocket(): Socket | undefined {
    const socket = (this.#child.stdio as readonly unknown[])[STACK_FD];
    return socket instanceof Socket ? socket : undefined;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  send(message: ToDaemon): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#isGone) this.#child.kill(signal);
  }

  /** SIGKILL; `ended` settles when it is gone, or has been given KILL_WAIT_MS to be. */
  kill(): void {
    this.signal('SIGKILL');
    const timer = setTimeout(() => this.takeForGone(), KILL_WAIT_MS);
    void this.ended.then(() => clearTimeout(timer));
  }

  /** It is dead, and nobody can reap it: `ended` settles. */
  takeForGone(): void {
    this.#end({ code: null, signal: 'SIGKILL' });
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }
}

function asFromDaemon(value: unknown): FromDaemon | undefined {
  const ready = asReadyMessage(value) ?? asAwayMessage(value);
  if (ready !== undefined) return ready;
  const errand = asErrand(value);
  if (errand !== undefined) return errand;
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, reason, exitCode, config } = value as Record<string, unknown>;
  if (type === 'ended' && typeof reason === 'string' && typeof exitCode === 'number') return { type, reason, exitCode };
  if (type === 'handed-over' || type === 'reloaded') return { type };
  const { waiting } = value as { waiting?: Partial<Waiting> | null };
  if (type === 'waiting' && Array.isArray(waiting?.requests)) return { type, waiting: waiting as Waiting };
  if (type === 'configured' && asSuperviseMessage({ type: 'supervise', daemonEntry: '', config }) !== undefined) {
    return { type, config: config as MountConfig };
  }
  return undefined;
}
