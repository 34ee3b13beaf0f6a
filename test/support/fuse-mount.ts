/**
 * Starts fuse-server.ts in a process of its own on a fresh directory and talks to it. Whatever happens, the directory is
 * detached, the connection aborted and the process killed when the test ends. Never touch the mount synchronously from
 * the process that serves it; from the test's own process asynchronous calls are fine.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, chownSync, constants, mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { umount2, MNT_DETACH } from '../../src/fuse/libc.js';
import { findMount } from '../../src/fuse/mountinfo.js';
import { abortConnection, unmountFuse } from '../../src/fuse/unmount.js';
import type { ServerOptions } from './fuse-server-options.js';

/** How long a server may take for an answer before the test fails. */
const ANSWER_WAIT_MS = 20_000;

/** Why real mounts cannot be tested here; undefined when they can. */
export function noMountReason(): string | undefined {
  if (process.geteuid?.() !== 0) return 'real mounts are tested as root only';
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return 'there is no /dev/fuse';
  }
}

export interface MountedServer {
  readonly mountPoint: string;
  readonly process: ChildProcess;
  /** The `ready` line. */
  readonly ready: Record<string, unknown>;
  /** Sends a command and returns the answer. */
  command(command: object): Promise<Record<string, unknown>>;
  /** The `ended` line; the process is gone then. */
  readonly ended: Promise<Record<string, unknown>>;
  unmount(): Promise<Record<string, unknown>>;
}

export interface StartOptions extends ServerOptions {
  /** Below a fresh temporary directory; made by the starter. */
  readonly folder?: string;
  readonly uid?: number;
  readonly program?: string;
}

/** Detaches, aborts and kills: nothing of a failed test stays. */
async function cleanUp(mountPoint: string, child: ChildProcess): Promise<void> {
  const record = findMount(mountPoint);
  if (record !== undefined) {
    await umount2(mountPoint, MNT_DETACH);
    abortConnection(record);
  }
  if (child.exitCode === null && child.signalCode === null) {
    const gone = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}

/** A directory for a mount, removed at the end. */
export function mountFolder(t: Test, folder = 'mnt', uid?: number): string {
  const base = mkdtempSync(join(tmpdir(), 's3x-fuse-'));
  const path = join(base, folder);
  mkdirSync(path);
  if (uid !== undefined) {
    chownSync(base, uid, uid);
    chownSync(path, uid, uid);
  }
  t.teardown(() => {
    rmdirSync(path);
    rmdirSync(base);
  });
  return path;
}

export async function startServer(t: Test, options: StartOptions = {}): Promise<MountedServer> {
  const { folder, uid, program, ...serverOptions } = options;
  const mountPoint = mountFolder(t, folder, uid);
  const path = program ?? fileURLToPath(new URL('./fuse-server.js', import.meta.url));
  const child = spawn(process.execPath, [path, mountPoint, JSON.stringify(serverOptions)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid, cwd: '/' }),
  });
  t.teardown(() => cleanUp(mountPoint, child));
  const lines: Record<string, unknown>[] = [];
  const waiting: ((line: Record<string, unknown>) => void)[] = [];
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  let settleEnded: (line: Record<string, unknown>) => void = () => undefined;
  const ended = new Promise<Record<string, unknown>>((resolve) => (settleEnded = resolve));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text) as Record<string, unknown>;
    if (line['ended'] === true) {
      void closed.then(() => settleEnded(line));
      return;
    }
    const next = waiting.shift();
    if (next !== undefined) next(line);
    else lines.push(line);
  });
  const nextLine = async (): Promise<Record<string, unknown>> => {
    const line = lines.shift();
    if (line !== undefined) return line;
    let timer: NodeJS.Timeout | undefined;
    const answer = new Promise<Record<string, unknown>>((resolve, reject) => {
      waiting.push(resolve);
      timer = setTimeout(() => reject(new Error(`no answer of the server: ${complaint}`)), ANSWER_WAIT_MS);
      void closed.then(() => reject(new Error(`the server ended: ${complaint}`)));
    });
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  };
  const ready = await nextLine();
  return {
    mountPoint,
    process: child,
    ready,
    ended,
    command: (command) => {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      return nextLine();
    },
    unmount: async () => {
      await unmountFuse(mountPoint, { lazy: false });
      return ended;
    },
  };
}

export interface ProgramResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, with a deadline. */
export function runProgram(
  command: string,
  parameters: readonly string[],
  options: { uid?: number; cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, parameters, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: ANSWER_WAIT_MS,
      killSignal: 'SIGKILL',
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('latin1')));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
