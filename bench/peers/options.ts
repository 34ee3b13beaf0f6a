/** The command line of `npm run bench:peers`. Refuses what it does not know. */
import { parseArgs } from 'node:util';

export const HELP = `Usage: npm run bench:peers -- [options] [-- FLAGS FOR mount-s3x]

Measures this mount beside s3fs, and beside bare GETs where the network is the floor; docs/BENCHMARKS.md explains each row.

  --rounds N           measurements of each side of each row, alternating [default: 5]
  --rows A,B           only these rows; a word that is no row selects all rows that begin with it
  --list               only print the rows
  --memory-target MIB  of mount-s3x [default: 512]; with another value than 512 only the memory bound is judged
  --data DIR           where the embedded server keeps its objects, 5 GB [default: /dev/shm/mount-s3x-bench]
  --proxy PATH         a program with the flags of dev/latency-proxy instead of it
  --python PATH        for the readers; the DataLoader rows need one with torch [default: $PYTHON or python3]
  --all-sides          measure s3fs in every row, not only where the floor compares with it
  --warm-memory GIB    touch so much memory before, so that a virtual machine has it [default: 0]
  --only SIDE          only mount-s3x, s3fs or bare
`;

export interface BenchOptions {
  readonly rounds: number;
  readonly rows: readonly string[];
  readonly list: boolean;
  readonly help: boolean;
  readonly memoryTargetMib: number;
  readonly warmMemoryGib: number;
  readonly data: string;
  readonly proxy: string | undefined;
  readonly python: string;
  readonly allSides: boolean;
  readonly only: string | undefined;
  /** Flags for mount-s3x, as given behind `--`. */
  readonly ownFlags: readonly string[];
}

/** Throws with a sentence when an argument makes no sense. */
export function readOptions(argv: readonly string[], env: NodeJS.ProcessEnv): BenchOptions {
  const dashes = argv.indexOf('--');
  const { values } = parseArgs({
    args: argv.slice(0, dashes >= 0 ? dashes : undefined),
    options: {
      rounds: { type: 'string', default: '5' },
      rows: { type: 'string', default: '' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      'memory-target': { type: 'string', default: '512' },
      'warm-memory': { type: 'string', default: '0' },
      data: { type: 'string', default: '/dev/shm/mount-s3x-bench' },
      proxy: { type: 'string' },
      python: { type: 'string', default: env['PYTHON'] ?? 'python3' },
      'all-sides': { type: 'boolean', default: false },
      only: { type: 'string' },
    },
  });
  return {
    rounds: positive('--rounds', values.rounds),
    rows: values.rows.split(',').filter((name) => name !== ''),
    list: values.list,
    help: values.help,
    memoryTargetMib: positive('--memory-target', values['memory-target']),
    warmMemoryGib: wholeFrom(0, '--warm-memory', values['warm-memory']),
    data: values.data,
    proxy: values.proxy,
    python: values.python,
    allSides: values['all-sides'],
    only: values.only,
    ownFlags: dashes >= 0 ? argv.slice(dashes + 1) : [],
  };
}

function positive(flag: string, text: string): number {
  return wholeFrom(1, flag, text);
}

function wholeFrom(least: number, flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`${flag} wants a whole number from ${least} on, not ${text}`);
  }
  return value;
}
