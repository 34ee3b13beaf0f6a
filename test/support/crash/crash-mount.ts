/**
 * A mount whose daemon is going to be killed: the command in the foreground of a child process, everything it starts known
 * by a mark (processes.ts), and ways to kill the daemon and only the daemon. Works with and without a supervisor: without
 * one the daemon is the child itself, and nothing comes after it.
 * Whatever a test does, `stop` leaves no mount and no process behind, and says what it had to end by force.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cliPath, ended, isMounted, run, serverEnvironment, type Result } from '../mount.js';
import type { TestServer } from '../servers/server.js';
import { oomKill } from './out-of-memory.js';
import { MARK_VARIABLE, processesOf, processFact, type ProcessFact } from './processes.js';

export type KillKind = 'SIGKILL' | 'SIGABRT' | 'oom' | 'upgrade';

const START_WAIT_MS = 30_000;
const END_WAIT_MS = 20_000;
/** A take-over takes a second or two; this only ends a test whose mount is lost. */
const DAEMON_WAIT_MS = 60_000;
const UPGRADE_WAIT_MS = 60_000;
const LOOK_MS = 10;
const LOG_CHARS_MAX = 4_000_000;
const LOG_LINE_CHARS_MAX = 250;

export interface CrashMountOptions {
  readonly bucket: string;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /**
   * A shell line to run before the command, in a mount namespace of its own: what it mounts nobody else sees, and neither
   * the mount itself. Needs root.
   */
  readonly inNamespace?: string;
  /** Mounts as this user and group, who alone can enter then; needs root. */
  readonly uid?: number;
}

/** What was found when a mount had been ended in order; all empty when nothing is left. */
export interface LeftOvers {
  readonly processes: readonly string[];
  /** Files of the runtime directory, below the test's own root. */
  readonly runtimeFiles: readonly string[];
  readonly sharedMemoryFiles: readonly string[];
  readonly stillMounted: boolean;
}

export interface CrashMount {
  readonly path: string;
  /** The directory that holds the mount point, the runtime and state directories and nothing else. */
  readonly root: string;
  /** What the mount's processes were started with; for commands that ask the mount. */
  readonly env: NodeJS.ProcessEnv;
  /** The process that the test started. */
  readonly pid: number;
  /** What to put before a command that shall see the mount: nothing, or what enters its namespace and becomes its user. */
  enter(): readonly string[];
  isMounted(): boolean;
  log(): string;
  processes(): ProcessFact[];
  /** The process that serves the mount just now; undefined between two of them. */
  daemon(): ProcessFact | undefined;
  /** The daemon's parent, when it has one of ours; undefined without a supervisor. */
  supervisor(): ProcessFact | undefined;
  /** Ends the daemon; resolves when the kernel was told (a killed process may stay for a while, kernel fact 3). */
  kill(kind: KillKind): Promise<Killed>;
  /** Waits for a daemon other than `than`. Throws, with the log, when none comes. */
  nextDaemon(than: number, waitMs?: number): Promise<ProcessFact>;
  /** Runs the command `mount-s3x ...` in the mount's environment. */
  command(args: readonly string[], timeoutMs?: number): Promise<Result>;
  /** Unmounts in order and looks what is left; then removes it by force. Safe to call twice. */
  stop(): Promise<LeftOvers>;
}

export interface Killed {
  readonly kind: KillKind;
  /** The daemon that was ended. */
  readonly pid: number;
  /** Just before; CLOCK_MONOTONIC in seconds, as in Python's time.monotonic(). */
  readonly atSeconds: number;
}

/** CLOCK_MONOTONIC in seconds, comparable between processes. */
export function monotonicSeconds(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}

/** Mounts and waits until the mount answers. Throws with the log when it does not. */
export async function startCrashMount(server: TestServer, options: CrashMountOptions): Promise<CrashMount> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'mount-s3x-crash-')));
  const path = join(root, 'mnt');
  const runtime = join(root, 'run');
  for (const directory of [path, runtime, join(root, 'spool')]) mkdirSync(directory, { mode: 0o700 });
  const { inNamespace, uid } = options;
  if (uid !== undefined) for (const owned of [root, path, runtime, join(root, 'spool')]) chownSync(owned, uid, uid);
  const user = uid === undefined ? {} : { uid, gid: uid };
  const mark = randomBytes(8).toString('hex');
  const sharedMemoryBefore = new Set(sharedMemoryFiles());
  const env: NodeJS.ProcessEnv = {
    ...serverEnvironment(server),
    HOME: root,
    XDG_RUNTIME_DIR: runtime,
    XDG_STATE_HOME: join(root, 'state'),
    [MARK_VARIABLE]: mark,
    ...options.env,
  };
  const flags = ['-f', '--endpoint-url', server.endpoint, '--force-path-style', '--spool-dir', join(root, 'spool')];
  if (server.tlsCaFile !== undefined) flags.push('--ca-bundle', server.tlsCaFile);
  const [program = process.execPath, ...args] = [
    ...(inNamespace === undefined ? [] : ['unshare', '-m', 'sh', '-c', `${inNamespace}; exec "$@"`, 'sh']),
    ...[process.execPath, cliPath, options.bucket, path, ...flags, ...(options.flags ?? [])],
  ];
  const child = spawn(program, args, { env, cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...user });
  let log = '';
  const keep = (piece: string): void => void (log = (log + piece).slice(-LOG_CHARS_MAX));
  child.stdout.setEncoding('utf8').on('data', keep);
  child.stderr.setEncoding('utf8').on('data', keep);

  const enter = (): readonly string[] => [
    ...(inNamespace === undefined ? [] : ['nsenter', '-t', String(child.pid), '-m', '--']),
    ...(uid === undefined ? [] : ['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups', '--']),
  ];
  const mounted = (): boolean => isMounted(path, inNamespace === undefined ? 'self' : (child.pid ?? 'self'));
  /** Runs a program where the mount can be seen. */
  const there = (words: readonly string[], timeoutMs: number): Promise<Result> => {
    const [first = '', ...rest] = [...enter(), ...words];
    return run(first, rest, { timeoutMs });
  };
  const processes = (): ProcessFact[] => processesOf(mark, path);
  const daemon = (): ProcessFact | undefined => {
    const living = processes().filter((fact) => fact.isNode && fact.state !== 'Z' && !isErrand(fact));
    const leaves = living.filter((fact) => !living.some((other) => other.parentPid === fact.pid));
    // A daemon that was killed may still be dying beside its successor: the youngest serves.
    const youngest = leaves.at(-1);
    return youngest === undefined || youngest.pid === supervisorPid ? undefined : youngest;
  };
  let supervisorPid: number | undefined;
  const supervisor = (): ProcessFact | undefined => {
    const serving = daemon();
    const parent = serving && processes().find((fact) => fact.pid === serving.parentPid);
    if (parent !== undefined) supervisorPid = parent.pid;
    return supervisorPid === undefined ? undefined : processFact(supervisorPid);
  };
  const command = (words: readonly string[], timeoutMs = END_WAIT_MS): Promise<Result> =>
    run(process.execPath, [cliPath, ...words], { env, cwd: root, timeoutMs, ...user });

  const kill = async (kind: KillKind): Promise<Killed> => {
    const serving = daemon();
    if (serving === undefined) throw new Error(`there is no daemon to end\n${logTail(log)}`);
    supervisor();
    const killed = { kind, pid: serving.pid, atSeconds: monotonicSeconds() };
    if (kind === 'oom') await oomKill(serving.pid);
    else if (kind === 'upgrade') {
      const result = await command(['upgrade', path], UPGRADE_WAIT_MS);
      if (result.code !== 0) throw new Error(`mount-s3x upgrade: exit code ${result.code}: ${result.stderr}`);
      supervisorPid = undefined;
    } else process.kill(serving.pid, kind);
    return killed;
  };
  const nextDaemon = async (than: number, waitMs = DAEMON_WAIT_MS): Promise<ProcessFact> => {
    for (const endMs = Date.now() + waitMs; ; await sleep(LOOK_MS)) {
      const serving = daemon();
      if (serving !== undefined && serving.pid !== than) return serving;
      const isOver = child.exitCode !== null || child.signalCode !== null;
      if (isOver || Date.now() > endMs) throw new Error(`no daemon came after pid ${than}\n${logTail(log)}`);
    }
  };

  const unmount = uid === undefined ? ['umount', path] : ['fusermount3', '-u', path];
  let stopping: Promise<LeftOvers> | undefined;
  const stop = (): Promise<LeftOvers> => {
    stopping ??= (async () => {
      if (mounted()) await there(unmount, END_WAIT_MS);
      const left = async (): Promise<ProcessFact[]> => {
        let found = processes();
        for (const endMs = Date.now() + END_WAIT_MS; found.length > 0 && Date.now() < endMs; found = processes()) {
          await sleep(50);
        }
        return found;
      };
      const leftOvers: LeftOvers = {
        processes: (await left()).map((fact) => `${fact.pid} ${fact.state} ${fact.command}`),
        runtimeFiles: existsSync(runtime)
          ? (readdirSync(runtime, { recursive: true }) as string[]).filter(isNoDirectory)
          : [],
        sharedMemoryFiles: sharedMemoryFiles().filter((name) => !sharedMemoryBefore.has(name)),
        stillMounted: mounted(),
      };
      if (mounted())
        await there(uid === undefined ? ['umount', '-l', path] : ['fusermount3', '-uz', path], END_WAIT_MS);
      for (const fact of processes()) {
        try {
          process.kill(fact.pid, 'SIGKILL');
        } catch {
          // gone meanwhile
        }
      }
      await ended(child, END_WAIT_MS);
      if (!mounted()) {
        if (existsSync(path)) rmdirSync(path);
        rmSync(root, { recursive: true, force: true });
      }
      return leftOvers;
    })();
    return stopping;
  };
  /** The runtime directory's own folders stay: other mounts of the user may use them. */
  const isNoDirectory = (name: string): boolean => name !== 'mount-s3x' && !name.startsWith('mount-s3x/registry');

  const mount: CrashMount = {
    ...{ path, root, env, pid: child.pid ?? 0, processes, daemon, supervisor, kill, nextDaemon, command, stop, enter },
    isMounted: mounted,
    log: () => log,
  };
  for (const endMs = Date.now() + START_WAIT_MS; ; await sleep(50)) {
    if (child.exitCode !== null) {
      await stop();
      throw new Error(`mount-s3x ended with exit code ${child.exitCode}: ${logTail(log)}`);
    }
    if (mounted() && (await there(['stat', path], 5_000)).code === 0 && daemon() !== undefined) {
      supervisor();
      return mount;
    }
    if (Date.now() > endMs) {
      await stop();
      throw new Error(`mount-s3x did not answer within ${START_WAIT_MS / 1000} s: ${logTail(log)}`);
    }
  }
}

/** The end of a log for a report, without the lengths of its longest lines. */
export function logTail(log: string, lines = 40): string {
  return log
    .trimEnd()
    .split('\n')
    .slice(-lines)
    .map((line) => line.slice(0, LOG_LINE_CHARS_MAX))
    .join('\n');
}

/** A command that asks the mount something, in the mount's environment; never its daemon. */
function isErrand(fact: ProcessFact): boolean {
  return /mount-s3x\.js (upgrade|stats|unmount|reload|recover|list|top|doctor|explain)\b/.test(fact.command);
}

function sharedMemoryFiles(): string[] {
  return existsSync('/dev/shm') ? readdirSync('/dev/shm').filter((name) => name.startsWith('mount-s3x')) : [];
}
