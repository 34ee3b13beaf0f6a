/**
 * A bucket as something to measure: mounted to a temporary directory by the same command that people use, in the foreground of a
 * child process, with the flags that were given; unmounted and mounted again before each measurement; taken away in the end.
 * The child is a process group of its own, so that Ctrl-C reaches only us, who unmount it when its files are removed.
 * Refuses to leave a mount behind: what does not end within END_WAIT_MS is detached and killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, realpathSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findMount } from '../../fuse/mountinfo.js';
import { unmountFuse } from '../../fuse/unmount.js';
import { endsWithin } from '../../main/child-end.js';
import { CommandError } from '../../main/command-error.js';
import { EXIT_FAILURE } from '../../main/exit-codes.js';
import { findRunFile } from '../../main/run-file.js';
import type { CliIo } from '../io.js';
import type { Daemon, Target } from './target.js';

const MOUNT_WAIT_MS = 60_000;
/** Uploads are over when the files are closed; an end takes well under a second. */
const END_WAIT_MS = 30_000;
/** Flags that --no-log would contradict. */
const logFlags = /^(-l|--log-directory|--debug|-d|--debug-crt|--log-metrics|--no-log)(=|$)/;

type Place = Pick<CliIo, 'owner' | 'daemonEntry' | 'cwd'>;

export class BucketTarget implements Target {
  readonly name: string;
  readonly directory: string;
  /** close(2) returns when the object is there. */
  readonly isSynced = false;
  readonly #flags: readonly string[];
  readonly #place: Place;
  #child: ChildProcess | undefined;

  private constructor(name: string, flags: readonly string[], place: Place) {
    this.name = name;
    this.#flags = flags;
    this.#place = place;
    this.directory = realpathSync(mkdtempSync(join(tmpdir(), 'mount-s3x-bench-')));
  }

  /** Mounts it. Throws CommandError with what the mount said. */
  static async open(name: string, flags: readonly string[], place: Place): Promise<BucketTarget> {
    const target = new BucketTarget(name, flags, place);
    try {
      await target.#mount();
    } catch (error) {
      await target.close();
      throw error;
    }
    return target;
  }

  get describe(): string {
    const flags = this.#flags.length === 0 ? '' : ` with ${this.#flags.join(' ')}`;
    return `${this.name}: mounted anew for each measurement${flags}`;
  }

  get daemon(): Daemon | undefined {
    const run = findRunFile(this.directory, this.#place.owner);
    const pid = run?.pid ?? this.#child?.pid;
    if (pid === undefined) return undefined;
    return { pid, mountPoint: this.directory, ...(run?.socket !== undefined && { socket: run.socket }) };
  }

  async refresh(): Promise<boolean> {
    await this.#unmount();
    await this.#mount();
    return true;
  }

  async close(): Promise<void> {
    await this.#unmount();
    try {
      rmdirSync(this.directory);
    } catch {
      // Somebody is in it, or it is gone: an empty directory in the temporary one.
    }
  }

  async #mount(): Promise<void> {
    const { daemonEntry, owner, cwd } = this.#place;
    const quiet = this.#flags.some((flag) => logFlags.test(flag)) ? [] : ['--no-log'];
    const args = [join(dirname(daemonEntry), 'mount-s3x.js'), 'mount', this.name, this.directory, '--foreground'];
    const child = spawn(process.execPath, [...args, ...quiet, ...this.#flags], {
      cwd,
      env: owner.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-4000)));
    const outcome = await new Promise<'ready' | 'late' | number>((resolve) => {
      const timer = setTimeout(() => resolve('late'), MOUNT_WAIT_MS);
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (text.includes(' is mounted at ')) resolve('ready');
      });
      child.on('error', () => resolve(EXIT_FAILURE));
      child.on('close', (code) => resolve(code ?? EXIT_FAILURE));
      child.on('close', () => clearTimeout(timer));
      child.stdout.on('data', () => clearTimeout(timer));
    });
    if (outcome === 'ready') return;
    const why = outcome === 'late' ? `no answer within ${MOUNT_WAIT_MS / 1000} s` : lastLine(complaint);
    const exitCode = outcome === 'late' ? EXIT_FAILURE : outcome;
    const [what = why, remedy] = why.split('; ');
    throw new CommandError(
      exitCode,
      `${this.name} cannot be mounted: ${what}`,
      remedy ?? 'flags of the mount stand after --',
    );
  }

  async #unmount(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child) return;
    if (findMount(this.directory) !== undefined) {
      await unmountFuse(this.directory, { lazy: false }).catch(() => undefined);
      if (findMount(this.directory) !== undefined) {
        await unmountFuse(this.directory, { lazy: true }).catch(() => undefined);
      }
    }
    if (await endsWithin(child, END_WAIT_MS)) return;
    child.kill('SIGKILL');
    await endsWithin(child, END_WAIT_MS);
  }
}

function lastLine(text: string): string {
  const line = text.trim().split('\n').at(-1) ?? '';
  return line.replace(/^mount-s3x: /, '') || 'it ended without a word';
}
