/**
 * `npm run demo`: a data set, the embedded S3 server over it, a mount of it, and proof that what comes through the mount
 * is what was written. Without `--once` everything stays up until Ctrl-C, for looking around.
 * It drives the same `mount-s3x` command that a user types, in its own processes; nothing is called in-process, so the
 * demo shows what is shipped. Refuses to leave anything behind: mount, server and files go at the end, whatever happened.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../free-port.js';
import { demoDataSet, writeDataSet, type DataFile } from './data-set.js';

const BUCKET = 'demo';
const READ_BYTES = 1024 * 1024;
/** Longest that the server may take to listen, or the mount to answer. */
const START_WAIT_MS = 30_000;

const root = fileURLToPath(new URL('../../..', import.meta.url));
const cli = join(root, 'dist/bundle/bin/mount-s3x.js');
const server = join(root, 'dist/dev/s3-server/main.js');
const once = process.argv.includes('--once');

const credentials = { AWS_ACCESS_KEY_ID: 'demo-key', AWS_SECRET_ACCESS_KEY: 'demo-secret', AWS_REGION: 'us-east-1' };
const environment = { ...process.env, ...credentials, AWS_EC2_METADATA_DISABLED: 'true' };

function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}

function megabytesPerSecond(bytes: number, ms: number): string {
  return `${(bytes / 1e3 / Math.max(ms, 0.001)).toFixed(0)} MB/s`;
}

/** Runs a program to its end with our output streams; its exit code. */
function run(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args], { stdio: 'inherit', env: environment });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

async function untilAnswers(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + START_WAIT_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`the S3 server ended with exit code ${child.exitCode}`);
    try {
      await fetch(url);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`the S3 server did not answer at ${url} within ${START_WAIT_MS / 1000} s`);
}

interface ReadResult {
  readonly sha256: string;
  readonly ms: number;
  readonly bytes: number;
}

async function readThrough(path: string): Promise<ReadResult> {
  const file = await open(path, 'r');
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let bytes = 0;
  let ms = 0;
  try {
    for (;;) {
      const startMs = performance.now();
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, bytes);
      ms += performance.now() - startMs;
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
  return { sha256: hash.digest('hex'), ms, bytes };
}

async function showListing(mountPoint: string): Promise<void> {
  say(`\n$ ls -l ${mountPoint}`);
  for (const directory of await readdir(mountPoint)) {
    const names = await readdir(join(mountPoint, directory));
    say(`${directory}/`);
    for (const name of names.slice(0, 4)) {
      const facts = await stat(join(mountPoint, directory, name));
      const size = facts.isDirectory() ? 'directory' : String(facts.size).padStart(11);
      say(`  ${size.padStart(11)}  ${facts.mtime.toISOString().slice(0, 19)}  ${name}`);
    }
    if (names.length > 4) say(`  ... and ${names.length - 4} more`);
  }
}

/** Reads every file once and compares its checksum; the number of files that differ. */
async function verify(mountPoint: string, files: readonly DataFile[]): Promise<number> {
  const kinds = new Map<string, { files: number; bytes: number; ms: number }>();
  let wrong = 0;
  for (const file of files) {
    const result = await readThrough(join(mountPoint, file.path));
    if (result.sha256 !== file.sha256 || result.bytes !== file.sizeBytes) {
      wrong++;
      say(`WRONG BYTES in ${file.path}: ${result.bytes} of ${file.sizeBytes} bytes, sha256 ${result.sha256}`);
    }
    const kind = file.path.slice(0, file.path.indexOf('/'));
    const sum = kinds.get(kind) ?? { files: 0, bytes: 0, ms: 0 };
    kinds.set(kind, { files: sum.files + 1, bytes: sum.bytes + result.bytes, ms: sum.ms + result.ms });
  }
  say('\nread through the mount, one file after the other:');
  for (const [kind, sum] of kinds) {
    const size = `${(sum.bytes / 1e6).toFixed(1)} MB`;
    say(
      `  ${kind.padEnd(12)} ${String(sum.files).padStart(4)} files ${size.padStart(10)}  ${megabytesPerSecond(sum.bytes, sum.ms)}`,
    );
  }
  say(wrong === 0 ? `all ${files.length} checksums (SHA-256) agree` : `${wrong} of ${files.length} files DIFFER`);
  return wrong;
}

/** A second signal does not wait for the end of whatever hangs. */
function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    // A timer keeps the process alive; a signal ends the wait.
    const alive = setInterval(() => undefined, 60_000);
    const end = (): void => {
      clearInterval(alive);
      resolve();
    };
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
    process.once('SIGHUP', end);
  });
}

async function demo(): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-demo-'));
  const data = join(directory, 'buckets');
  const mountPoint = join(directory, 'mnt');
  mkdirSync(join(data, BUCKET), { recursive: true });
  mkdirSync(mountPoint);
  let child: ChildProcess | undefined;
  let mounted = false;
  const interrupted = untilInterrupted();
  try {
    say(`writing the data set below ${data}`);
    const files = writeDataSet(join(data, BUCKET), demoDataSet);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const key = ['--access-key', credentials.AWS_ACCESS_KEY_ID, '--secret-key', credentials.AWS_SECRET_ACCESS_KEY];
    // A session of its own, so that Ctrl-C ends the mount before the server that it reads from.
    child = spawn(process.execPath, [server, '--dir', data, '--port', String(port), ...key], {
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true,
    });
    await untilAnswers(url, child);
    say(`the embedded S3 server serves it at ${url}`);

    const mountArgs = [BUCKET, mountPoint, '--endpoint-url', url, '--force-path-style', '--read-only'];
    say(`\n$ mount-s3x ${mountArgs.join(' ')}`);
    const startMs = performance.now();
    const code = await run([cli, ...mountArgs, '--log-directory', join(directory, 'logs')]);
    if (code !== 0) return code;
    mounted = true;
    say(`mounted in ${(performance.now() - startMs).toFixed(0)} ms`);

    const shown = showListing(mountPoint).then(() => verify(mountPoint, files));
    const wrong = await Promise.race([shown, interrupted.then(() => undefined)]);
    if (wrong === undefined) {
      say('\ninterrupted');
      return 1;
    }
    if (wrong > 0) return 1;
    if (!once) {
      say(`\nThe mount is at ${mountPoint} (S3 at ${url}, bucket ${BUCKET}). Look around in another terminal;`);
      say('Ctrl-C here unmounts it, stops the server and removes the files.');
      await interrupted;
      say();
    }
    return 0;
  } finally {
    if (mounted && (await run([cli, 'unmount', mountPoint])) !== 0) {
      say(`the mount at ${mountPoint} is busy and was detached`);
      await run([cli, 'unmount', '--lazy', mountPoint]);
    }
    child?.kill('SIGTERM');
    rmSync(directory, { recursive: true, force: true });
    say('unmounted, server stopped, files removed');
  }
}

try {
  process.exitCode = await demo();
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
// What still waits for a signal would keep the process alive.
process.exit();
