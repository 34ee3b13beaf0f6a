/**
 * The background process of a mount, started before the command has read its own arguments: three programs have to come up,
 * and they do it beside each other instead of one after another. It mounts nothing and asks nobody until it is given a
 * configuration (mountInBackground); when the command ends without, its channel closes and it ends by itself, with the daemon
 * that it has started. Refuses to read arguments: whether they look like a mount is the caller's guess, and a wrong guess
 * costs some CPU time.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import {
  earlyWordsFile,
  isEarlyWordsFile,
  makePrivateDirectory,
  runtimeCandidates,
  type Owner,
} from './state-directory.js';

export interface Prestarted {
  readonly entry: string;
  readonly child: ChildProcess;
  readonly env: NodeJS.ProcessEnv;
  /** Where its standard error goes, until the mount has a name; absent: nowhere. */
  readonly words?: string;
}

/** No start takes so long. */
const STALE_WORDS_MS = 600_000;

/** Variables that name files: made absolute, because the daemon's working directory is /. */
export const fileVariables = [
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_CA_BUNDLE',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
] as const;

/** The environment of the background process. */
export function daemonEnvironment(env: NodeJS.ProcessEnv, cwd: string): NodeJS.ProcessEnv {
  const result: NodeJS.ProcessEnv = { ...env, NODE_NO_WARNINGS: '1' };
  for (const name of fileVariables) {
    const value = result[name];
    if (value !== undefined && value !== '' && !isAbsolute(value)) result[name] = resolve(cwd, value);
  }
  return result;
}

export interface SpawnOptions {
  readonly entry: string;
  readonly env: NodeJS.ProcessEnv;
  /** File that takes its standard error; absent: nobody reads it. */
  readonly words?: string | undefined;
  /** For `ps`. Nothing but names: every user can read them. */
  readonly args?: readonly string[];
  /** More descriptors, from 4 on. */
  readonly fds?: readonly number[];
}

/** Starts a background process: a session of its own, no terminal, a channel. */
export function spawnBackground({ entry, env, words, args = [], fds = [] }: SpawnOptions): ChildProcess {
  const errorFd = words === undefined ? undefined : openSync(words, 'w', 0o600);
  try {
    return spawn(process.execPath, [entry, ...args], {
      cwd: '/',
      detached: true,
      env,
      stdio: ['ignore', 'ignore', errorFd ?? 'ignore', 'ipc', ...fds],
      serialization: 'json',
    });
  } finally {
    if (errorFd !== undefined) closeSync(errorFd);
  }
}

/** Starts it. Undefined when it cannot be: the usual start then says why. */
export function prestart(entry: string, owner: Owner, cwd: () => string): Prestarted | undefined {
  try {
    const runtime = makePrivateDirectory(runtimeCandidates(owner), owner.uid);
    const words = runtime === undefined ? undefined : earlyWordsFile(runtime, process.pid);
    if (runtime !== undefined) sweepWords(runtime);
    const env = daemonEnvironment(owner.env, cwd());
    const child = spawnBackground({ entry, env, words });
    // Without a listener it would be thrown; whoever takes the process looks whether it lives.
    child.on('error', () => undefined);
    // A command that does not mount ends when it is done.
    child.unref();
    child.channel?.unref();
    return { entry, child, env, ...(words === undefined ? {} : { words }) };
  } catch {
    return undefined;
  }
}

/**
 * `ahead`'s process, when it is what the usual start would start now; its standard error then goes to `words`. Otherwise it is
 * ended, and there is none.
 */
export function takePrestarted(
  ahead: Prestarted,
  wanted: { readonly entry: string; readonly env: NodeJS.ProcessEnv; readonly words: string | undefined },
): ChildProcess | undefined {
  const { child } = ahead;
  const isAlive = child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  const suits = ahead.entry === wanted.entry && sameVariables(ahead.env, wanted.env);
  const sameWords = dirnameOf(ahead.words) === dirnameOf(wanted.words);
  if (!isAlive || !suits || !sameWords || !named(ahead.words, wanted.words)) {
    discardPrestarted(ahead);
    return undefined;
  }
  child.ref();
  child.channel?.ref();
  return child;
}

/** Ends it: it has not begun anything. */
export function discardPrestarted({ child, words }: Prestarted): void {
  if (child.connected) child.disconnect();
  child.unref();
  if (words !== undefined) rmSync(words, { force: true });
}

/** Removes what commands left that were killed after they had made the file and before there was a process to remove it. */
function sweepWords(runtimeDirectory: string): void {
  for (const name of readdirSync(runtimeDirectory)) {
    if (!isEarlyWordsFile(name)) continue;
    const file = join(runtimeDirectory, name);
    try {
      if (Date.now() - statSync(file).mtimeMs > STALE_WORDS_MS) rmSync(file, { force: true });
    } catch {
      // Somebody else has removed it.
    }
  }
}

/** False when the file is gone: a command of another container that shares the directory has the same process id. */
function named(words: string | undefined, wanted: string | undefined): boolean {
  try {
    if (words !== undefined && wanted !== undefined) renameSync(words, wanted);
    return true;
  } catch {
    return false;
  }
}

function dirnameOf(file: string | undefined): string | undefined {
  return file === undefined ? undefined : join(file, '..');
}

function sameVariables(left: NodeJS.ProcessEnv, right: NodeJS.ProcessEnv): boolean {
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name]);
}
