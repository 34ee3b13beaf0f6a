/**
 * The supervisor of one mount: holds the connection to the kernel (/dev/fuse) and the journal file, starts a daemon with
 * both, and when that one dies, another, which takes the session over where it was. It ends with its daemon, when that ends
 * in order, and with the mount, when the policy says that no daemon can serve it.
 * Refuses to look at the mount: its process must never wait for its own daemon (kernel fact 3, docs/KERNEL.md).
 *
 * Thread: the only one. Owns: the connection, the journal file, the daemon of the moment.
 * Order of an end without a daemon: detach, so that nobody new comes in, then close the connection, whereupon every call on
 * it fails instead of hanging (kernel fact 4).
 */
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MountConfig } from '../config.js';
import { detachOursNow } from '../detach.js';
import { EXIT_CRASH_LOOP, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_NOT_READY } from '../exit-codes.js';
import type { ReadyMessage } from '../readiness.js';
import { processStartTicks, removeRunFileOf } from '../run-file.js';
import type { Owner } from '../state-directory.js';
import type { FromDaemon, ToCommand } from './api.js';
import { CrashPolicy } from './crash-policy.js';
import { DaemonChild, type DaemonEnd } from './daemon-child.js';
import { openJournalFile } from './journal-file.js';
import { LIFE_NONE, readPage } from './page.js';
import { noHooks, type ServiceHooks } from './service-hooks.js';
import { supervisorLog } from './supervisor-log.js';

/** After the second signal, and before the first daemon was ready: how long it may take to end before it is killed. */
const HURRY_MS = 2500;

const stopSignals = ['SIGINT', 'SIGTERM'] as const;
/** Meant for the daemon, whatever it makes of them. */
const passedSignals = ['SIGHUP', 'SIGUSR2'] as const;

export interface SuperviseOptions {
  readonly config: MountConfig;
  readonly daemonEntry: string;
  readonly owner: Owner;
  /** A connection that somebody else has mounted (`/dev/fd/N`). */
  readonly adoptedFd?: number;
  /** The mount answers, or never will: called once. */
  readonly report: (message: ToCommand) => Promise<void> | void;
  /** Aborts when whoever waits for the mount is gone. */
  readonly abandoned?: AbortSignal;
  readonly hooks?: ServiceHooks;
}

/** Runs the mount to its end and returns the exit code. Never throws. */
export async function supervise(options: SuperviseOptions): Promise<number> {
  let supervisor: Supervisor;
  try {
    supervisor = await Supervisor.open(options);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    await options.report({ type: 'failed', message, exitCode: EXIT_FAILURE });
    return EXIT_FAILURE;
  }
  return supervisor.run();
}

class Supervisor {
  readonly #options: SuperviseOptions;
  readonly #hooks: ServiceHooks;
  readonly #log = supervisorLog();
  readonly #policy = new CrashPolicy();
  readonly #journalFd: number;
  #deviceFd: number | undefined;
  #generation = 0;
  #daemon: DaemonChild | undefined;
  /** Of the daemon of the moment. */
  #serves = false;
  #lastMessage: FromDaemon | undefined;
  /** Some daemon has served: the command has its answer. */
  #everReady = false;
  #stopSignal: NodeJS.Signals | undefined;
  #stops = 0;

  private constructor(options: SuperviseOptions, journalFd: number, deviceFd: number | undefined) {
    this.#options = options;
    this.#hooks = options.hooks ?? noHooks;
    this.#journalFd = journalFd;
    this.#deviceFd = deviceFd;
  }

  /** Throws when there is no place for the journal. */
  static open(options: SuperviseOptions): Promise<Supervisor> {
    const { owner, adoptedFd } = options;
    const journalFd = openJournalFile(owner);
    // An ordinary user's comes from fusermount3; one that cannot be opened is the daemon's to explain.
    const deviceFd = adoptedFd ?? (owner.uid === 0 ? tryOpenDevice() : undefined);
    return Promise.resolve(new Supervisor(options, journalFd, deviceFd));
  }

  async run(): Promise<number> {
    const cleanups = this.#listen();
    try {
      for (;;) {
        const end = await this.#runDaemon();
        const exitCode = await this.#afterDeath(end);
        if (exitCode !== undefined) return exitCode;
        this.#generation++;
      }
    } finally {
      for (const cleanup of cleanups) cleanup();
    }
  }

  #listen(): (() => void)[] {
    const on = (signal: NodeJS.Signals, handler: () => void): (() => void) => {
      process.on(signal, handler);
      return () => process.off(signal, handler);
    };
    const { abandoned } = this.#options;
    const onAbandoned = (): void => {
      if (!this.#everReady) this.#stop('SIGTERM');
    };
    abandoned?.addEventListener('abort', onAbandoned, { once: true });
    return [
      ...stopSignals.map((signal) => on(signal, () => this.#stop(signal))),
      ...passedSignals.map((signal) => on(signal, () => this.#serves && this.#daemon?.signal(signal))),
      () => abandoned?.removeEventListener('abort', onAbandoned),
    ];
  }

  /** One daemon, from its start to its end. */
  async #runDaemon(): Promise<DaemonEnd> {
    const { config, daemonEntry, owner, adoptedFd } = this.#options;
    this.#serves = false;
    this.#lastMessage = undefined;
    const needsHandover = this.#deviceFd === undefined && owner.uid !== 0;
    const handover = needsHandover ? await openHandover() : undefined;
    const daemon = new DaemonChild(
      {
        entry: daemonEntry,
        config,
        journalFd: this.#journalFd,
        ...(this.#deviceFd === undefined ? {} : { deviceFd: this.#deviceFd }),
        ...(handover ? { handoverFd: handover.theirs } : {}),
        life: {
          generation: this.#generation,
          takesOver: this.#generation > 0,
          isAdopted: adoptedFd !== undefined,
          refused: this.#policy.refused,
          supervisor: { pid: process.pid, startTicks: processStartTicks(process.pid) ?? 0 },
        },
      },
      (message) => this.#heard(message),
    );
    this.#daemon = daemon;
    void handover?.descriptor().then((fd) => (this.#deviceFd = fd));
    const end = await daemon.ended;
    this.#daemon = undefined;
    return end;
  }

  #heard(message: FromDaemon): void {
    switch (message.type) {
      case 'ready':
        this.#isReady(message);
        break;
      case 'failed':
      case 'ended':
        this.#lastMessage = message;
        if (message.type === 'ended') this.#hooks.stopping(message.reason);
        break;
      case 'handed-over':
      case 'upgrade':
        break;
    }
  }

  #isReady(message: Extract<ReadyMessage, { type: 'ready' }>): void {
    this.#serves = true;
    this.#log.open(message.log);
    if (this.#everReady) {
      this.#log.line(
        'info',
        { generation: this.#generation, daemon: this.#daemon?.pid },
        'another daemon serves the mount',
      );
      this.#hooks.status('serving');
      // It was told to end while nobody was there to do it in order.
      if (this.#stopSignal !== undefined) this.#daemon?.signal(this.#stopSignal);
      return;
    }
    this.#everReady = true;
    this.#hooks.ready('serving');
    void this.#options.report(message);
  }

  /** The exit code, or undefined for another daemon. */
  async #afterDeath(end: DaemonEnd): Promise<number | undefined> {
    const how = end.signal === null ? `exit code ${end.code ?? 'unknown'}` : `signal ${end.signal}`;
    const last = this.#lastMessage;
    if (last?.type === 'ended') return last.exitCode;
    if (!this.#everReady) return this.#failedStart(how);
    const { config } = this.#options;
    if (this.#stopSignal !== undefined && this.#serves) {
      this.#log.line(
        'error',
        { how },
        'the daemon died while it ended: what it had not uploaded is for `mount-s3x recover`',
      );
      this.#giveUp();
      return this.#stops > 1 ? EXIT_INTERRUPTED : EXIT_FAILURE;
    }
    const page = readPage(this.#journalFd);
    const isItsPage = page?.generation === this.#generation && page.state !== LIFE_NONE;
    const decision = this.#policy.died({
      nowMs: performance.now(),
      served: this.#serves,
      how: last?.type === 'failed' ? `${how}: ${last.message}` : how,
      reason: isItsPage ? page.reason : undefined,
      atHand: isItsPage ? page.atHand : undefined,
    });
    if (decision.type === 'end') {
      const fields = { mountPoint: config.mountPoint, exitCode: EXIT_CRASH_LOOP };
      this.#log.line('error', fields, `the mount ends: ${decision.reason}`);
      process.stderr.write(`mount-s3x: the mount at ${config.mountPoint} ends: ${decision.reason}\n`);
      this.#hooks.stopping(decision.reason);
      this.#giveUp();
      return EXIT_CRASH_LOOP;
    }
    const reason = isItsPage && page.reason !== undefined ? { reason: page.reason } : {};
    this.#log.line('error', { how, generation: this.#generation, ...reason }, 'the daemon died, another takes over');
    if (decision.refuses) {
      this.#log.line('error', { ...decision.refuses }, 'a request that killed two daemons is answered EIO from now on');
    }
    this.#hooks.status('a daemon died, another takes over');
    if (decision.waitMs > 0) await sleep(decision.waitMs);
    return undefined;
  }

  /** The first daemon ended before it was ready. */
  async #failedStart(how: string): Promise<number> {
    const { report } = this.#options;
    const last = this.#lastMessage;
    this.#giveUp();
    if (last?.type === 'failed') {
      await report(last);
      return last.exitCode;
    }
    if (this.#stopSignal !== undefined) {
      const message = `interrupted (${this.#stopSignal}) before the mount was ready; nothing is left mounted`;
      await report({ type: 'failed', message, exitCode: EXIT_INTERRUPTED });
      return EXIT_INTERRUPTED;
    }
    await report({ type: 'died', how });
    return EXIT_NOT_READY;
  }

  /** Takes the mount away without a daemon. */
  #giveUp(): void {
    const { config, owner } = this.#options;
    detachOursNow(config.mountPoint, owner.uid);
    if (this.#deviceFd !== undefined) closeSync(this.#deviceFd);
    this.#deviceFd = undefined;
    removeRunFileOf(config.mountPoint, owner);
  }

  /** The first signal ends the mount in order, the second does not wait. */
  #stop(signal: NodeJS.Signals): void {
    this.#stops++;
    this.#stopSignal ??= signal;
    if (this.#stops === 1) this.#hooks.stopping(signal);
    const daemon = this.#daemon;
    // One that takes over is told when it serves.
    if (this.#serves || !this.#everReady || this.#stops > 1) daemon?.signal(signal);
    if (this.#everReady && this.#stops === 1) return;
    setTimeout(() => daemon?.signal('SIGKILL'), HURRY_MS).unref();
  }
}

function tryOpenDevice(): number | undefined {
  try {
    return openSync('/dev/fuse', 'r+');
  } catch {
    return undefined;
  }
}

interface Handover {
  /** For the daemon. */
  readonly theirs: number;
  /** What it sends; undefined when it ended before. */
  descriptor(): Promise<number | undefined>;
}

/** Brings native code into this process, so only where there is no other way. */
async function openHandover(): Promise<Handover> {
  const { receiveDescriptor, socketPair } = await import('../../fuse/libc.js');
  const [ours, theirs] = socketPair();
  return {
    theirs,
    descriptor: async () => {
      closeSync(theirs);
      const fd = await receiveDescriptor(ours);
      closeSync(ours);
      return fd;
    },
  };
}
