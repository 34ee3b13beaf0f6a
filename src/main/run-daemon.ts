/**
 * Runs one mount in this process, from start to clean end: the same for foreground and background, which differ only in
 * where the log goes and who is told that the mount answers. Signals: the first stops the mount in order, the second
 * does not wait. Refuses to know what a daemon is made of: `startDaemon` is given.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../base/log.js';
import type { StartPatience, StoreAway } from '../engine/store/wait-for-store.js';
import type { MountConfig } from './config.js';
import { CommandError } from './command-error.js';
import { openControlSocket, SOCKET_PATH_BYTES_MAX, type ControlHandlers } from './control-socket.js';
import { detachOursNow } from './detach.js';
import { EXIT_INTERRUPTED } from './exit-codes.js';
import { endProcess, installFatalHandlers } from './fatal.js';
import { logCommands } from './log-commands.js';
import { captureStrayOutput, nextLevel, type Logging } from './logging.js';
import { endsWithTerminal } from './terminal.js';
import { mountSource } from './mount-source.js';
import { registerEnvironmentSecrets } from './redact.js';
import { aloneLife, type LiveLife, type Waiting } from './supervisor/api.js';
import { HEARTBEAT_MS, LIFE_ENDING, LIFE_SERVING } from './supervisor/page.js';
import type { LiveParts, Reread } from './reload/live-settings.js';
import { SettingsService } from './reload/settings-service.js';
import { writeRunFile } from './run-file.js';
import { lastWordsFile, makePrivateDirectory, mountId, runtimeCandidates, type Owner } from './state-directory.js';
import { packageVersion } from './version.js';

/** A mount that answers. Structurally src/main/daemon's RunningDaemon. */
export interface DaemonHandle {
  /** What other processes of the user may ask for. */
  readonly commands?: ControlHandlers;
  /** Settles when the mount is gone and every thread has ended. Never rejects. */
  readonly done: Promise<{ readonly reason: string; readonly exitCode: number }>;
  /** What a reload can change while it runs; absent: nothing. */
  readonly live?: LiveParts;
  /** Unmounts and ends; `done` then settles. Safe to call twice. */
  stop(reason: string): Promise<void>;
  /** Puts on disk what is only in memory: another daemon takes over when it resolves. Never rejects. */
  handOver?(): Promise<void>;
  /** How long the kernel has waited for its oldest answer, in ms; 0 for not at all. */
  oldestRequestMs?(): number;
  /** What has not been answered. Never rejects. */
  waiting?(): Promise<Waiting>;
}

/** Resolves once the mount answers; throws StoreError, MountError or another error with nothing left mounted. */
export type StartDaemon = (
  config: MountConfig,
  deps: { readonly log: Log; readonly life: LiveLife; readonly patience: StartPatience },
) => Promise<DaemonHandle>;

export interface RunDeps {
  readonly logging: Logging;
  readonly startDaemon: StartDaemon;
  readonly owner: Owner;
  /** The mount answers. */
  readonly onReady: () => Promise<void> | void;
  /** The store is away, and the start waits for it. */
  readonly onAway?: (away: StoreAway) => void;
  /** The mount is gone, everything is done; the process is about to end. */
  readonly onEnded?: (reason: string, exitCode: number) => Promise<void>;
  /** Aborts when the process shall end although no signal came: the command that started us is gone. */
  readonly abandoned?: AbortSignal;
  /** Where this daemon stands among those of its mount; the only one by default. */
  readonly life?: LiveLife;
  /** Called once the mount answers, with what a supervisor may ask of it. */
  readonly onServing?: (served: Pick<DaemonHandle, 'handOver' | 'waiting'>) => void;
  /** Aborts when the supervisor has died: nobody would take over after us, so the mount ends. */
  readonly orphaned?: AbortSignal;
  /** Reads the places of the settings again; absent: they cannot be. */
  readonly reread?: Reread;
  /** A signal to reload was followed. */
  readonly onReloaded?: () => void;
  /** A reload changed what is in force. */
  readonly onConfig?: (config: MountConfig) => void;
}

/** How long a start that was told to stop may take to notice before the process ends anyway. */
const STOP_DURING_START_MS = 3000;

const stopSignals = ['SIGINT', 'SIGTERM'] as const;

/** Runs the mount until it ends and returns the exit code. Throws what startDaemon throws. */
export async function runDaemon(config: MountConfig, deps: RunDeps): Promise<number> {
  const { logging, owner, life = aloneLife } = deps;
  const { log } = logging;
  // With --user this process may not: its supervisor, or the supervisor's guard, does.
  const detach = (): void => {
    if (config.runAs === undefined) detachOursNow(config.mountPoint, owner.uid);
  };
  registerEnvironmentSecrets(owner.env);
  captureStrayOutput(log);
  const removeFatalHandlers = installFatalHandlers(log, (reason) => {
    life.page?.fatal(reason);
    if (config.autoUnmount && life.supervisor === undefined) detach();
  });

  let daemon: DaemonHandle | undefined;
  let stopReason: string | undefined;
  const stopping = new AbortController();
  const stop = (reason: string): void => {
    if (stopReason !== undefined) {
      log.warn({ reason }, 'told to end a second time: not waiting');
      detach();
      endProcess(EXIT_INTERRUPTED);
      return;
    }
    stopReason = reason;
    stopping.abort();
    life.page?.setState(LIFE_ENDING);
    log.info({ reason }, 'ending');
    if (daemon !== undefined) {
      daemon.stop(reason).catch((error: unknown) => log.error({ err: error }, 'the mount did not end in order'));
      return;
    }
    setTimeout(() => {
      if (daemon !== undefined) return;
      detach();
      endProcess(EXIT_INTERRUPTED);
    }, STOP_DURING_START_MS).unref();
  };
  let settings: SettingsService | undefined;
  const onHangUp = (): void => {
    if (life.supervisor === undefined && endsWithTerminal(config)) stop('SIGHUP');
    else void (settings?.reloadNow('SIGHUP') ?? Promise.resolve()).then(() => deps.onReloaded?.());
  };
  const handlers = [
    ...stopSignals.map((signal) => [signal, (): void => stop(signal)] as const),
    ['SIGHUP', onHangUp] as const,
  ].map(([signal, handler]) => {
    process.on(signal, handler);
    return () => process.off(signal, handler);
  });
  // At once: the next heartbeat may be its successor's.
  const keepLevel = (level: string): void => life.page?.setLevel(level);
  const onLevel = (): void => {
    const level = nextLevel(logging.level);
    logging.setLevel(level);
    keepLevel(level);
    log.info({ level }, `the log level is ${level} now (SIGUSR2)`);
  };
  // abort() of V8 or a library never gets here: it ends the process from within the signal.
  const onAbort = (): void => {
    life.page?.killedFromOutside();
    process.off('SIGABRT', onAbort);
    process.kill(process.pid, 'SIGABRT');
  };
  process.on('SIGABRT', onAbort);
  handlers.push(() => process.off('SIGABRT', onAbort));
  process.on('SIGUSR2', onLevel);
  handlers.push(() => process.off('SIGUSR2', onLevel));
  const onAbandoned = (): void => stop('the command that started this process is gone');
  deps.abandoned?.addEventListener('abort', onAbandoned, { once: true });
  const removeSupervisorSocket = (): void => {
    // Nobody else removes it, and once the mount is gone the name may be another's.
    try {
      if (life.supervisor?.socket !== undefined) rmSync(life.supervisor.socket, { force: true });
    } catch {
      // In a directory of root's (--user): gc finds it.
    }
  };
  const onOrphaned = (): void => {
    log.error({ mountPoint: config.mountPoint }, 'the supervisor has died: detaching the mount and ending');
    removeSupervisorSocket();
    detach();
    if (stopReason === undefined) stop('the supervisor has died');
  };
  deps.orphaned?.addEventListener('abort', onOrphaned, { once: true });
  const level = life.takesOver ? life.levelBefore : undefined;
  if (level !== undefined) logging.setLevel(level);
  const beat = (): void => {
    life.page?.setLevel(logging.level);
    life.page?.beat(daemon?.oldestRequestMs?.() ?? 0);
  };
  beat();
  const beats = life.page && setInterval(beat, HEARTBEAT_MS).unref();

  let removeRunFile = (): void => undefined;
  let closeControl = (): Promise<void> => Promise.resolve();
  try {
    const { generation } = life;
    log.info(
      { version: packageVersion(), pid: process.pid, generation, source: mountSource(config), config },
      'starting',
    );
    const patience = { signal: stopping.signal, onAway: deps.onAway };
    daemon = await deps.startDaemon(config, { log, life, patience }).catch((error: unknown) => {
      throw stopReason === undefined ? error : interrupted(stopReason);
    });
    if (stopReason !== undefined) {
      await daemon.stop(stopReason);
      await daemon.done;
      throw interrupted(stopReason);
    }
    settings = new SettingsService(config, { ...deps, live: daemon.live });
    const commands = daemon.commands && {
      ...daemon.commands,
      ...settings.commands,
      ...logCommands(logging, keepLevel),
    };
    const control = await listen(config.mountPoint, commands, deps);
    closeControl = control.close;
    removeRunFile = writeRunFile(
      {
        ...(control.path !== undefined && { socket: control.path }),
        mountPoint: config.mountPoint,
        source: mountSource(config),
        log: logging.description,
        version: packageVersion(),
        ...(life.supervisor && { supervisor: life.supervisor }),
      },
      owner,
    );
    life.page?.setState(LIFE_SERVING);
    const done = life.takesOver ? 'took the mount over' : 'mounted';
    log.info({ mountPoint: config.mountPoint, source: mountSource(config) }, done);
    deps.onServing?.(daemon);
    await deps.onReady();
    deps.abandoned?.removeEventListener('abort', onAbandoned);
    const { reason, exitCode } = await daemon.done;
    log.info({ reason, exitCode }, 'ended');
    await deps.onEnded?.(reason, exitCode);
    for (const directory of runtimeCandidates(owner)) {
      rmSync(lastWordsFile(directory, config.mountPoint), { force: true });
    }
    return exitCode;
  } finally {
    removeRunFile();
    await closeControl();
    clearInterval(beats);
    deps.orphaned?.removeEventListener('abort', onOrphaned);
    deps.abandoned?.removeEventListener('abort', onAbandoned);
    for (const remove of handlers) remove();
    removeFatalHandlers();
  }
}

function interrupted(reason: string): CommandError {
  return new CommandError(
    EXIT_INTERRUPTED,
    `interrupted (${reason}) before the mount was ready; nothing is left mounted`,
  );
}

/** Opens the mount's socket where there is a place for it; a mount without one only cannot be asked. */
async function listen(
  mountPoint: string,
  commands: ControlHandlers | undefined,
  { logging, owner }: RunDeps,
): Promise<{ readonly path?: string; readonly close: () => Promise<void> }> {
  const nothing = { close: () => Promise.resolve() };
  const directory = makePrivateDirectory(runtimeCandidates(owner), owner.uid);
  if (commands === undefined || directory === undefined) return nothing;
  const path = join(directory, `${mountId(mountPoint)}.sock`);
  try {
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) throw new Error(`${path} is too long for a socket`);
    return { path, close: await openControlSocket(path, commands, logging.log) };
  } catch (error) {
    logging.log.warn({ err: error, path }, 'no control socket: `mount-s3x rm -r` cannot ask this mount');
    return nothing;
  }
}
