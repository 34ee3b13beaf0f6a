/**
 * The table: which work each row does on which store, who does it, and what it must reach. The floors are those that the
 * project set itself before it was built; docs/BENCHMARKS.md explains each row.
 * Refuses to measure: this file only says what.
 */
import {
  cpuMsPerFile,
  cpuPerGb,
  cpuSeconds,
  lessCpuThan,
  roundTrips,
  sentAtMost,
  serverBytes,
  testBeside,
  timeBeside,
  timesFaster,
  valueAtLeast,
  valueAtMost,
  type Floor,
} from './floors.js';
import type { SideName } from './sides.js';
import type { StoreKind } from './stores.js';

export interface Row {
  readonly name: string;
  readonly store: StoreKind;
  /** bench/mount-bench.py reads, write-bench.py writes (a bucket of its own), epoch-bench.py needs torch. */
  readonly program: 'mount-bench' | 'write-bench' | 'epoch-bench';
  /** Tests of the program, one after the other on one fresh mount. */
  readonly tests: readonly string[];
  /** Test names in its output, where they are not those asked for. */
  readonly reported?: readonly string[];
  readonly sides: readonly SideName[];
  /** What the bare side does instead of `tests`. */
  readonly bareTests?: readonly string[];
  /** Flags of mount-s3x. */
  readonly flags: readonly string[];
  readonly floors: readonly Floor[];
  /** s3fs can do this row, if it is asked for everywhere. */
  readonly peerToo: boolean;
  /** Mounts the bucket of a million keys instead. */
  readonly many?: boolean;
}

const MIB = 1024 * 1024;
const RAND256_BYTES = 100 * 256 * 1024;
const RAND4K_BYTES = 200 * 4096;
const SMALL_FILES = 1600;
/** Small files are measured with names that may be a minute old, as training data is mounted. */
const TTL = ['--metadata-ttl', '60'];
/** What a busy link gets anyway. */
const EXACT = ['--read-around', 'off'];

function row(name: string, store: StoreKind, test: string, floors: readonly Floor[], more: Partial<Row> = {}): Row {
  return {
    name,
    store,
    program: 'mount-bench',
    tests: [test],
    sides: ['mount-s3x'],
    flags: [],
    peerToo: true,
    floors,
    ...more,
  };
}

function stream(test: string, cpu: number, faster: number): Row {
  const floors = [cpuPerGb(test, cpu), timesFaster(test, 's3fs', faster)];
  return row(test, 'plain', test, floors, { sides: ['mount-s3x', 's3fs'] });
}

function streamOverTls(test: string): Row {
  const floors = [cpuPerGb(test, 1.6), lessCpuThan(test, 's3fs')];
  return row(`${test}-tls`, 'tls', test, floors, { sides: ['mount-s3x', 's3fs'] });
}

function random(test: string): Row {
  return row(`${test}-far`, 'far', test, [timeBeside(test, 'bare', 1.1)], { sides: ['mount-s3x', 'bare'] });
}

function exact(test: string, neededBytes: number): Row {
  return row(`${test}-exact-far`, 'far', test, [serverBytes(test, neededBytes, 1.05)], {
    flags: EXACT,
    peerToo: false,
  });
}

function epoch(tests: readonly string[], reported: readonly string[], floors: readonly Floor[]): Row {
  const name = `loader-${(tests[0] ?? '').replace('_', '-')}-far`;
  return row(name, 'far', '', floors, { program: 'epoch-bench', tests, reported, flags: TTL });
}

const BOTH: readonly SideName[] = ['mount-s3x', 's3fs'];

function write(name: string, store: StoreKind, test: string, floors: readonly Floor[], more: Partial<Row> = {}): Row {
  return row(name, store, test, floors, { program: 'write-bench', ...more });
}

export const rows: readonly Row[] = [
  stream('seq1', 1.0, 1.2),
  stream('seq1d', 0.8, 1.3),
  stream('seq4', 1.0, 2.7),
  stream('seq4d', 0.8, 1.6),
  row('small16', 'plain', 'small16', [cpuMsPerFile('small16', SMALL_FILES, 0.4)], { flags: TTL }),
  row('procs8', 'plain', 'procs8', [serverBytes('procs8', 1024 * MIB, 1.05)]),
  row(
    'nobody',
    'plain',
    'seq1',
    [
      {
        what: "x root's",
        atLeast: 0.75,
        of: (figures) => {
          const nobody = figures.median('nobody', 'seq1', 'value');
          const root = figures.median('mount-s3x', 'seq1', 'value');
          return nobody === undefined || root === undefined ? undefined : nobody / root;
        },
      },
    ],
    { sides: ['mount-s3x', 'nobody'], peerToo: false },
  ),
  row('many', 'plain', 'ls_many', [valueAtMost('ls_many', 's', 40)], { many: true, peerToo: false }),
  streamOverTls('seq1d'),
  streamOverTls('seq4d'),
  row('seq1-far', 'far', 'seq1', [valueAtLeast('seq1', 'MB/s', 420), cpuPerGb('seq1', 1.1)]),
  row('seq1d-far', 'far', 'seq1d', [valueAtLeast('seq1d', 'MB/s', 520), cpuPerGb('seq1d', 0.9)]),
  row('ttfb-far', 'far', 'ttfb', [valueAtMost('ttfb', 'ms', 30)]),
  row('ttfb-cold-far', 'far', 'ttfb_cold', [valueAtMost('ttfb_cold', 'ms', 60)]),
  random('rand256'),
  random('rand256x8'),
  random('rand4k'),
  exact('rand256', RAND256_BYTES),
  exact('rand256x8', 4 * RAND256_BYTES),
  exact('rand4k', RAND4K_BYTES),
  row('small1-far', 'far', 'small1', [valueAtLeast('small1', 'files/s', 400)], { flags: TTL }),
  row('small16-far', 'far', 'small16', [valueAtLeast('small16', 'files/s', 1200)], { flags: TTL }),
  epoch(
    ['images'],
    ['images', 'images_again'],
    [valueAtLeast('images', 'cold/s', 1000), valueAtLeast('images_again', 'again/s', 5000)],
  ),
  epoch(['shards'], ['shards'], [valueAtLeast('shards', 'MB/s', 250)]),
  epoch(['tar_random'], ['tar_random'], [valueAtLeast('tar_random', '/s', 110)]),
  row('list-far', 'far', 'list', [valueAtLeast('list', 'entries/s', 25_000), cpuSeconds('list', 0.6)]),
  row('dents-far', 'far', 'dents', [roundTrips('dents', 2)], {
    sides: ['mount-s3x', 'bare'],
    bareTests: ['round_trip'],
  }),
  write('write1', 'plain', 'write1', [cpuPerGb('write1', 0.85), timesFaster('write1', 's3fs', 1.8)], { sides: BOTH }),
  write('write1-tls', 'tls', 'write1', [cpuPerGb('write1', 1.6)]),
  write('write1-far', 'far', 'write1', [valueAtLeast('write1', 'MB/s', 330)]),
  write('write-small', 'plain', 'write_small', [timesFaster('write_small', 's3fs', 3)], { sides: BOTH }),
  write('write-small-far', 'far', 'write_small', [valueAtLeast('write_small', 'files/s', 30)]),
  write('writers8', 'plain', '', [testBeside('writers8', 'write1', 'x write1', 1)], { tests: ['write1', 'writers8'] }),
  write('append', 'plain', 'append', [sentAtMost('append', 6 * MIB)]),
  write('rename-1g', 'plain', 'rename_1g', [sentAtMost('rename_1g', 0)]),
  write('rename-dir-far', 'far', 'rename_dir', [valueAtMost('rename_dir', 's', 3)]),
  write('rm-far', 'far', 'rm', [valueAtMost('rm', 's', 3)]),
  row('interleaved-far', 'far', '', [testBeside('inter4', 'inter1', 'x one stream', 0.8)], {
    tests: ['inter1', 'inter4'],
  }),
];

/** Rows that the user named, each name exact or the beginning of several; throws for one that is neither. */
export function selectRows(names: readonly string[]): readonly Row[] {
  if (names.length === 0) return rows;
  const known = new Set(rows.map((one) => one.name));
  const unknown = names.filter((name) => !rows.some((one) => one.name.startsWith(name)));
  if (unknown.length > 0) {
    throw new Error(`no such row: ${unknown.join(', ')}; there are ${[...known].join(', ')}`);
  }
  return rows.filter((one) => names.some((name) => (known.has(name) ? one.name === name : one.name.startsWith(name))));
}
