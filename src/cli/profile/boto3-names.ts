/**
 * boto3's TransferConfig in our words: one row a name, what it becomes, and what is said where the two differ. So that a
 * configuration that somebody tuned there can be tried here as it is. docs/PROFILES.md shows this table.
 * The meanings are those of boto3 1.40 (boto3.s3.transfer.TransferConfig and s3transfer's); sizes may also be written as
 * the AWS CLI's configuration writes them (16MB, which is 16 * 1024 * 1024 there).
 * Refuses what chooses another program: preferred_transfer_client.
 */
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import type { OptionName } from '../options.js';

/** Options as text, and lines for the person. */
export interface Translated {
  readonly options: readonly (readonly [OptionName, string])[];
  readonly notes: readonly string[];
}

export type Boto3Name =
  | 'multipart_threshold'
  | 'max_concurrency'
  | 'use_threads'
  | 'multipart_chunksize'
  | 'num_download_attempts'
  | 'max_bandwidth'
  | 'max_io_queue'
  | 'io_chunksize'
  | 'preferred_transfer_client';

/** All boto3 values of one profile, checked to be of the kind that their row says. */
export type Boto3Values = ReadonlyMap<Boto3Name, number | boolean>;

interface Row {
  readonly kind: 'bytes' | 'count' | 'switch' | 'rate' | 'refused';
  /** For docs and messages: what it becomes here. */
  readonly becomes: string;
  translate(value: number | boolean, all: Boto3Values): Translated;
}

const nothing: Translated = { options: [], notes: [] };
const noted = (note: string): Translated => ({ options: [], notes: [note] });
const option = (name: OptionName, value: number | string): Translated => ({
  options: [[name, String(value)]],
  notes: [],
});

/** boto3's default of multipart_chunksize. */
const CHUNK_BYTES_DEFAULT = 8 * 1024 * 1024;
const BITS_A_BYTE = 8;
const GIGA = 1e9;

const table: Readonly<Record<Boto3Name, Row>> = {
  multipart_threshold: {
    kind: 'bytes',
    becomes: 'no option: what is longer than a part goes in parts',
    translate: (value, all) => {
      const chunk = all.get('multipart_chunksize') ?? CHUNK_BYTES_DEFAULT;
      if (value === chunk) return nothing;
      return noted(`multipart_threshold ${value}: here what is longer than a part (${Number(chunk)}) goes in parts`);
    },
  },
  max_concurrency: {
    kind: 'count',
    becomes: '--max-connections',
    translate: (value, all) => {
      if (all.get('use_threads') !== false) return option('max-connections', Number(value));
      return noted('max_concurrency is ignored with use_threads: false, as boto3 does');
    },
  },
  use_threads: {
    kind: 'switch',
    becomes: 'false: --max-connections 1',
    translate: (value) => (value === true ? nothing : option('max-connections', 1)),
  },
  multipart_chunksize: {
    kind: 'bytes',
    becomes: '--part-size',
    translate: (value) => option('part-size', Number(value)),
  },
  num_download_attempts: {
    kind: 'count',
    becomes: '--max-attempts',
    translate: (value) => option('max-attempts', Number(value)),
  },
  max_bandwidth: {
    kind: 'rate',
    becomes: '--max-bandwidth, in Gbit/s instead of bytes a second',
    translate: (value) => option('max-bandwidth', ((Number(value) * BITS_A_BYTE) / GIGA).toFixed(9)),
  },
  max_io_queue: {
    kind: 'count',
    becomes: 'no option: what has arrived lies in the pool, which --memory-target bounds',
    translate: () => noted('max_io_queue has no effect: what has arrived lies in the pool (--memory-target)'),
  },
  io_chunksize: {
    kind: 'bytes',
    becomes: 'no option: bytes go from the socket to where they stay',
    translate: () => noted('io_chunksize has no effect: bytes go from the socket to where they stay'),
  },
  preferred_transfer_client: {
    kind: 'refused',
    becomes: 'refused: this program brings its own, there is none to choose',
    translate: () => nothing,
  },
};

export const boto3Names = Object.keys(table) as readonly Boto3Name[];

/** Each name with what it becomes, for docs and tests. */
export const boto3Table: readonly (readonly [Boto3Name, string])[] = boto3Names.map((name) => [
  name,
  table[name].becomes,
]);

export function isBoto3Name(name: string): name is Boto3Name {
  return Object.hasOwn(table, name);
}

/** One value as boto3 means it. `where` begins messages. Throws CommandError. */
export function readBoto3Value(name: Boto3Name, value: unknown, where: string): number | boolean {
  const { kind } = table[name];
  const wrong = (why: string, remedy: string): CommandError =>
    new CommandError(EXIT_USAGE, `${where}: ${name}: ${why}`, remedy);
  switch (kind) {
    case 'refused':
      throw wrong(
        'there is no other transfer client to choose here',
        'leave it out: the mount has its own, and the other names of boto3 set it',
      );
    case 'switch':
      if (typeof value !== 'boolean') throw wrong(`${said(value)} is neither true nor false`, 'allowed: true, false');
      return value;
    case 'count':
      if (!isCount(value)) throw wrong(`${said(value)} is not a whole number`, 'allowed: a whole number from 1 on');
      return value;
    case 'bytes':
    case 'rate': {
      const bytes = typeof value === 'string' ? readSize(value, kind === 'rate') : value;
      if (isCount(bytes)) return bytes;
      const unit = kind === 'rate' ? 'bytes a second, or e.g. 50MB/s' : 'bytes, or e.g. 16MB';
      throw wrong(`${said(value)} is no size`, `allowed: ${unit}`);
    }
  }
}

/** All rows of a profile together, because some look at others. */
export function translateBoto3(values: Boto3Values): Translated {
  const parts = [...values].map(([name, value]) => table[name].translate(value, values));
  return { options: parts.flatMap((part) => part.options), notes: parts.flatMap((part) => part.notes) };
}

const steps: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** The AWS CLI's sizes: KB is 1024 bytes there. */
function readSize(text: string, isRate: boolean): number | undefined {
  const match = /^(\d{1,15})\s*([KMGT]?)i?B(\/s)?$/i.exec(text);
  const step = steps[match?.[2]?.toUpperCase() ?? '?'];
  if (match === null || step === undefined || (match[3] !== undefined) !== isRate) return undefined;
  return Number(match[1]) * step;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

function said(value: unknown): string {
  if (typeof value === 'string') return `"${value}"`;
  const isPlain =
    value === null || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint';
  return isPlain ? String(value) : 'what is given';
}
