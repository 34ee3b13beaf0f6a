/**
 * Writers of checkpoints, logs and edits (checkpoints.py) beside a mount, what each was told of what it wrote, and whether an
 * object's bytes are those of something whole. Refuses to look through the mount: who judges asks the bucket.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { crc32 } from '@node-rs/crc32';
import { projectRoot } from '../mount.js';

export type WriterRole = 'renamed' | 'in-place' | 'exclusive' | 'log' | 'edit' | 'once';

export interface Told {
  readonly role: WriterRole;
  readonly name: string;
  readonly state: 'begin' | 'ok' | 'error' | 'opened' | 'over';
  readonly version: number;
  readonly size?: number;
  readonly errno?: string;
  /** CLOCK_MONOTONIC in seconds. */
  readonly at: number;
}

export interface CheckpointWriter {
  readonly role: WriterRole;
  /** All that it was told, in order. */
  readonly told: readonly Told[];
  readonly stderr: () => string;
  /** It finishes what it is at. False when it did not within so long: it hangs, and was killed. */
  finish(waitMs: number): Promise<boolean>;
}

export function startWriter(
  python: string,
  options: {
    readonly role: WriterRole;
    readonly mountPath: string;
    readonly name: string;
    readonly seed: number;
    readonly bytes: number;
  },
): CheckpointWriter {
  const { role, mountPath, name, seed, bytes } = options;
  const script = join(projectRoot, 'test/support/crash/checkpoints.py');
  const child: ChildProcess = spawn(python, ['-u', script, role, mountPath, name, String(seed), String(bytes)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    cwd: '/',
  });
  const told: Told[] = [];
  let partial = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (partial + text).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) told.push(JSON.parse(line) as Told);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-10_000)));
  const closed = new Promise<boolean>((resolve) => child.once('close', () => resolve(true)));
  return {
    role,
    told,
    stderr: () => stderr,
    finish: async (waitMs) => {
      child.stdin?.end();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), waitMs)));
      const isOver = await Promise.race([closed, late]);
      clearTimeout(timer);
      if (!isOver) child.kill('SIGKILL');
      return isOver;
    },
  };
}

const HEADER_BYTES = 32;
const BLOCK_BYTES = 64 * 1024;

/** The version that a whole object is of; undefined when it is torn. For a log: its number of lines. */
export function wholeVersion(role: WriterRole, body: Buffer): number | undefined {
  if (role === 'log') return linesOf(body);
  if (role === 'edit') return editedVersion(body);
  if (body.length < HEADER_BYTES + 4 || body.toString('latin1', 0, 14) !== 'mount-s3x-ckpt') return undefined;
  if (Number(body.readBigUInt64LE(24)) !== body.length) return undefined;
  if (crc32(body.subarray(0, -4)) !== body.readUInt32LE(body.length - 4)) return undefined;
  return Number(body.readBigUInt64LE(16));
}

function linesOf(body: Buffer): number | undefined {
  if (body.length === 0) return 0;
  const lines = body.toString('latin1').split('\n');
  if (lines.pop() !== '') return undefined;
  const isRight = (line: string, at: number): boolean =>
    line === `${at} ${crc32(String(at)).toString(16).padStart(8, '0')}`;
  return lines.every(isRight) ? lines.length : undefined;
}

function editedVersion(body: Buffer): number | undefined {
  if (body.length === 0 || body.length % BLOCK_BYTES !== 0) return undefined;
  const version = body.readBigUInt64LE(0);
  for (let at = 0; at < body.length; at += BLOCK_BYTES) {
    if (body.readBigUInt64LE(at) !== version) return undefined;
    if (crc32(body.subarray(at, at + 8)) !== body.readUInt32LE(at + 8)) return undefined;
  }
  return Number(version);
}
