/**
 * The supervisor of one mount: holds the connection to the kernel (/dev/fuse) and the journal file, starts a daemon with
 * both, and when that one dies, hangs or is to be of another version, another, which takes the session over where it was. It
 * ends with its daemon, when that ends in order, and with the mount, when the policy says that no daemon can serve it.
 * Refuses to look at the mount: its process must never wait for its own daemon (kernel fact 3, docs/KERNEL.md).
 *
 * Thread: the only one. Owns: the connection, the journal file, the daemon of the moment.
 * Order of an end without a daemon: detach, so that nobody new comes in, then close the connection, whereupon every call on
 * it fails instead of hanging (kernel fact 4).
 */
import { closeSync, existsSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { processStartTicks } from '../../base/process-identity.js';
import { messageOf } from '../../base/thrown.js';
import type { MountConfig } from '../config.js';
import { asUser, userEnvironment } from '../run-as/run-as.js';
import { endsWithTerminal } from '../terminal.js';
import { detachOursNow } from '../detach.js';
import { EXIT_CRASH_LOOP, EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_NOT_READY } from '../exit-codes.js';
import { giveBackProgramText } from '../memory/program-text.js';
import type { AwayMessage, ReadyMessage } from '../readiness.js';
import { removeRunFileOf } from '../run-file.js';
import { lastWordsFile, runtimeCandidates, type Owner } from '../state-directory.js';
import type { FromDaemon, SupervisorName, ToCommand, UpgradeResult, Waiting } from './api.js';
import { CrashPolicy } from './crash-policy.js';
import { DaemonChild, type DaemonEnd } from './daemon-child.js';
import { reportHang } from './hang-report.js';
import { HangWatch, TICK_MS } from './hang-watch.js';
import { openHandover, tryOpenDevice } from './connection.js';
import { openJournalFile } from './journal-file.js';
import { PAGE_BYTES, readPage, type PageView } from './page.js';
import type { Standby } from './standby.js';
import { processState } from './process-state.js';
import { RootPart } from './root-part.js';
import { noHooks, type ServiceHooks } from './service-hooks.js';
import { askStack } from './stack-question.js';
import { listenForCommands } from './supervisor-socket.js';
import { supervisorLog, type SupervisorLog } from './supervisor-log.js';
import { Upgrade } from './upgrade.js';

/** After the second signal, and before the first daemon was ready: how long it may take to end before it is killed. */
const HURRY_MS = 2500;
/** What a daemon may take to take over; a store that does not answer is asked for less. */
const TAKE_OVER_MS_MAX = 60_000;

/** A reload waits for files and a credentials' source. One that takes longer goes on, and is not waited for. */
const RELOAD_MS_MAX = 15_000;

/** After a daemon has come up there is nothing to do: what that took is given back. */
const REST_MS = 3000;

const stopSignals = ['SIGINT', 'SIGTERM'] as const;
/** Meant for the daemon, whatever it makes of them. */
const passedSignals = ['SIGHUP', 'SIGUSR2'] as const;
/** Ways to die that are the daemon's own doing, as an uncaught error is (V8 without memory aborts); see wasSignalled. */
const ownSignals: ReadonlySet<string> = new Set([
  'SIGABRT',
  'SIGSEGV',
  'SIGBUS',
  'SIGILL',
  'SIGFPE',
  'SIGTRAP',
  'SIGSYS',
]);

export interface SuperviseOptions {
  readonly config: MountConfig;
  readonly daemonEntry: string;
  readonly owner: Owner;
  /** A connection that somebody else has mounted (`/dev/fd/N`). */
  readonly adoptedFd?: number;
  /** The mount answers, or never will: called once. */
  readonly report: (message: ToCommand) => Promise<void> | void;
  /** Before that: the store is away, and waited for. */
  readonly onAway?: (message: AwayMessage) => void;
  /** Aborts when whoever waits for the mount is gone. */
  readonly abandoned?: AbortSignal;
  readonly hooks?: ServiceHooks;
  /** The first daemon's process, with what it holds, where it was started ahead. */
  readonly standby?: Standby;
}

/** Runs the mount to its end and returns the exit code. Never throws. */
export async function supervise(options: SuperviseOptions): Promise<number> {
  let supervisor: Supervisor;
  try {
    supervisor = new Supervisor(options, options.standby?.journalFd ?? openJournalFile(options.owner));
  } catch (error) {
    const message = messageOf(error);
    await options.report({ type: 'failed', message, exitCode: EXIT_FAILURE });
    return EXIT_FAILURE;
  }
  return supervisor.run();
}

class Supervisor {
  readonly #options: SuperviseOptions;
  readonly #hooks: ServiceHooks;
  readonly #log: SupervisorLog;
  readonly #policy = new CrashPolicy();
  /** In force: a reload changes it. */
  #config: MountConfig;
  readonly #journalFd: number;
  readonly #pageBuffer = Buffer.alloc(PAGE_BYTES);
  #deviceFd: number | undefined;
  /** What the daemons may not do, being another user's; undefined: they may. */
  readonly #rootPart: RootPart | undefined;
  /** Whose the daemons and their files are. */
  readonly #user: Owner;
  #name: SupervisorName = { pid: process.pid, startTicks: processStartTicks(process.pid) ?? 0 };
  #entry: string;
  #generation = 0;
  #daemon: DaemonChild | undefined;
  /** Until the first daemon is of it. */
  #standby: Standby | undefined;
  /** Of the daemon of the moment. */
  #serves = false;
  #version = 'unknown';
  #lastMessage: FromDaemon | undefined;
  /** Why we killed it. */
  #killedBecause: string | undefined;
  /** Some daemon has served: the command has its answer. */
  #everReady = false;
  #reload: NodeJS.Timeout | undefined;
  #onWaiting: (waiting: Waiting) => void = () => undefined;
  #upgrade: Upgrade | undefined;
  #stopSignal: NodeJS.Signals | undefined;
  #stops = 0;

  constructor(options: SuperviseOptions, journalFd: number) {
    this.#options = options;
    this.#hooks = options.hooks ?? noHooks;
    this.#config = options.config;
    this.#journalFd = journalFd;
    this.#entry = options.daemonEntry;
    this.#standby = options.standby;
    // An ordinary user's comes from fusermount3; one that cannot be opened is the daemon's to explain.
    this.#deviceFd = options.standby
      ? options.standby.deviceFd
      : (options.adoptedFd ?? (options.owner.uid === 0 ? tryOpenDevice() : undefined));
    const { owner, adoptedFd } = options;
    const { runAs } = options.config;
    this.#user = runAs === undefined ? owner : { uid: runAs.uid, env: userEnvironment(owner.env, runAs) };
    this.#log = supervisorLog((work) => asUser(runAs, work));
    if (runAs !== undefined) {
      this.#rootPart = new RootPart(options.config, runAs, adoptedFd === undefined ? this.#deviceFd : undefined);
    }
  }

  async run(): Promise<number> {
    const cleanups = this.#listen();
    const rootPart = this.#rootPart;
    const { config } = this.#options;
    const commands = await listenForCommands(
      { config, owner: this.#user },
      {
        upgrade: (daemonEntry) => this.#startUpgrade(daemonEntry),
        ...(rootPart && { unmount: (lazy) => rootPart.unmount(lazy) }),
      },
    );
    if (commands) this.#name = { ...this.#name, socket: commands.path, ...(rootPart && { unmounts: true }) };
    try {
      for (;;) {
        const end = await this.#runDaemon();
        const exitCode = await this.#afterDeath(end);
        if (exitCode !== undefined) return exitCode;
        this.#generation++;
      }
    } finally {
      this.#upgrade?.failed('the mount has ended');
      await commands?.close();
      await this.#rootPart?.close();
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
      ...passedSignals.map((signal) =>
        on(signal, () => {
          if (signal === 'SIGHUP' && endsWithTerminal(this.#config)) this.#stop(signal);
          else if (this.#serves) {
            if (signal === 'SIGHUP') this.#isReloading();
            this.#daemon?.signal(signal);
          }
        }),
      ),
      () => abandoned?.removeEventListener('abort', onAbandoned),
    ];
  }

  /** The service manager hears the end of a reload in any case: from the daemon, from its successor, or late from here. */
  #isReloading(): void {
    if (this.#reload === undefined) this.#hooks.reloading();
    clearTimeout(this.#reload);
    this.#reload = setTimeout(() => this.#isReloaded(), RELOAD_MS_MAX).unref();
  }

  #isReloaded(): void {
    if (this.#reload === undefined) return;
    clearTimeout(this.#reload);
    this.#reload = undefined;
    this.#hooks.reloaded();
  }

  /** One daemon, from its start to its end. */
  async #runDaemon(): Promise<DaemonEnd> {
    const { owner, adoptedFd } = this.#options;
    const config = this.#config;
    const { runAs } = this.#options.config;
    this.#serves = false;
    this.#lastMessage = undefined;
    this.#killedBecause = undefined;
    const standby = this.#standby;
    this.#standby = undefined;
    const needsHandover = this.#deviceFd === undefined && owner.uid !== 0;
    const handover = needsHandover ? (standby?.handover ?? (await openHandover())) : undefined;
    const spareFd = runAs === undefined ? undefined : tryOpenDevice();
    const daemon = new DaemonChild(
      {
        entry: this.#entry,
        ...(standby && { started: standby.child }),
        config,
        journalFd: this.#journalFd,
        ...(this.#deviceFd === undefined ? {} : { deviceFd: this.#deviceFd }),
        ...(handover ? { handoverFd: handover.theirs } : {}),
        ...(spareFd === undefined ? {} : { spareFd }),
        ...(runAs && { runAs }),
        life: {
          generation: this.#generation,
          takesOver: this.#generation > 0,
          isAdopted: adoptedFd !== undefined,
          refused: this.#policy.refused,
          ...(this.#policy.trial ? { trial: this.#policy.trial } : {}),
          supervisor: this.#name,
        },
      },
      (message) => this.#heard(message, daemon),
    );
    this.#daemon = daemon;
    // The daemon's copy alone keeps a clone of the connection alive.
    if (spareFd !== undefined) closeSync(spareFd);
    const handedOver = handover?.descriptor().then((fd) => (this.#deviceFd = fd));
    const stopWatching = this.#watch(daemon);
    const end = await daemon.ended;
    stopWatching();
    await handedOver;
    this.#daemon = undefined;
    return end;
  }

  /** Looks at the daemon every TICK_MS: its heartbeat, its oldest request, its process. */
  #watch(daemon: DaemonChild): () => void {
    const { watchdogMs } = this.#options.config;
    const watch = new HangWatch(watchdogMs ?? Infinity);
    const startedMs = performance.now();
    const look = (): void => {
      const page = this.#page();
      const nowMs = performance.now();
      const verdict = watch.look({
        nowMs,
        process: processState(daemon.pid),
        beat: page?.beat ?? 0,
        oldestRequestMs: page?.oldestRequestMs ?? 0,
      });
      if (verdict.type === 'unreaped') daemon.takeForGone();
      else if (verdict.type === 'hangs') void this.#endHanging(daemon, verdict.reason);
      else if (verdict.type === 'well') this.#hooks.alive();
      if (this.#generation > 0 && !this.#serves && nowMs - startedMs > TAKE_OVER_MS_MAX) {
        void this.#endHanging(daemon, `it did not take over within ${TAKE_OVER_MS_MAX / 1000} s`);
      }
    };
    const timer = setInterval(look, TICK_MS);
    return () => clearInterval(timer);
  }

  /** What the daemon of the moment has written; undefined before it begins. */
  #page(): PageView | undefined {
    const page = readPage(this.#journalFd, this.#pageBuffer);
    return page?.generation === this.#generation && page.pid !== 0 ? page : undefined;
  }

  /** Reports it, for which it may be asked for some seconds, and kills it. */
  async #endHanging(daemon: DaemonChild, reason: string): Promise<void> {
    if (this.#killedBecause !== undefined) return;
    this.#killedBecause = reason;
    const { config } = this.#options;
    const ask = {
      stack: () => askStack(daemon.stackSocket),
      waiting: async () => {
        if (!this.#serves) return undefined;
        daemon.send({ type: 'tell-waiting' });
        return new Promise<Waiting>((resolve) => (this.#onWaiting = resolve));
      },
    };
    const report = await reportHang(
      { pid: daemon.pid, reason, page: this.#page(), config, owner: this.#user, ask },
      (write) => asUser(config.runAs, write),
    );
    this.#log.line(
      'error',
      { daemon: daemon.pid, reason, ...report },
      'the daemon hangs: it is killed, another takes over',
    );
    daemon.kill();
  }

  #heard(message: FromDaemon, from: DaemonChild): void {
    switch (message.type) {
      case 'ready':
        this.#isReady(message);
        break;
      case 'failed':
      case 'ended':
        this.#lastMessage = message;
        if (message.type === 'ended') this.#hooks.stopping(message.reason);
        break;
      case 'store-away':
        this.#hooks.status(message.message);
        this.#options.onAway?.(message);
        break;
      case 'configured':
        this.#config = message.config;
        break;
      case 'reloaded':
        this.#isReloaded();
        break;
      case 'waiting':
        this.#onWaiting(message.waiting);
        break;
      case 'handed-over':
        this.#upgrade?.handedOver();
        break;
      case 'errand':
        void this.#rootPart?.answer(message).then((answer) => from.send(answer));
        break;
    }
  }

  #isReady(message: Extract<ReadyMessage, { type: 'ready' }>): void {
    this.#serves = true;
    this.#version = message.version ?? 'unknown';
    this.#log.open(message.log);
    setTimeout(giveBackProgramText, REST_MS).unref();
    if (this.#everReady) {
      const fields = { generation: this.#generation, daemon: this.#daemon?.pid, version: this.#version };
      this.#log.line('info', fields, 'another daemon serves the mount');
      if (this.#upgrade?.succeeded(this.#version, this.#daemon?.pid ?? 0)) this.#upgrade = undefined;
      if (this.#reload === undefined) this.#hooks.reloaded();
      else this.#isReloaded();
      this.#hooks.status('serving');
      // It was told to end while nobody was there to do it in order.
      if (this.#stopSignal !== undefined) this.#daemon?.signal(this.#stopSignal);
      return;
    }
    this.#everReady = true;
    void this.#rootPart?.tune().then((trouble) => {
      if (trouble !== undefined) this.#log.line('warn', { trouble }, 'read_ahead_kb could not be raised');
    });
    this.#hooks.ready('serving');
    void this.#options.report(message);
  }

  /** The exit code, or undefined for another daemon. */
  async #afterDeath(end: DaemonEnd): Promise<number | undefined> {
    const how = end.signal === null ? `exit code ${end.code ?? 'unknown'}` : `signal ${end.signal}`;
    const last = this.#lastMessage;
    if (last?.type === 'ended') {
      this.#removeLastWords();
      return last.exitCode;
    }
    if (!this.#everReady) return this.#failedStart(how);
    if (this.#stopSignal !== undefined && this.#serves) {
      this.#log.line(
        'error',
        { how },
        'the daemon died while it ended: what it had not uploaded is for `mount-s3x recover`',
      );
      this.#giveUp();
      return this.#stops > 1 ? EXIT_INTERRUPTED : EXIT_FAILURE;
    }
    const said = last?.type === 'failed' ? `${how}: ${last.message}` : how;
    if (this.#upgrade !== undefined) {
      this.#entry = this.#upgrade.nextEntry(said);
      if (this.#upgrade.isOver) this.#upgrade = undefined;
      return undefined;
    }
    return this.#afterCrash(said, end.signal ?? '');
  }

  async #afterCrash(how: string, signal: string): Promise<number | undefined> {
    const { config } = this.#options;
    const page = this.#page();
    const isOwn = ownSignals.has(signal) && page?.wasSignalled !== true;
    const reason = this.#killedBecause ?? page?.reason ?? (isOwn ? how : undefined);
    const decision = this.#policy.died({
      nowMs: performance.now(),
      served: this.#serves,
      how,
      wasKilled: reason === undefined && signal !== '',
      reason,
      atHand: page?.atHand,
      inService: page?.inService ?? [],
    });
    if (decision.type === 'end') {
      const fields = { mountPoint: config.mountPoint, exitCode: EXIT_CRASH_LOOP };
      this.#log.line('error', fields, `the mount ends: ${decision.reason}`);
      process.stderr.write(`mount-s3x: the mount at ${config.mountPoint} ends: ${decision.reason}\n`);
      this.#hooks.stopping(decision.reason);
      this.#giveUp();
      return EXIT_CRASH_LOOP;
    }
    const because = reason === undefined ? {} : { reason };
    // Why it died, where that was its own doing, stands in the log as the error that it is.
    this.#log.line('warn', { how, generation: this.#generation, ...because }, 'the daemon died, another takes over');
    if (decision.refuses) {
      this.#log.line('error', { ...decision.refuses }, 'a request that daemons died of is answered EIO from now on');
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
    await report({ type: 'died', how: this.#killedBecause === undefined ? how : `${how}, ${this.#killedBecause}` });
    return EXIT_NOT_READY;
  }

  /** A daemon that is another user's cannot: they lie where the command that started us put them. */
  #removeLastWords(): void {
    const { config, owner } = this.#options;
    if (config.runAs === undefined) return;
    for (const directory of runtimeCandidates(owner)) {
      rmSync(lastWordsFile(directory, config.mountPoint), { force: true });
    }
  }

  /** Takes the mount away without a daemon. */
  #giveUp(): void {
    const { config, owner } = this.#options;
    detachOursNow(config.mountPoint, owner.uid);
    if (this.#deviceFd !== undefined) closeSync(this.#deviceFd);
    this.#deviceFd = undefined;
    asUser(config.runAs, () => removeRunFileOf(config.mountPoint, this.#user));
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

  /** A daemon of another version takes over. Rejects with the reason when it does not. */
  async #startUpgrade(daemonEntry: string): Promise<UpgradeResult> {
    const daemon = this.#daemon;
    if (!daemon || !this.#serves || this.#stopSignal !== undefined || this.#upgrade !== undefined) {
      throw new Error('the mount is ending, or another daemon is taking over just now: try again in a while');
    }
    if (!asUser(this.#options.config.runAs, () => existsSync(daemonEntry)))
      throw new Error(`there is no ${daemonEntry}`);
    const upgrade = new Upgrade({ from: this.#entry, to: daemonEntry, fromVersion: this.#version });
    this.#upgrade = upgrade;
    this.#log.line('info', { from: this.#entry, to: daemonEntry }, 'another version takes over');
    this.#hooks.reloading();
    daemon.send({ type: 'hand-over' });
    await upgrade.untilHandedOver(daemon.ended);
    daemon.kill();
    return upgrade.result;
  }
}
