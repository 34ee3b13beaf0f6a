/**
 * The machine as checks see it: files of /proc, /sys, /etc and /run below a root that tests replace, and the few things that are
 * not files as functions. Everything has a deadline of its own, because what is looked at may be what hangs.
 * A mount is asked by a program of its own (stat -f): a thread of ours that waits in a dead mount could keep this process
 * from ending (kernel fact 4).
 * Refuses to change anything.
 */
import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { open, stat, statfs } from 'node:fs/promises';
import { lookup } from 'node:dns/promises';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { codeOrName } from '../base/thrown.js';
import { parseMountinfo, type MountRecord } from '../fuse/mountinfo.js';
import { readText } from '../hwdetect/read.js';
import { findProgram, isFuseDevice } from '../main/preflight.js';
import { runtimeSearchPath, type Owner } from '../main/state-directory.js';
import { packageVersion } from '../main/version.js';
import { journalLines } from './mount/log-tail.js';

/** A mount that is served answers in milliseconds; one whose store is slow answers statfs all the same. */
const MOUNT_WAIT_MS = 5_000;
const ROUND_TRIPS = 3;
const CONNECT_MS = 2_000;
const SYSTEMCTL_MS = 2_000;

/** `open`: it can be; another word: why not, or Node's error code. */
export type DeviceState = 'open' | 'missing' | 'wrong' | 'denied' | (string & {});

/** A port, or the path of a unix socket. */
export type SocketPlace = { readonly host: string; readonly port: number } | { readonly path: string };

export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** Lies in memory (tmpfs, ramfs). */
  readonly isMemory: boolean;
}

export interface Host {
  /** Folder that stands for /; '' for the machine itself. */
  readonly sysRoot: string;
  readonly owner: Owner;
  /** Without the v. */
  readonly nodeVersion: string;
  /** Of the installed package. */
  readonly version: string;
  wallMs(): number;
  /** Monotonic. */
  nowMs(): number;
  fuseDevice(): Promise<DeviceState>;
  fusermount(): { readonly path: string; readonly isSetUid: boolean } | undefined;
  /** Why koffi cannot be loaded; undefined when it can. */
  ffiFailure(): string | undefined;
  mounts(): Promise<readonly MountRecord[]>;
  /** Directories in which files of running mounts lie, of any user that this one may look at. */
  runtimeDirectories(): readonly string[];
  /** `answers`, `silent`, or the error's code (ENOTCONN). */
  askMount(mountPoint: string): Promise<string>;
  /** Of the disk that `path`, or its nearest parent that is there, lies on. */
  space(path: string): Promise<Space | undefined>;
  /** Error lines of these processes in the system's journal, oldest first; undefined where there is none. */
  journalErrors(pids: readonly number[]): Promise<readonly string[] | undefined>;
  /** The systemd unit that a process belongs to, and what becomes of it when one of its processes is killed for memory. */
  oomPolicy(pid: number): Promise<{ readonly unit: string; readonly policy: string } | undefined>;
  /** Addresses of a name. Throws as the system says. */
  lookUp(name: string): Promise<readonly string[]>;
  /** How long a TCP connection takes: the best of a few; undefined when there is none. */
  roundTripMs(host: string, port: number): Promise<number | undefined>;
}

/** TMPFS_MAGIC and RAMFS_MAGIC of statfs(2). */
const memoryTypes = new Set([0x01021994, 0x858458f6]);

/** This very machine. */
export function thisHost(owner: Owner): Host {
  return {
    sysRoot: '',
    owner,
    nodeVersion: process.versions.node,
    version: packageVersion(),
    wallMs: () => Date.now(),
    nowMs: () => performance.now(),
    fuseDevice: () => fuseDeviceState('/dev/fuse'),
    fusermount: () => fusermount(owner.env),
    ffiFailure,
    mounts: async () => parseMountinfo((await readText('', '/proc/self/mountinfo')) ?? ''),
    runtimeDirectories: () => runtimeSearchPath(owner),
    askMount,
    space,
    lookUp: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
    roundTripMs,
    oomPolicy,
    journalErrors: (pids) => journalLines(['--priority=err', ...pids.map((pid) => `_PID=${pid}`)]),
  };
}

export async function fuseDeviceState(path: string): Promise<DeviceState> {
  try {
    if (!isFuseDevice(await stat(path))) return 'wrong';
    await (await open(path, constants.O_RDWR)).close();
    return 'open';
  } catch (error) {
    const code = codeOrName(error);
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') return 'missing';
    return code === 'EACCES' || code === 'EPERM' ? 'denied' : code;
  }
}

/** A program of set-uid root, or one that must not be found at all. */
function fusermount(env: NodeJS.ProcessEnv): { path: string; isSetUid: boolean } | undefined {
  const path = findProgram('fusermount3', env);
  if (path === undefined) return undefined;
  const { mode, uid } = statSync(path);
  return { path, isSetUid: (mode & 0o4000) !== 0 && uid === 0 };
}

function ffiFailure(): string | undefined {
  try {
    createRequire(import.meta.url)('koffi');
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error);
  }
}

/** In a process of its own, which is left behind if it hangs: SIGKILL reaches it when its request is answered. */
export function askMount(mountPoint: string): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('stat', ['-f', '-c', '%T', '--', mountPoint], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' },
      detached: true,
    });
    let said = '';
    child.stderr.on('data', (piece: Buffer) => (said += piece.toString('utf8').slice(0, 1_000)));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stderr.destroy();
      child.unref();
      resolve('silent');
    }, MOUNT_WAIT_MS);
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve(codeOrName(error));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve('answers');
      else resolve(statErrors.find(([words]) => said.includes(words))?.[1] ?? (said.trim() || `exit code ${code}`));
    });
  });
}

/** What stat(1) prints of the errors that tell something here. */
const statErrors = [
  ['Transport endpoint is not connected', 'ENOTCONN'],
  ['Permission denied', 'EACCES'],
  ['No such file or directory', 'ENOENT'],
  ['Software caused connection abort', 'ECONNABORTED'],
  ['Input/output error', 'EIO'],
] as const;

async function space(path: string): Promise<Space | undefined> {
  for (let at = path; ; at = at.slice(0, Math.max(1, at.lastIndexOf('/')))) {
    try {
      const { bsize, bavail, blocks, type } = await statfs(at);
      return { freeBytes: bsize * bavail, totalBytes: bsize * blocks, isMemory: memoryTypes.has(type) };
    } catch {
      if (at === '/' || !at.startsWith('/')) return undefined;
    }
  }
}

async function oomPolicy(pid: number): Promise<{ unit: string; policy: string } | undefined> {
  // `0::/system.slice/system-mount\\x2ds3x.slice/mount-s3x@data.service`; of a user's manager there are two services.
  const path = /^0::(.*)$/m.exec((await readText('', `/proc/${pid}/cgroup`)) ?? '')?.[1] ?? '';
  const unit = path.split('/').findLast((part) => part.endsWith('.service'));
  if (unit === undefined) return undefined;
  const manager = path.includes('/user@') ? ['--user'] : [];
  return new Promise((resolve) => {
    const words = [...manager, 'show', '--property=OOMPolicy', '--value', unit];
    execFile('systemctl', words, { timeout: SYSTEMCTL_MS }, (error, stdout) => {
      resolve(error === null && stdout.trim() !== '' ? { unit, policy: stdout.trim() } : undefined);
    });
  });
}

/** This thread may be busy loading something while one of them is made: the best counts. */
async function roundTripMs(host: string, port: number): Promise<number | undefined> {
  let best: number | undefined;
  for (let tries = 0; tries < ROUND_TRIPS; tries++) {
    const startMs = performance.now();
    if ((await connects({ host, port }, CONNECT_MS)) !== undefined) return best;
    best = Math.min(best ?? Infinity, performance.now() - startMs);
  }
  return best;
}

/** Takes the port, or the socket of that path, connections? Undefined when it does, else Node's code. */
export function connects(to: SocketPlace, waitMs: number, signal?: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(to);
    const end = (failure: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(failure);
    };
    const timer = setTimeout(() => end('ETIMEDOUT'), waitMs);
    signal?.addEventListener('abort', () => end('ETIMEDOUT'), { once: true });
    socket.once('connect', () => end(undefined));
    socket.once('error', (error) => end(codeOrName(error)));
  });
}

/** May this process do so? */
export function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
