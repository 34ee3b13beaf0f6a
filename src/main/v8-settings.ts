/**
 * How V8 runs this process: set for all threads (flags are the process's), before the work begins and once more when the
 * process has lasted.
 *
 * V8 starts to optimise a function when so many bytes of its bytecode have run. Its default suits a program that loops; a
 * daemon has hundreds of functions that run once a request, and with the default the first 1,600 small files of a mount
 * cost 0.64 s of optimising compiler on top of 1.0 s of work, which made the work 0.4 s shorter: BUDGET_AT_FIRST waits.
 * Who has used LONG_CPU_MS has paid for the compiler several times over and goes on: BUDGET_OF_THE_LONG hurries. Measured,
 * fresh mounts, five directories of 1,600 small files each one after the other, CPU ms a file: 0.95, 0.72, 0.66, 0.77, 0.83
 * with 1,000,000 bytes for good, 0.92, 0.91, 0.62, 0.56, 0.53 with these; 0.90 CPU s/GB and 0.76 for four files of 1 GiB.
 * Only in Node 20: later ones count calls instead of bytes, have a cheap compiler before the dear one, and complain on the terminal
 * about a flag that they do not know.
 * Rehearsals (rehearsal/) gain no CPU time over long runs; they are for the first answers.
 * Refuses other flags without a figure.
 */
import { setFlagsFromString } from 'node:v8';
import { systemClock, type Clock, type Timer } from '../base/clock.js';

/** Bytes of bytecode; V8's default is 132 KiB. */
export const BUDGET_AT_FIRST = 500_000;
export const BUDGET_OF_THE_LONG = 40_000;

/** Of all threads together, in JavaScript and its compilers; coming up takes a third of it. */
export const LONG_CPU_MS = 2_500;

/** Between two looks at the CPU time; there are no more once it is used up. */
export const LOOK_MS = 500;

export interface LongRunDeps {
  readonly hasBudget: boolean;
  readonly clock: Clock;
  /** User CPU time of this process so far. */
  readonly cpuMs: () => number;
  readonly setBudget: (bytes: number) => void;
}

/** V8 of that version has a budget of bytes; `version` as in process.versions.v8. */
export function hasBudget(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major < 11 || (major === 11 && minor <= 3);
}

/** Call before the threads are started: what has run already keeps its count. */
export function settleV8(): void {
  if (hasBudget(process.versions.v8)) setInterruptBudget(BUDGET_AT_FIRST);
}

/** Looks until the process has lasted, and sets the budget of such a one. Returns what ends the looking. */
export function hurryWhenLong(deps: LongRunDeps = systemDeps()): () => void {
  let timer: Timer | undefined;
  if (!deps.hasBudget) return () => undefined;
  const look = (): void => {
    if (deps.cpuMs() >= LONG_CPU_MS) deps.setBudget(BUDGET_OF_THE_LONG);
    else timer = deps.clock.after(LOOK_MS, look);
  };
  look();
  return () => timer?.cancel();
}

function systemDeps(): LongRunDeps {
  return {
    hasBudget: hasBudget(process.versions.v8),
    clock: systemClock,
    cpuMs: () => process.cpuUsage().user / 1000,
    setBudget: setInterruptBudget,
  };
}

function setInterruptBudget(bytes: number): void {
  setFlagsFromString(`--interrupt-budget=${bytes}`);
}
