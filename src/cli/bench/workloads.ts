/**
 * What is measured: one row a workload, each a pure function from the files to a load, and how its result becomes figures.
 * Names and block sizes are those of docs/BENCHMARKS.md, so that figures can be laid beside each other; bench/fio has the same
 * as job files. Each round reads other random places, so that a daemon's own cache does not answer for the store.
 * Refuses to know what is measured: a mount, a disk or tmpfs.
 */
import { join } from 'node:path';
import { counted, KIB, MIB } from '../../base/units.js';
import { Random } from '../../workload/random.js';
import type { FileRef, Lane, Load } from '../../workload/steps.js';
import type { Layout } from './layout.js';

/** How a group of lanes becomes a number. */
export type Unit = 'MB/s' | 'op/s' | 'files/s' | 'entries/s' | 'ms';

/** A figure of a run: of all lanes of `group`. */
export interface FigureRow {
  readonly name: string;
  readonly group: string;
  readonly unit: Unit;
}

export interface WorkloadContext {
  readonly layout: Layout;
  readonly round: number;
  readonly isVerified: boolean;
  /** fsync(2) what is written. */
  readonly isSynced: boolean;
}

export interface PlannedLoad {
  readonly load: Load;
  /** Files that the load wrote: removed afterwards, outside of the time. */
  readonly written: readonly string[];
}

export interface Workload {
  readonly name: string;
  readonly describe: string;
  readonly figures: readonly FigureRow[];
  /** The load; or a sentence why these files do not allow it. */
  plan(context: WorkloadContext): PlannedLoad | string;
}

const STREAM_BLOCK_BYTES = MIB;
const NO_BIG = 'no file of 8 MiB or more to read';
const NO_SMALL = 'no files of 1 MiB or less to read';
const NO_OUTPUT = 'nothing is written with --files';

function reading(lanes: readonly Lane[], files: readonly FileRef[]): PlannedLoad {
  return { load: { lanes, dropped: files.map((file) => file.path) }, written: [] };
}

/** `lanes` arrays of items, dealt out in turn. */
function deal<T>(items: readonly T[], lanes: number): T[][] {
  return Array.from({ length: Math.min(lanes, items.length) }, (_, lane) =>
    items.filter((_, at) => at % lanes === lane),
  );
}

function figure(name: string, unit: Unit, group = 'all'): FigureRow {
  return { name, unit, group };
}

function sequential(streams: number, isDirect: boolean): Workload {
  const name = `seq${streams}${isDirect ? 'd' : ''}`;
  const how = isDirect ? 'O_DIRECT' : 'buffered';
  return {
    name,
    describe: `${counted(streams, 'sequential stream')}, 1 MiB reads, ${how}`,
    figures: [figure(name, 'MB/s')],
    plan: ({ layout, isVerified }) => {
      if (!layout.big) return NO_BIG;
      const files = streams === 1 ? [layout.big] : layout.shards;
      if (files.length < streams) return `only ${files.length} files of 8 MiB or more for ${streams} streams`;
      const lanes = deal(files, streams).map((share): Lane => ({
        group: 'all',
        steps: [{ op: 'read', files: share, blockBytes: STREAM_BLOCK_BYTES, isDirect, isVerified }],
      }));
      return reading(lanes, files);
    },
  };
}

function randomly(name: string, blockBytes: number, count: number, threads: number, unit: 'MB/s' | 'op/s'): Workload {
  const from = threads === 1 ? 'one thread' : `${threads} threads`;
  return {
    name,
    describe: `${count} reads of ${blockBytes / KIB} KiB at random aligned places of one file, ${from}, O_DIRECT`,
    figures: [figure(name, unit)],
    plan: ({ layout, round }) => {
      const { big } = layout;
      if (!big) return NO_BIG;
      const random = new Random(blockBytes + threads * 7 + round * 1009);
      const places = Math.max(1, Math.floor(big.bytes / blockBytes));
      const offsets = Array.from({ length: count }, () => random.below(places) * blockBytes);
      const lanes = deal(offsets, threads).map((share): Lane => ({
        group: 'all',
        steps: [{ op: 'read-at', file: big, offsets: share, blockBytes, isDirect: true }],
      }));
      return reading(lanes, [big]);
    },
  };
}

function smallFiles(name: string, threads: number, isShuffled: boolean): Workload {
  return {
    name,
    describe: `small files ${isShuffled ? 'shuffled' : 'in name order'}, ${threads === 1 ? 'one thread' : `${threads} threads`}`,
    figures: [figure(name, 'files/s')],
    plan: ({ layout, round, isVerified }) => {
      if (layout.small.length === 0) return NO_SMALL;
      const files = isShuffled ? new Random(3 + round).shuffled(layout.small) : layout.small;
      const lanes = deal(files, threads).map((share): Lane => ({
        group: 'all',
        steps: [{ op: 'read', files: share, blockBytes: STREAM_BLOCK_BYTES, isDirect: false, isVerified }],
      }));
      return reading(lanes, files);
    },
  };
}

/** Files of together half the big file's bytes, `writers` of them. */
function outputs({ layout, round }: WorkloadContext, writers: number): FileRef[] {
  const bytes = Math.max(MIB, Math.floor((layout.big?.bytes ?? MIB) / 2 / writers));
  return Array.from({ length: writers }, (_, at) => ({
    path: join(layout.output ?? '', `written-${writers}-${round}-${at}`),
    bytes,
    contentId: 100_000 + round * 100 + at,
  }));
}

function writing(writers: number): Workload {
  const name = `write${writers}`;
  return {
    name,
    describe: `${writers} new file${writers === 1 ? '' : 's at once'}, 1 MiB writes, until close(2) has returned`,
    figures: [figure(name, 'MB/s')],
    plan: (context) => {
      if (context.layout.output === undefined) return NO_OUTPUT;
      const files = outputs(context, writers);
      const lanes = files.map((file): Lane => ({
        group: 'all',
        steps: [{ op: 'write', files: [file], blockBytes: STREAM_BLOCK_BYTES, isSynced: context.isSynced }],
      }));
      return { load: { lanes }, written: files.map((file) => file.path) };
    },
  };
}

const SMALL_WRITES_MAX = 200;

const writeSmall: Workload = {
  name: 'write-small',
  describe: `new files of 40 kB one after the other (${SMALL_WRITES_MAX} at most), one thread`,
  figures: [figure('write-small', 'files/s')],
  plan: ({ layout, round, isSynced }) => {
    const { output } = layout;
    if (output === undefined) return NO_OUTPUT;
    const files = layout.small.slice(0, SMALL_WRITES_MAX).map((file, at) => ({
      ...file,
      path: join(output, `small-${round}-${at}`),
    }));
    const lane: Lane = { group: 'all', steps: [{ op: 'write', files, blockBytes: STREAM_BLOCK_BYTES, isSynced }] };
    return { load: { lanes: [lane] }, written: files.map((file) => file.path) };
  },
};

const FIRST_BYTE_FILES = 8;

const firstByte: Workload = {
  name: 'ttfb',
  describe: `open and first byte of a file, median of ${FIRST_BYTE_FILES}`,
  figures: [figure('ttfb', 'ms')],
  plan: ({ layout, round }) => {
    const all = layout.shards.length > 0 ? layout.shards : layout.small;
    if (all.length === 0) return 'no files to open';
    const files = new Random(11 + round).shuffled(all).slice(0, FIRST_BYTE_FILES);
    return reading([{ group: 'all', steps: [{ op: 'first-byte', files }] }], files);
  },
};

const listing: Workload = {
  name: 'list',
  describe: 'one directory, all names and the attributes of each',
  figures: [figure('list', 'entries/s')],
  plan: ({ layout }) => {
    return { load: { lanes: [{ group: 'all', steps: [{ op: 'list', path: layout.listed }] }] }, written: [] };
  },
};

const MIXED_READERS = 4;

const mixed: Workload = {
  name: 'mixed',
  describe: `${MIXED_READERS} sequential streams, buffered, while one checkpoint is written`,
  figures: [figure('mixed-read', 'MB/s', 'readers'), figure('mixed-write', 'MB/s', 'writer')],
  plan: (context) => {
    const { layout, isSynced, isVerified } = context;
    if (layout.output === undefined) return NO_OUTPUT;
    const [file] = outputs(context, 1);
    if (!file) return NO_OUTPUT;
    const written = { ...file, path: `${file.path}-mixed` };
    const readers = deal(layout.shards, MIXED_READERS).map((files): Lane => ({
      group: 'readers',
      isRepeated: true,
      steps: [{ op: 'read', files, blockBytes: STREAM_BLOCK_BYTES, isDirect: false, isVerified }],
    }));
    const writer: Lane = {
      group: 'writer',
      steps: [{ op: 'write', files: [written], blockBytes: STREAM_BLOCK_BYTES, isSynced }],
    };
    const { load } = reading([...readers, writer], layout.shards);
    return { load, written: [written.path] };
  },
};

/** In the order in which they run: what opens files first comes before what has read them. */
export const workloads: readonly Workload[] = [
  firstByte,
  listing,
  smallFiles('small1', 1, false),
  smallFiles('small16', 16, true),
  sequential(1, false),
  sequential(4, false),
  sequential(16, false),
  sequential(1, true),
  sequential(4, true),
  sequential(16, true),
  randomly('rand4k', 4 * KIB, 200, 1, 'op/s'),
  randomly('rand4kx16', 4 * KIB, 3200, 16, 'op/s'),
  randomly('rand256', 256 * KIB, 100, 1, 'MB/s'),
  randomly('rand256x8', 256 * KIB, 400, 8, 'MB/s'),
  writing(1),
  writing(4),
  writeSmall,
  mixed,
];

export const workloadNames: readonly string[] = workloads.map(({ name }) => name);
export const defaultWorkloads = workloadNames;
