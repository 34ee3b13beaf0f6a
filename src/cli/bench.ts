/**
 * `mount-s3x bench DIR|BUCKET`: measures a mount, or any directory, with a load generator of its own, and says what it cost.
 * A bucket is mounted to a temporary directory with the flags after `--`. The data set is made below the target and removed in
 * the end, also on Ctrl-C; with --files existing files are read and nothing is written.
 * Refuses to print figures of a run in which something failed without saying so: the exit code is 1 then.
 */
import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { CommandError } from '../main/command-error.js';
import { EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { packageVersion } from '../main/version.js';
import type { StoreOptions } from '../engine/api.js';
import { doChoreInChild, type GeneratorOptions } from '../workload/generator.js';
import { StepError } from '../workload/lane.js';
import { filesOfSet } from './bench/announced-sets.js';
import { runAnnounced } from './bench/announced-run.js';
import { commandErrorOf } from './bench/failures.js';
import { storeOptionsOf } from './build-config.js';
import { BucketTarget } from './bench/bucket-target.js';
import { findExisting, makeDataSet, removeDataSet } from './bench/data-set.js';
import { dataSetRoot, filesOf, ownLayout } from './bench/layout.js';
import { measure, type Side } from './bench/measure.js';
import { htmlReport } from './bench/report-html.js';
import { describeFiles, describeResults } from './bench/report-text.js';
import type { BenchResults } from './bench/results.js';
import { openDirectory, type Target } from './bench/target.js';
import { benchFlags, benchValues, readWish, type BenchWish } from './bench/wishes.js';
import { workloads } from './bench/workloads.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { storeOptionNames } from './options.js';
import { createParser, declareMountOptions, givenOptions, type ParsedArguments } from './parse.js';
import { placed } from './settings/origins.js';
import { aboveEnvironment } from './settings/settle.js';

export const benchCommand: Command = {
  pattern: 'bench [target]',
  describe: 'Measure a mount or any directory: streams, random reads, small files, listing, writing',
  declare: declareBench,
  run: bench,
};

function declareBench(parser: Argv): Argv {
  let declared = parser.positional('target', {
    type: 'string',
    describe: 'A directory, or a bucket to be mounted with the flags after --',
  });
  for (const [name, describe] of Object.entries(benchFlags))
    declared = declared.option(name, { boolean: true, describe });
  for (const [name, describe] of Object.entries(benchValues)) {
    declared = declared.option(name, { string: true, nargs: 1, describe, ...(name === 'files' && { array: true }) });
  }
  return declared.epilogue(`Workloads: ${workloads.map(({ name }) => name).join(', ')}`);
}

async function bench(parsed: ParsedArguments, io: CliIo): Promise<number> {
  const wish = readWish(parsed, io.cwd);
  if (wish.htmlFile !== undefined) tryReport(wish.htmlFile);
  const interruption = new Interruption(io);
  const options: GeneratorOptions = { waitMs: wish.waitMs, signal: interruption.signal };
  const sides: Side[] = [];
  const targets: Target[] = [];
  try {
    targets.push(await openTarget(wish, io, options));
    if (wish.against !== undefined) {
      const path = resolve(io.cwd, wish.against);
      targets.push(await openDirectory(wish.against, path, wish.againstPid, io.owner, options));
    }
    const [first] = targets;
    if (wish.dataSet && first) return await announced(first, wish, wish.dataSet, io, options);
    for (const target of targets) await prepare(target, wish, sides, io, options);
    return await report(wish, sides, io, options);
  } finally {
    for (const side of sides) {
      const left = await removeDataSet(side.target, side.layout, [...side.written]);
      if (left !== undefined) io.complain(`mount-s3x: ${left}`);
    }
    for (const target of targets) await target.close();
    interruption.end();
  }
}

/** A bucket when it can be nothing else: an address, or a plain name that is no directory here. */
function isBucket(name: string, cwd: string): boolean {
  if (/^(s3:\/\/|arn:)/i.test(name)) return true;
  return !name.includes('/') && name !== '.' && name !== '..' && !existsSync(resolve(cwd, name));
}

async function openTarget(wish: BenchWish, io: CliIo, options: GeneratorOptions): Promise<Target> {
  if (isBucket(wish.target, io.cwd)) return BucketTarget.open(wish.target, wish.mountFlags, io);
  if (wish.mountFlags.length > 0) {
    throw new CommandError(
      EXIT_USAGE,
      `${wish.target} is a directory, and flags of a mount (${wish.mountFlags.join(' ')}) do not change it`,
      'give a bucket, or leave out what stands after --',
    );
  }
  return openDirectory(wish.target, resolve(io.cwd, wish.target), wish.pid, io.owner, options);
}

/** Makes or finds the target's files; what was made is in `sides` from its first byte on. */
async function prepare(
  target: Target,
  wish: BenchWish,
  sides: Side[],
  io: CliIo,
  options: GeneratorOptions,
): Promise<void> {
  if (wish.files.length > 0) {
    const paths = wish.files.map((path) => resolve(target.directory, path));
    sides.push({ target, layout: await findExisting(target, paths, options), written: new Set() });
    return;
  }
  const layout = ownLayout(dataSetRoot(target.directory), wish.bigBytes, wish.smallFiles);
  if (io.stderrIsTerminal) io.complain(`mount-s3x: writing ${describeFiles(filesOf(layout))} to ${target.name}`);
  sides.push({ target, layout, written: new Set() });
  await makeDataSet(target, layout, options);
}

async function report(wish: BenchWish, sides: readonly Side[], io: CliIo, options: GeneratorOptions): Promise<number> {
  const startedAt = new Date().toISOString();
  const chosen = workloads.filter(({ name }) => wish.workloads.includes(name));
  const figures = await measure(sides, chosen, {
    ...options,
    rounds: wish.rounds,
    isVerified: wish.isVerified,
    onProgress: (line) => {
      if (io.stderrIsTerminal) io.complain(line);
    },
  });
  return tell(
    {
      ...circumstances(wish),
      startedAt,
      targets: sides.map(({ target }) => ({ name: target.name, describe: target.describe })),
      files: sides[0] ? describeFiles(filesOf(sides[0].layout)) : '',
      notes: [],
      figures,
    },
    wish,
    io,
  );
}

/** --dataset: one target, and the clients beside it. */
async function announced(
  target: Target,
  wish: BenchWish,
  { name, scale, scratch }: NonNullable<BenchWish['dataSet']>,
  io: CliIo,
  options: GeneratorOptions,
): Promise<number> {
  const startedAt = new Date().toISOString();
  const files = filesOfSet(name, scale);
  const root = dataSetRoot(target.directory);
  const written: string[] = [];
  const directories: string[] = [];
  try {
    await makeRoot(root, options);
    const { figures, sides, notes } = await runAnnounced(target, files, {
      ...options,
      rounds: wish.rounds,
      scratch,
      env: io.owner.env,
      root,
      store: target instanceof BucketTarget ? storeOf(wish, io) : undefined,
      onProgress: (line) => {
        if (io.stderrIsTerminal) io.complain(line);
      },
      onDirectory: (path, placed) => {
        directories.push(path);
        for (const file of placed) written.push(file.path);
      },
    });
    const described = `${name} at scale ${scale}: ${describeFiles(files)}`;
    return tell({ ...circumstances(wish), startedAt, targets: sides, files: described, notes, figures }, wish, io);
  } finally {
    const left = await removeDataSet(target, { root }, written, directories);
    if (left !== undefined) io.complain(`mount-s3x: ${left}`);
  }
}

async function makeRoot(root: string, options: GeneratorOptions): Promise<void> {
  try {
    await doChoreInChild({ chore: 'make-directories', paths: [root] }, options);
  } catch (error) {
    throw error instanceof StepError ? commandErrorOf(error.failure, 'the data set cannot be made') : error;
  }
}

/** Where the bucket is, from the flags that its mount was given. */
function storeOf(wish: BenchWish, io: CliIo): StoreOptions {
  const parsed = declareMountOptions(createParser(wish.mountFlags)).parseSync() as ParsedArguments;
  const { env } = io.owner;
  const given = aboveEnvironment(givenOptions(parsed), env, storeOptionNames);
  return placed(given, () => storeOptionsOf(wish.target, given, { env, cwd: io.cwd }));
}

function circumstances(wish: BenchWish): Pick<BenchResults, 'version' | 'machine' | 'rounds'> {
  return {
    version: packageVersion(),
    machine: `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), Linux ${release()}`,
    rounds: wish.rounds,
  };
}

/** Prints, and writes the report. The exit code says whether everything worked. */
function tell(results: BenchResults, wish: BenchWish, io: CliIo): number {
  // First the print: figures of half an hour are not lost to a full disk.
  io.print(wish.isJson ? JSON.stringify(results, null, 2) : describeResults(results));
  if (wish.htmlFile !== undefined) writeReport(wish.htmlFile, results);
  return results.figures.some(({ failures }) => failures.length > 0) ? EXIT_FAILURE : EXIT_OK;
}

function writeReport(file: string, results: BenchResults): void {
  try {
    writeFileSync(file, htmlReport(results));
  } catch (error) {
    throw reportError(file, error);
  }
}

/** Throws now rather than in the end when the report could not be written. Leaves nothing, changes nothing. */
function tryReport(file: string): void {
  try {
    const isNew = !existsSync(file);
    closeSync(openSync(file, 'a'));
    if (isNew) rmSync(file);
  } catch (error) {
    throw reportError(file, error);
  }
}

function reportError(file: string, error: unknown): CommandError {
  const { message } = error as Error;
  return new CommandError(EXIT_FAILURE, `--html ${file}: ${message}`, 'give a file in a directory that may be written');
}

const endSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Ctrl-C gives up what is measured, so that the data set can be removed; a second one is not needed and not heard. */
class Interruption {
  readonly #abort = new AbortController();
  readonly #handlers = endSignals.map((name) => {
    const handler = (): void => {
      if (this.signal.aborted) return;
      this.#io.complain(`mount-s3x: ${name}: ending, and removing what was made`);
      this.#abort.abort(new CommandError(EXIT_INTERRUPTED, 'interrupted; nothing is left behind'));
    };
    process.on(name, handler);
    return () => process.off(name, handler);
  });
  readonly #io: CliIo;

  constructor(io: CliIo) {
    this.#io = io;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  end(): void {
    for (const remove of this.#handlers) remove();
  }
}
