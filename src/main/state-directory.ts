/**
 * Where this program keeps files of its own: run files (which daemon serves which mount) in the runtime directory, which
 * a reboot empties, and log files in the state directory, which it does not. XDG names when they are set.
 *
 *   runtime   $XDG_RUNTIME_DIR/mount-s3x   or, as root, /run/mount-s3x         or $TMPDIR/mount-s3x-UID
 *             or /run/mount-s3x-UID, which root makes for a user as whom it runs a daemon (--user)
 *   state     $XDG_STATE_HOME/mount-s3x    or, as root, /var/log/mount-s3x     or ~/.local/state/mount-s3x
 *   spool     spool in $XDG_STATE_HOME/mount-s3x or, as root, /var/spool/mount-s3x or ~/.local/state/mount-s3x/spool
 *
 * Refuses a directory that somebody else owns or may write to: its files name processes and hold log lines.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { basename, isAbsolute, join } from 'node:path';
import { makeDirectoriesNow } from '../base/make-directories.js';

/** Who asks: taken from the process once, given by tests. */
export interface Owner {
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
}

export function currentOwner(): Owner {
  return { env: process.env, uid: process.getuid?.() ?? 0 };
}

function absoluteVariable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = env[name];
  return value !== undefined && isAbsolute(value) ? value : undefined;
}

/** Runtime directories to try, best first. */
export function runtimeCandidates(owner: Owner): string[] {
  const candidates: string[] = [];
  const runtime = absoluteVariable(owner.env, 'XDG_RUNTIME_DIR');
  if (runtime !== undefined && !isForeign(runtime, owner.uid)) candidates.push(join(runtime, 'mount-s3x'));
  candidates.push(owner.uid === 0 ? '/run/mount-s3x' : userRuntimeDirectory(owner.uid));
  candidates.push(join(absoluteVariable(owner.env, 'TMPDIR') ?? '/tmp', `mount-s3x-${owner.uid}`));
  return candidates;
}

/** Only root can make it. */
export function userRuntimeDirectory(uid: number): string {
  return `/run/mount-s3x-${uid}`;
}

/** Root with the environment of a user (`sudo -E`): who owns the directory could put another in the place of ours. */
function isForeign(directory: string, uid: number): boolean {
  try {
    const facts = statSync(directory, { throwIfNoEntry: false });
    return facts !== undefined && facts.uid !== uid;
  } catch {
    // Not even to be looked at: nobody's who may make files there.
    return true;
  }
}

/** State directories to try, best first. */
export function stateCandidates(owner: Owner): string[] {
  const candidates: string[] = [];
  const state = absoluteVariable(owner.env, 'XDG_STATE_HOME');
  if (state !== undefined) candidates.push(join(state, 'mount-s3x'));
  if (owner.uid === 0) candidates.push('/var/log/mount-s3x');
  const home = absoluteVariable(owner.env, 'HOME');
  if (home !== undefined) candidates.push(join(home, '.local', 'state', 'mount-s3x'));
  return candidates;
}

/** Where bytes wait that are not in the bucket yet: a place that outlives a reboot. --spool-dir says otherwise. */
export function spoolCandidate(owner: Owner): string {
  const state = absoluteVariable(owner.env, 'XDG_STATE_HOME');
  if (state !== undefined) return join(state, 'mount-s3x', 'spool');
  if (owner.uid === 0) return '/var/spool/mount-s3x';
  const home = absoluteVariable(owner.env, 'HOME');
  if (home !== undefined) return join(home, '.local', 'state', 'mount-s3x', 'spool');
  return join(absoluteVariable(owner.env, 'TMPDIR') ?? '/tmp', `mount-s3x-${owner.uid}`, 'spool');
}

/**
 * Creates the first candidate that can be had (0700), undefined when none can. A candidate that exists must be a
 * directory of ours that nobody else may write to.
 */
export function makePrivateDirectory(candidates: readonly string[], uid: number): string | undefined {
  for (const candidate of candidates) {
    try {
      makeDirectoriesNow(candidate, 0o700);
      if (isPrivate(candidate, uid)) return candidate;
    } catch {
      // read-only, missing parent, or no permission: the next one
    }
  }
  return undefined;
}

function isPrivate(directory: string, uid: number): boolean {
  const stat = lstatSync(directory);
  return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0;
}

/** Directories in which run files of any user may lie that this user may read: for unmounting as root or after `su`. */
export function runtimeSearchPath(owner: Owner): string[] {
  const path = new Set([...runtimeCandidates(owner), '/run/mount-s3x']);
  const runtime = absoluteVariable(owner.env, 'XDG_RUNTIME_DIR');
  if (runtime !== undefined) path.add(join(runtime, 'mount-s3x'));
  if (owner.uid === 0) {
    for (const [parent, keep] of [
      ['/run', /^mount-s3x-\d+$/],
      ['/run/user', /^\d+$/],
      ['/tmp', /^mount-s3x-\d+$/],
    ] as const) {
      for (const name of listDirectory(parent)) {
        if (!keep.test(name)) continue;
        path.add(parent === '/run/user' ? join(parent, name, 'mount-s3x') : join(parent, name));
      }
    }
  }
  return [...path];
}

export function listDirectory(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** File-name-safe id of a mount: the end of its path for people, a hash of the whole for uniqueness. */
export function mountId(mountPoint: string): string {
  const readable = mountPoint
    .split('/')
    .slice(-2)
    .join('-')
    .replace(/[^A-Za-z0-9._-]+/g, '_')
    .replace(/^[-._]+/, '')
    .slice(-40);
  const hash = createHash('sha256').update(mountPoint).digest('hex').slice(0, 10);
  return readable === '' ? hash : `${readable}-${hash}`;
}

/** Where the background process's standard error goes: words of Node or the kernel that no logger of ours sees. */
export function lastWordsFile(runtimeDirectory: string, mountPoint: string): string {
  return join(runtimeDirectory, `${mountId(mountPoint)}.stderr`);
}

/** The same, of a process that was started before its mount point was known, by the command `pid`. */
export function earlyWordsFile(runtimeDirectory: string, pid: number): string {
  return join(runtimeDirectory, `.start-${pid}.stderr`);
}

/** True for a name that earlyWordsFile has made. */
export function isEarlyWordsFile(file: string): boolean {
  return /^\.start-\d+\.stderr$/.test(basename(file));
}
