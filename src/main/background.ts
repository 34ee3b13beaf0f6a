/**
 * The command's side of a background mount: starts the supervisor (or, without one, the daemon) as a process of its own (new
 * session, working directory /, no terminal), hands it the configuration over a channel, and waits for its one answer: mounted, failed, or dead.
 * Nothing but names goes into its arguments, which every user can read; the environment is inherited.
 * Refuses to return before it is certain: after any failure the process has ended and nothing is left mounted.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { endsWithin } from './child-end.js';
import { CommandError } from './command-error.js';
import type { MountConfig } from './config.js';
import { detachOursNow } from './detach.js';
import { EXIT_INTERRUPTED, EXIT_NOT_READY } from './exit-codes.js';
import { mountSource } from './mount-source.js';
import { daemonEnvironment, discardPrestarted, spawnBackground, takePrestarted, type Prestarted } from './prestart.js';
import { asAwayMessage, asReadyMessage, type AwayMessage, type ReadyMessage, type StartMessage } from './readiness.js';
import { lastWordsFile, makePrivateDirectory, runtimeCandidates, type Owner } from './state-directory.js';
import { adoptedDescriptor, type SuperviseMessage } from './supervisor/api.js';

/**
 * Longest wait for the mount to answer; the same as Mountpoint's. Known failures come within 10 s by themselves, or say that
 * they wait for a store that is away, and how long: so long more.
 */
export const READY_WAIT_MS = 30_000;
/** Where the supervisor finds a descriptor that somebody else has mounted. */
const ADOPTED_FD = 4;
/** How long a process that was told to end may take before it is killed. */
const END_WAIT_MS = 3000;

export interface BackgroundOptions {
  /** JavaScript file that calls runSupervisor, or serveInBackground where there is no supervisor. */
  readonly entry: string;
  /** JavaScript file of the daemon that the supervisor starts; absent: `entry` is the daemon. */
  readonly daemonEntry?: string;
  readonly owner: Owner;
  /** What relative paths in the environment are relative to. */
  readonly cwd: string;
  readonly readyWaitMs?: number;
  /** The store is away, and waited for. */
  readonly onAway?: (message: AwayMessage) => void;
  /** Started ahead; another is started when it does not suit. */
  readonly prestarted?: Prestarted;
}

export interface BackgroundMount {
  readonly pid: number;
  /** Where its log goes, in words. */
  readonly log: string;
}

type Outcome =
  | { readonly kind: 'answer'; readonly message: ReadyMessage }
  | { readonly kind: 'ended'; readonly how: string }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'interrupted'; readonly signal: string };

/** Starts the daemon and resolves once its mount answers. Throws CommandError with the reason otherwise. */
export async function mountInBackground(config: MountConfig, options: BackgroundOptions): Promise<BackgroundMount> {
  const { owner } = options;
  const readyWaitMs = options.readyWaitMs ?? READY_WAIT_MS;
  const runtime = makePrivateDirectory(runtimeCandidates(owner), owner.uid);
  const lastWords = runtime === undefined ? undefined : lastWordsFile(runtime, config.mountPoint);
  const adopted = adoptedDescriptor(config.mountPoint);
  const how = { entry: options.entry, env: daemonEnvironment(owner.env, options.cwd), words: lastWords };
  const ahead = options.prestarted;
  if (ahead && adopted !== undefined) discardPrestarted(ahead);
  const child =
    (ahead && adopted === undefined ? takePrestarted(ahead, how) : undefined) ??
    spawnBackground({
      ...how,
      args: [mountSource(config), config.mountPoint],
      fds: adopted === undefined ? [] : [adopted],
    });
  const start: StartMessage | SuperviseMessage =
    options.daemonEntry === undefined
      ? { type: 'start', config }
      : {
          ...{ type: 'supervise', config, daemonEntry: options.daemonEntry },
          ...(adopted === undefined ? {} : { adoptedFd: ADOPTED_FD }),
        };
  const outcome = await waitForAnswer(child, start, readyWaitMs, options.onAway);
  if (outcome.kind === 'answer' && outcome.message.type === 'ready') {
    if (child.connected) child.disconnect();
    child.unref();
    return { pid: child.pid ?? 0, log: outcome.message.log };
  }
  await end(child, outcome.kind === 'answer' || outcome.kind === 'ended');
  detachOursNow(config.mountPoint, owner.uid);
  const error = asError(outcome, config, lastWords, readyWaitMs);
  if (lastWords !== undefined && statSync(lastWords, { throwIfNoEntry: false })?.size === 0) rmSync(lastWords);
  throw error;
}

function waitForAnswer(
  child: ChildProcess,
  start: StartMessage | SuperviseMessage,
  readyWaitMs: number,
  onAway: BackgroundOptions['onAway'],
): Promise<Outcome> {
  return new Promise((resolvePromise) => {
    const cleanups: (() => void)[] = [];
    let settled = false;
    const settle = (outcome: Outcome): void => {
      if (settled) return;
      settled = true;
      for (const cleanup of cleanups) cleanup();
      resolvePromise(outcome);
    };
    const late = (): void => settle({ kind: 'timeout' });
    let timer = setTimeout(late, readyWaitMs);
    cleanups.push(() => clearTimeout(timer));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const onSignal = (): void => settle({ kind: 'interrupted', signal });
      process.on(signal, onSignal);
      cleanups.push(() => process.off(signal, onSignal));
    }
    child.on('message', (value) => {
      const message = asReadyMessage(value);
      if (message !== undefined) settle({ kind: 'answer', message });
      const away = asAwayMessage(value);
      if (away !== undefined && !settled) {
        clearTimeout(timer);
        timer = setTimeout(late, readyWaitMs + away.waitMs);
        onAway?.(away);
      }
      const how = diedHow(value);
      if (how !== undefined) settle({ kind: 'ended', how });
    });
    child.once('error', (error) => settle({ kind: 'ended', how: error.message }));
    // 'close' comes after the last message of the channel, 'exit' may come before it.
    child.once('close', (code, signal) =>
      settle({ kind: 'ended', how: signal === null ? `exit code ${code ?? 'unknown'}` : `signal ${signal}` }),
    );
    child.send(start, () => undefined);
  });
}

/** How the supervisor's first daemon died, undefined for any other message. */
function diedHow(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, how } = value as Record<string, unknown>;
  return type === 'died' && typeof how === 'string' ? how : undefined;
}

/** Waits until the process has ended; one that does not end by itself is told to, then killed. */
async function end(child: ChildProcess, endsByItself: boolean): Promise<void> {
  if (!endsByItself) child.kill('SIGTERM');
  if (!(await endsWithin(child, END_WAIT_MS))) child.kill('SIGKILL');
  await endsWithin(child, END_WAIT_MS);
  if (child.connected) child.disconnect();
  // A process that even SIGKILL does not end at once waits in the kernel: it must not hold the command.
  child.unref();
}

function asError(
  outcome: Outcome,
  config: MountConfig,
  lastWords: string | undefined,
  readyWaitMs: number,
): CommandError {
  const what = `mounting ${mountSource(config)} at ${config.mountPoint}`;
  const said = lastLine(lastWords);
  const remedy = 'run it again with --foreground --debug to see why';
  switch (outcome.kind) {
    case 'answer': {
      const { message } = outcome;
      if (message.type === 'failed') return new CommandError(message.exitCode, message.message, message.remedy);
      return new CommandError(EXIT_NOT_READY, `${what}: unexpected answer`);
    }
    case 'ended':
      return new CommandError(
        EXIT_NOT_READY,
        `${what}: the background process died before the mount was ready (${outcome.how})${said}`,
        remedy,
      );
    case 'timeout':
      return new CommandError(
        EXIT_NOT_READY,
        `${what}: not ready within ${readyWaitMs / 1000} seconds, given up; nothing is left mounted${said}`,
        remedy,
      );
    case 'interrupted':
      return new CommandError(EXIT_INTERRUPTED, `${what}: interrupted (${outcome.signal}); nothing is left mounted`);
  }
}

/** `: last line` of what the dead process wrote, or ''. */
function lastLine(file: string | undefined): string {
  if (file === undefined) return '';
  try {
    const lines = readFileSync(file, 'utf8').slice(-8192).split('\n');
    // Node prints a crash as: source line, caret, stack, version. The line with the error's name says most.
    const telling =
      lines.find((line) => /^\w*(Error|FATAL)\b.*:/.test(line)) ?? lines.findLast((line) => line.trim() !== '');
    return telling === undefined ? '' : `: ${telling.trim()}`;
  } catch {
    return '';
  }
}
