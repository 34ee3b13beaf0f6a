/**
 * From the arguments of `mount-s3x bench` to what is to be measured: every value checked, nothing touched yet.
 * Refuses combinations that would measure something other than they say.
 */
import { resolve } from 'node:path';
import { GIB, MIB } from '../../base/units.js';
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import { plainWords, positional, refuseUnknown, type ParsedArguments } from '../parse.js';
import { nearest } from '../suggest.js';
import * as values from '../values.js';
import { dataSets, type DataSetName } from './announced-sets.js';
import { defaultWorkloads, workloadNames } from './workloads.js';

export interface BenchWish {
  /** As typed: a directory, or a bucket. */
  readonly target: string;
  readonly against: string | undefined;
  /** For a target that is a bucket. */
  readonly mountFlags: readonly string[];
  readonly workloads: readonly string[];
  readonly rounds: number;
  /** Of the big file; all other sizes follow. */
  readonly bigBytes: number;
  readonly smallFiles: number;
  /** Existing files to read, relative to the target; empty: a data set is made. */
  readonly files: readonly string[];
  readonly pid: number | undefined;
  readonly againstPid: number | undefined;
  readonly isVerified: boolean;
  readonly waitMs: number;
  readonly isJson: boolean;
  readonly htmlFile: string | undefined;
  /** Instead of workloads. */
  readonly dataSet:
    { readonly name: DataSetName; readonly scale: number; readonly scratch: string | undefined } | undefined;
}

const flags = ['json', 'verify'] as const;
const valueOptions = {
  workloads: 'Which, separated by commas [default: all]',
  rounds: 'How often each is measured; medians are told [default: 3]',
  scale: 'Size of the data set: 1 is 2 GiB and 2,000 small files [default: 1]',
  bytes: 'Size of its big file in bytes, instead of what --scale says',
  files:
    'Read this file, or the files below this directory, instead of making any (for read-only mounts); relative to DIR; may be given again',
  against: 'A second directory, measured in turn with the first',
  pid: 'The process that serves DIR, for its CPU and memory [default: found for our own mounts]',
  'against-pid': 'The same of --against',
  html: 'Write a report with charts to this file',
  dataset: `One of AWS's data sets instead of workloads, beside other clients: ${dataSets.map((set) => set.name).join(', ')}`,
  scratch: 'Directory for the copies of other clients, with --dataset [default: the temporary directory]',
  timeout: 'Seconds after which one measurement is given up [default: 600]',
} as const;

export const benchFlags = {
  json: 'Print JSON instead of a table',
  verify: 'Compare every byte that is read with what was written',
} as const;
export const benchValues = valueOptions;
const known = [...flags, ...Object.keys(valueOptions)];

const ROUNDS_MAX = 1000;
const SCALE_MAX = 10_000;
const BIG_BYTES_DEFAULT = GIB;
/** 16 shards of 64 KiB: less measures nothing. */
const BIG_BYTES_MIN = MIB;
const BIG_BYTES_MAX = 4096 * GIB;
const SMALL_FILES_DEFAULT = 2000;
const SMALL_FILES_MIN = 20;
/** Their names and sizes are kept in memory, and go to the load generator. */
const SMALL_FILES_MAX = 200_000;

/** Throws CommandError. */
export function readWish(parsed: ParsedArguments, cwd: string): BenchWish {
  const rest = plainWords(parsed).slice(1);
  refuseUnknown(parsed, known, ['target'], Number.POSITIVE_INFINITY);
  const target = positional(parsed, 'target');
  if (target === undefined || target === '') {
    throw new CommandError(
      EXIT_USAGE,
      'what to measure is missing',
      'give a directory or a bucket, e.g. `mount-s3x bench /mnt/data` or `mount-s3x bench my-bucket -- --read-only`',
    );
  }
  const stray = rest[0];
  if (stray !== undefined && !stray.startsWith('-')) {
    throw new CommandError(EXIT_USAGE, `unexpected argument ${stray}`, 'flags of the mount stand after --');
  }
  const one = (name: keyof typeof valueOptions): string | undefined => single(parsed, name);
  const read = <T>(name: keyof typeof valueOptions, reader: (text: string) => T): T | undefined => {
    const text = one(name);
    return text === undefined ? undefined : reader(text);
  };
  const scale = read('scale', (text) => values.positiveNumber('scale', text, 0.0001, SCALE_MAX, '')) ?? 1;
  const bytes = read('bytes', (text) => values.wholeNumber('bytes', text, BIG_BYTES_MIN, BIG_BYTES_MAX, 'bytes'));
  const files = list(parsed, 'files');
  const dataSet = read('dataset', (text) =>
    values.oneOf(
      'dataset',
      text,
      dataSets.map((set) => set.name),
    ),
  );
  const workloads = read('workloads', readWorkloads);
  if (files.length > 0 && (bytes !== undefined || one('scale') !== undefined)) {
    throw new CommandError(
      EXIT_USAGE,
      '--files reads what is there, --scale and --bytes make a data set',
      'give one of them',
    );
  }
  if (files.length > 0 && parsed['verify'] === true) {
    throw new CommandError(
      EXIT_USAGE,
      '--verify knows only bytes that were written here',
      'leave --files or --verify out',
    );
  }
  if (
    dataSet !== undefined &&
    (workloads !== undefined || files.length > 0 || bytes !== undefined || one('against') !== undefined)
  ) {
    throw new CommandError(
      EXIT_USAGE,
      '--dataset is written and read whole',
      'leave --workloads, --files, --bytes and --against out; --scale says how much of it',
    );
  }
  const pid = (name: 'pid' | 'against-pid'): number | undefined =>
    read(name, (text) => values.wholeNumber(name, text, 1, 4_194_304));
  return {
    target,
    against: one('against'),
    mountFlags: rest,
    workloads: workloads ?? defaultWorkloads,
    rounds: read('rounds', (text) => values.wholeNumber('rounds', text, 1, ROUNDS_MAX)) ?? 3,
    bigBytes: bytes ?? Math.max(BIG_BYTES_MIN, Math.round(BIG_BYTES_DEFAULT * scale)),
    smallFiles: Math.min(SMALL_FILES_MAX, Math.max(SMALL_FILES_MIN, Math.round(SMALL_FILES_DEFAULT * scale))),
    files,
    pid: pid('pid'),
    againstPid: pid('against-pid'),
    isVerified: parsed['verify'] === true,
    waitMs: (read('timeout', (text) => values.wholeNumber('timeout', text, 1, 86_400, 'seconds')) ?? 600) * 1000,
    htmlFile: read('html', (text) => resolve(cwd, text)),
    dataSet: dataSet && { name: dataSet, scale, scratch: read('scratch', (text) => resolve(cwd, text)) },
    isJson: parsed['json'] === true,
  };
}

function readWorkloads(text: string): readonly string[] {
  const names = text.split(',').filter((name) => name !== '');
  for (const name of names) {
    if (workloadNames.includes(name)) continue;
    const near = nearest(name, workloadNames);
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    throw values.badValue('workloads', name, `not known${hint}`, workloadNames.join(', '));
  }
  if (names.length === 0) throw values.badValue('workloads', text, 'empty', workloadNames.join(', '));
  return [...new Set(names)];
}

function single(parsed: ParsedArguments, name: string): string | undefined {
  const value = parsed[name];
  if (value === undefined) return undefined;
  if (Array.isArray(value)) {
    throw new CommandError(EXIT_USAGE, `--${name} was given more than once (${value.join(', ')})`, 'give it once');
  }
  return text(value);
}

function list(parsed: ParsedArguments, name: string): readonly string[] {
  const value = parsed[name];
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : [value]).map(text);
}

/** What yargs gives for an option with a value. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
