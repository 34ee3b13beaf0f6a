/**
 * What the service manager hears of a mount (Type=notify): when it answers, what it does in a line, that it lives, that it
 * reloads, that it ends and still uploads. Called by the supervisor, whose pid the unit knows as the main process; it keeps
 * its pid while daemons come and go, so a crash that is survived is a status line and no restart of the unit.
 *
 * Life signs: `alive` is called while the daemon's main thread beats, and goes to the manager as WATCHDOG=1 four times
 * in each WATCHDOG_USEC; one that hangs is silent, and the manager acts when our own watchdog did not.
 * An end: TimeoutStopSec is moved on (EXTEND_TIMEOUT_USEC) while uploads drain, for as long as --shutdown-timeout lets
 * them and STOP_SLACK_MS more, then no longer: a hung end is the manager's to finish.
 * Refuses to act without NOTIFY_SOCKET, and to leave its variables to child processes, which are not the service.
 */
import { openNotifyChannel, type NotifyChannel } from './notify-channel.js';

/** What the unit's timeout is moved on by, each time; sent every third of it. */
const EXTEND_MS = 15_000;
/** Beyond --shutdown-timeout: unmounting and the threads' end. */
const STOP_SLACK_MS = 15_000;

export interface ServiceManagerOptions {
  /** Longest that uploads may take at the end. */
  readonly shutdownTimeoutMs: number;
}

export interface ServiceManagerDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly pid: number;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly open?: (socketName: string) => NotifyChannel;
}

/** Tells the service manager, one call a moment. Each returns at once and never throws. */
export class ServiceManager {
  readonly #channel: NotifyChannel;
  readonly #deps: ServiceManagerDeps;
  readonly #watchdogEveryMs: number | undefined;
  readonly #stopMsMax: number;
  #watchdogAtMs = -Infinity;
  #stopsAtMs: number | undefined;
  #extendedAtMs = -Infinity;

  private constructor(
    channel: NotifyChannel,
    watchdogMs: number | undefined,
    options: ServiceManagerOptions,
    deps: ServiceManagerDeps,
  ) {
    this.#channel = channel;
    this.#deps = deps;
    this.#watchdogEveryMs = watchdogMs === undefined ? undefined : watchdogMs / 4;
    this.#stopMsMax = options.shutdownTimeoutMs + STOP_SLACK_MS;
  }

  /** Undefined when no service manager started this process. Takes its variables out of `env`. */
  static open(options: ServiceManagerOptions, deps: ServiceManagerDeps): ServiceManager | undefined {
    const { env, pid } = deps;
    const socketName = env['NOTIFY_SOCKET'];
    const watchdogMs = watchdogOf(env, pid);
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) Reflect.deleteProperty(env, name);
    if (socketName === undefined || socketName === '') return undefined;
    const open = deps.open ?? openNotifyChannel;
    return new ServiceManager(open(socketName), watchdogMs, options, deps);
  }

  /** The mount answers for the first time. */
  ready(status: string): void {
    // MAINPID, because the process that the manager started may have started us.
    this.#channel.send({ READY: 1, MAINPID: this.#deps.pid, STATUS: status });
    this.alive();
  }

  status(text: string): void {
    this.#channel.send({ STATUS: text });
  }

  alive(): void {
    const nowMs = this.#deps.nowMs();
    if (this.#watchdogEveryMs !== undefined && nowMs - this.#watchdogAtMs >= this.#watchdogEveryMs) {
      this.#watchdogAtMs = nowMs;
      this.#channel.send({ WATCHDOG: 1 });
    }
    this.#extend(nowMs);
  }

  reloading(): void {
    // The manager wants CLOCK_MONOTONIC in microseconds (Type=notify-reload, systemd 253).
    const [seconds, nanoseconds] = process.hrtime();
    this.#channel.send({ RELOADING: 1, MONOTONIC_USEC: seconds * 1e6 + Math.floor(nanoseconds / 1000) });
  }

  reloaded(): void {
    this.#channel.send({ READY: 1 });
  }

  /** The mount is ending. Said once; later calls change the line only. */
  stopping(reason: string): void {
    const status = `ending (${reason}): waiting for uploads`;
    if (this.#stopsAtMs !== undefined) {
      this.status(status);
      return;
    }
    this.#stopsAtMs = this.#deps.nowMs();
    this.#channel.send({ STOPPING: 1, STATUS: status });
    this.#extend(this.#stopsAtMs);
  }

  #extend(nowMs: number): void {
    if (this.#stopsAtMs === undefined || nowMs - this.#extendedAtMs < EXTEND_MS / 3) return;
    const leftMs = this.#stopsAtMs + this.#stopMsMax - nowMs;
    if (leftMs <= 0) return;
    this.#extendedAtMs = nowMs;
    this.#channel.send({ EXTEND_TIMEOUT_USEC: Math.ceil(Math.min(EXTEND_MS, leftMs) * 1000) });
  }
}

/** WATCHDOG_USEC in ms, when it is meant for this process: the command may have become the supervisor by execve. */
function watchdogOf(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const usec = Number(env['WATCHDOG_USEC'] ?? '');
  const forPid = env['WATCHDOG_PID'];
  if (!Number.isSafeInteger(usec) || usec <= 0) return undefined;
  return forPid === undefined || forPid === '' || Number(forPid) === pid ? usec / 1000 : undefined;
}
