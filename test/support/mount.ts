/**
 * A real mount for a test: the `mount-s3x` command in processes of its own, and programs run on the mount with a
 * deadline. Nothing here touches the mount from the test's own process with a blocking call, and whatever a test does,
 * `stop` leaves no mount and no process behind.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StoreAddress } from './servers/server.js';

export const projectRoot = fileURLToPath(new URL('../../..', import.meta.url));
/**
 * What the tests run: what tsc compiled, or the program that $MOUNT_S3X_TEST_PROGRAM names, relative to the project (CI runs the end-to-end part
 * with the bundle, which is what users install, too).
 */
export const cliPath = join(projectRoot, process.env['MOUNT_S3X_TEST_PROGRAM'] ?? 'dist/bin/mount-s3x.js');

const START_WAIT_MS = 20_000;
const STOP_WAIT_MS = 10_000;

/** Why mounting is impossible here, for a test's skip line; undefined when it is possible. */
export function whyNoMount(): string | undefined {
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse on this machine (modprobe fuse, or --device /dev/fuse)';
  if (process.getuid?.() !== 0 && spawnSync('sh', ['-c', 'command -v fusermount3']).status !== 0) {
    return 'not root and no fusermount3 (Debian package fuse3)';
  }
  return undefined;
}

/** Whether something is mounted there, as the process `pid` sees it (its mount namespace may be another). */
export function isMounted(mountPoint: string, pid: number | 'self' = 'self'): boolean {
  let table: string;
  try {
    table = readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
  } catch (error) {
    if (pid === 'self') throw error;
    // The process has gone, and its namespace with it.
    return false;
  }
  return table.split('\n').some((line) => line.split(' ')[4] === mountPoint.replaceAll(' ', '\\040'));
}

/** Credentials and region of a test server as environment, and nothing of the caller's own AWS settings. */
export function serverEnvironment(server: StoreAddress): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) if (!name.startsWith('AWS_')) env[name] = value;
  return {
    ...env,
    AWS_ACCESS_KEY_ID: server.accessKey,
    AWS_SECRET_ACCESS_KEY: server.secretKey,
    AWS_REGION: server.region,
    AWS_EC2_METADATA_DISABLED: 'true',
    // Mounts of other tests on this machine take nothing from it.
    MOUNT_S3X_REGISTRY: 'off',
  };
}

export interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end or to its deadline (then killed, code null). */
export function run(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; timeoutMs?: number; cwd?: string; uid?: number; gid?: number } = {},
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const { timeoutMs = 60_000, ...rest } = options;
    const child = spawn(command, [...args], { ...rest, stdio: ['ignore', 'pipe', 'pipe'] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (piece: Buffer) => stdout.push(piece));
    child.stderr.on('data', (piece: Buffer) => stderr.push(piece));
    const deadline = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(deadline);
      resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
  });
}

/** A shell line on the mount; `$M` is the mount point. */
export function shell(mount: Mount, line: string, timeoutMs = 60_000): Promise<Result> {
  return run('bash', ['-o', 'pipefail', '-c', line], { env: { ...process.env, M: mount.path }, timeoutMs });
}

export interface Mount {
  readonly path: string;
  /** The daemon's, as it was when the mount answered. */
  readonly pid: number;
  /** The process that was started: the daemon's supervisor, or itself with --no-supervisor. */
  readonly chiefPid: number;
  /** What the daemon has written to its terminal so far. */
  log(): string;
  /** Of the process that was started; null while it runs. */
  exitCode(): number | null;
  stop(): Promise<void>;
}

export interface MountOptions {
  readonly bucket: string;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** An existing directory instead of a new one. */
  readonly path?: string;
  /** Mounts as this user (and group): only root can ask for that, and only the user can enter then. */
  readonly uid?: number;
}

/** Mounts a bucket of a test server in the foreground of a child process and waits until it answers. */
export async function startMount(server: StoreAddress, options: MountOptions): Promise<Mount> {
  const own = options.path === undefined;
  const path = options.path ?? mkdtempSync(join(tmpdir(), 'mount-s3x-test-'));
  const user = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid, cwd: '/' };
  if (options.uid !== undefined) chownSync(path, options.uid, options.uid);
  const flags = ['-f', '--endpoint-url', server.endpoint, '--force-path-style'];
  if (server.tlsCaFile) flags.push('--ca-bundle', server.tlsCaFile);
  const child = spawn(process.execPath, [cliPath, options.bucket, path, ...flags, ...(options.flags ?? [])], {
    env: { ...serverEnvironment(server), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...user,
  });
  let log = '';
  child.stdout.on('data', (piece: Buffer) => (log += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (log += piece.toString()));
  const stop = async (): Promise<void> => {
    if (isMounted(path)) await run('umount', [path], { timeoutMs: STOP_WAIT_MS });
    if (isMounted(path)) await run('umount', ['-l', path], { timeoutMs: STOP_WAIT_MS });
    if (!(await ended(child, STOP_WAIT_MS))) child.kill('SIGKILL');
    await ended(child, STOP_WAIT_MS);
    // A second stop finds nothing to do.
    if (own && existsSync(path)) rmdirSync(path);
  };
  const deadline = Date.now() + START_WAIT_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) {
      if (own) rmSync(path, { recursive: true });
      throw new Error(`mount-s3x ended with exit code ${child.exitCode}: ${log}`);
    }
    // The command says so once its run file is there, by which others find the mount.
    if (
      log.includes(' is mounted at ') &&
      isMounted(path) &&
      (await run('stat', [path], { timeoutMs: 5_000, ...user })).code === 0
    ) {
      const chiefPid = child.pid ?? 0;
      return { path, pid: daemonOf(chiefPid), chiefPid, log: () => log, exitCode: () => child.exitCode, stop };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop();
  throw new Error(`mount-s3x did not answer within ${START_WAIT_MS / 1000} s: ${log}`);
}

/** The daemon of a supervisor: its only child. Of a process without children, itself. */
export function daemonOf(chiefPid: number): number {
  const children = readFileSync(`/proc/${chiefPid}/task/${chiefPid}/children`, 'utf8').trim();
  return children === '' ? chiefPid : Number(children.split(' ').at(-1));
}

/** True when the process has ended by then. */
export function ended(child: ChildProcess, waitMs: number): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(true);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), waitMs);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
