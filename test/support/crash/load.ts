/**
 * The programs that use a mount while its daemon is killed (load.py), one process each, and what they say: how far they
 * got, how long each call waited, what was wrong. All times are CLOCK_MONOTONIC seconds of the programs themselves, so this
 * process being busy makes no pause longer. Refuses to touch the mount from the test's own process.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ended, projectRoot } from '../mount.js';
import { monotonicSeconds } from './crash-mount.js';
import { kernelStacks } from './processes.js';

export type Role =
  'buffered' | 'direct' | 'mmap' | 'vectors' | 'handles' | 'list' | 'find' | 'slow-list' | 'churn' | 'writing';
export const readerRoles: readonly Role[] = ['buffered', 'direct', 'mmap', 'vectors'];
export const allRoles: readonly Role[] = [...readerRoles, 'handles', 'list', 'find', 'slow-list', 'churn'];

/** One call of a program that took long: CLOCK_MONOTONIC seconds. */
export interface Wait {
  readonly role: Role;
  readonly from: number;
  readonly to: number;
  readonly what: string;
}

export interface LoadCounts {
  readonly done: number;
  readonly rounds: number;
  readonly calls: number;
  readonly wrong: number;
  readonly errors: number;
  readonly lost: number;
}

export interface Load {
  /** Wrong bytes, names, attributes; failed calls; programs that died. Empty while all is well. */
  readonly faults: readonly string[];
  /** Writes that ended with EIO: allowed, told. */
  readonly lost: readonly string[];
  readonly waits: readonly Wait[];
  /** Resolves when every program has got on since `seconds`, or one has seen a fault; false after `waitMs`. */
  passed(seconds: number, waitMs: number): Promise<boolean>;
  /** Those that have not got on since then, and where they wait. */
  stuck(seconds: number): string[];
  /** Ends the programs; what each did. One that has to be killed is a fault. */
  stop(): Promise<Partial<Record<Role, LoadCounts>>>;
}

const LOOK_MS = 10;
/** Far above any pause that is still one. */
const STOP_WAIT_MS = 120_000;
const FAULTS_MAX = 200;

interface Program {
  readonly role: Role;
  readonly child: ChildProcess;
  gotOnAt: number;
  counts?: LoadCounts;
  said: string;
}

export function startLoad(options: {
  readonly python: string;
  readonly mountPath: string;
  /** The directory that the store serves. */
  readonly origin: string;
  readonly seed: number;
  readonly roles: readonly Role[];
  /** What to put before each program: nsenter with the mount's namespace. */
  readonly enter?: readonly string[];
  /** CPU priority of the programs, so that the daemon comes first on a small machine. */
  readonly nice?: number;
}): Load {
  const { python, mountPath, origin, seed } = options;
  const faults: string[] = [];
  const lost: string[] = [];
  const waits: Wait[] = [];
  const fault = (text: string): void => {
    if (faults.length < FAULTS_MAX) faults.push(`${monotonicSeconds().toFixed(3)} ${text}`);
  };
  const hear = (program: Program, line: string): void => {
    let fields: Record<string, unknown>;
    try {
      fields = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return fault(`${program.role} said ${line}`);
    }
    if (typeof fields['at'] === 'number') program.gotOnAt = fields['at'];
    if (Array.isArray(fields['wait'])) {
      const [from, to] = fields['wait'] as [number, number];
      waits.push({ role: program.role, from, to, what: String(fields['what']) });
    }
    if (typeof fields['wrong'] === 'string') fault(`WRONG ${fields['wrong']}`);
    if (typeof fields['error'] === 'string') fault(`ERROR ${fields['error']}`);
    if (typeof fields['lost'] === 'string') lost.push(fields['lost']);
    if (fields['end'] !== undefined) program.counts = fields['end'] as LoadCounts;
  };
  const programs = options.roles.map((role): Program => {
    const script = join(projectRoot, 'test/support/crash/load.py');
    const enter = options.enter ?? [];
    const words = [
      '-n',
      String(options.nice ?? 5),
      ...enter,
      python,
      '-u',
      script,
      role,
      mountPath,
      origin,
      String(seed),
    ];
    const child = spawn('nice', words, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
      cwd: '/',
    });
    const program: Program = { role, child, gotOnAt: 0, said: '' };
    let partial = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (partial + text).split('\n');
      partial = lines.pop() ?? '';
      for (const line of lines) hear(program, line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (program.said = (program.said + text).slice(-4000)));
    child.stdin.on('error', () => undefined);
    child.on('close', (code, signal) => {
      if (code !== 0 || program.counts === undefined)
        fault(`ENDED ${role}: ${signal ?? `exit code ${code}`} ${program.said}`);
    });
    return program;
  });
  const isBehind = (program: Program, seconds: number): boolean =>
    program.gotOnAt < seconds && !hasEnded(program.child);
  return {
    ...{ faults, lost, waits },
    async passed(seconds, waitMs) {
      for (const endMs = Date.now() + waitMs; programs.some((one) => isBehind(one, seconds)); await sleep(LOOK_MS)) {
        if (faults.length > 0) return true;
        if (Date.now() > endMs) return false;
      }
      return true;
    },
    stuck: (seconds) =>
      programs
        .filter((one) => isBehind(one, seconds))
        .map((one) => `${one.role} (pid ${one.child.pid}) since ${one.gotOnAt}:\n${kernelStacks(one.child.pid ?? 0)}`),
    async stop() {
      for (const { child } of programs) child.stdin?.end();
      await Promise.all(
        programs.map(async ({ role, child }) => {
          if (await ended(child, STOP_WAIT_MS)) return;
          fault(`HANGS ${role}\n${kernelStacks(child.pid ?? 0)}`);
          child.kill('SIGKILL');
          await ended(child, STOP_WAIT_MS);
        }),
      );
      await sleep(50);
      return Object.fromEntries(programs.map(({ role, counts }) => [role, counts]));
    },
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
