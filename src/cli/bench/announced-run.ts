/**
 * `bench --dataset`: writes one of the announced data sets and reads it back, through the mount and with each client that is
 * installed, every byte compared with what it should be. Each side reads what it has written itself, so that a side that writes
 * wrong is found too. The mount's files come out of memory and its reads are compared as they arrive; clients copy from and to a
 * scratch directory, which is compared afterwards, outside of the time. A client's time begins with its process.
 * Refuses to compare clients with a directory: they need a bucket.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { messageOf } from '../../base/thrown.js';
import { formatBytes } from '../../base/units.js';
import type { StoreOptions } from '../../engine/api.js';
import { CommandError } from '../../main/command-error.js';
import { EXIT_FAILURE } from '../../main/exit-codes.js';
import { doChoreInChild, generate, type GeneratorOptions } from '../../workload/generator.js';
import { StepError } from '../../workload/lane.js';
import { ProcessMeter } from '../../workload/process-meter.js';
import type { FileRef, Lane, Load } from '../../workload/steps.js';
import { removeFiles } from './data-set.js';
import { commandErrorOf, describeFailure } from './failures.js';
import { sampleOf, type Figure, type Sample } from './results.js';
import type { Target } from './target.js';
import { askTraffic, trafficBetween } from './traffic.js';
import { findClients, runCommand, type TransferClient } from './transfer-clients.js';

const LANES_MAX = 16;
const BLOCK_BYTES = 1024 * 1024;
const SAMPLE_WAIT_MS = 300;

export interface AnnouncedOptions extends GeneratorOptions {
  readonly rounds: number;
  readonly scratch: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Directory below the target that everything is put into; it exists. */
  readonly root: string;
  /** Where the target's bucket is, for clients; undefined for a directory. */
  readonly store: StoreOptions | undefined;
  readonly onProgress: (line: string) => void;
  /** Told of every directory below `root` before it is used. */
  readonly onDirectory: (path: string, files: readonly FileRef[]) => void;
}

export interface AnnouncedResults {
  readonly figures: readonly Figure[];
  readonly sides: readonly { readonly name: string; readonly describe: string }[];
  readonly notes: readonly string[];
}

type Direction = 'write' | 'read';

/** Does it. Failures of a side are results; throws when the scratch directory is too small, or it was interrupted. */
export async function runAnnounced(
  target: Target,
  files: readonly FileRef[],
  options: AnnouncedOptions,
): Promise<AnnouncedResults> {
  const scratch = mkdtempSync(join(options.scratch ?? tmpdir(), 'mount-s3x-bench-scratch-'));
  try {
    const found = options.store
      ? await findClients(options.store, options.env, scratch, options.signal)
      : { clients: [], missing: ['other clients: they are measured beside a BUCKET, not beside a directory'] };
    const source = join(scratch, 'source');
    if (found.clients.length > 0) await writeSource(source, scratch, files, options);
    const table = new FigureTable(files.length);
    for (let round = 0; round < options.rounds; round++) {
      const sides = [undefined, ...found.clients];
      for (const client of round % 2 === 0 ? sides : sides.reverse()) {
        const name = client?.name ?? 'mount';
        const directory = join(options.root, `${name}-${round}`);
        const placed = files.map((file) => ({ ...file, path: join(directory, file.path) }));
        options.onDirectory(directory, placed);
        for (const direction of ['write', 'read'] as const) {
          options.onProgress(`round ${round + 1} of ${options.rounds}: ${name}, ${direction}`);
          const sample = await attempt(options.signal, () =>
            client
              ? runClient(client, direction, target, directory, { source, scratch, files }, options)
              : runMount(target, direction, directory, placed, options),
          );
          table.add(name, direction, sample);
          // What was not written cannot be read.
          if (typeof sample === 'string') break;
        }
      }
    }
    return {
      figures: table.figures(),
      sides: [
        { name: 'mount', describe: target.describe },
        ...found.clients.map(({ name, describe }) => ({ name, describe: `${name}: ${describe}` })),
      ],
      notes: [
        'every byte that was read was compared with what was written',
        ...found.missing.map((line) => `not measured: ${line}`),
        ...(found.clients.length === 0
          ? []
          : [
              'the CPU of the mount is its daemon\'s (the program that reads is under "generator"); that of a client is all of it',
            ]),
      ],
    };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function attempt(signal: AbortSignal, work: () => Promise<Sample>): Promise<Sample | string> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof StepError) return describeFailure(error.failure);
    return messageOf(error);
  }
}

function lanes(files: readonly FileRef[], step: (share: readonly FileRef[]) => Lane['steps'][number]): Lane[] {
  const count = Math.min(LANES_MAX, files.length);
  return Array.from({ length: count }, (_, lane) => ({
    group: 'all',
    steps: [step(files.filter((_, at) => at % count === lane))],
  }));
}

function writing(files: readonly FileRef[], isSynced: boolean): Load {
  return {
    lanes: lanes(files, (share) => ({ op: 'write', files: share, blockBytes: BLOCK_BYTES, isSynced })),
    dropped: files.map((file) => file.path),
  };
}

function reading(files: readonly FileRef[]): Load {
  return {
    lanes: lanes(files, (share) => ({
      op: 'read',
      files: share,
      blockBytes: BLOCK_BYTES,
      isDirect: false,
      isVerified: true,
    })),
  };
}

/** The clients' copy, with room for what they bring back. */
async function writeSource(
  source: string,
  scratch: string,
  files: readonly FileRef[],
  options: GeneratorOptions,
): Promise<void> {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const { freeBytes = Number.POSITIVE_INFINITY } = await doChoreInChild(
    { chore: 'free-space', path: scratch },
    options,
  );
  if (freeBytes < 2 * bytes) {
    throw new CommandError(
      EXIT_FAILURE,
      `other clients need ${formatBytes(2 * bytes)} of scratch space and ${scratch} has ${formatBytes(freeBytes)}`,
      'name another place with --scratch, or give a smaller --scale',
    );
  }
  try {
    await doChoreInChild({ chore: 'make-directories', paths: [source] }, options);
    await generate(writing(at(files, source), false), options);
  } catch (error) {
    throw error instanceof StepError ? commandErrorOf(error.failure, 'the scratch directory cannot be filled') : error;
  }
}

function at(files: readonly FileRef[], directory: string): FileRef[] {
  return files.map((file) => ({ ...file, path: join(directory, file.path) }));
}

async function runMount(
  target: Target,
  direction: Direction,
  directory: string,
  placed: readonly FileRef[],
  options: GeneratorOptions,
): Promise<Sample> {
  const isFresh = await target.refresh();
  if (direction === 'write') await doChoreInChild({ chore: 'make-directories', paths: [directory] }, options);
  const { daemon } = target;
  const before = await askTraffic(daemon?.socket);
  const meter = daemon && new ProcessMeter(daemon.pid);
  try {
    const result = await generate(direction === 'write' ? writing(placed, target.isSynced) : reading(placed), options);
    const cost = meter?.stop();
    if (before) await new Promise((resolve) => setTimeout(resolve, SAMPLE_WAIT_MS));
    const traffic = trafficBetween(before, await askTraffic(daemon?.socket));
    return sampleOf({ name: direction, group: 'all', unit: 'MB/s' }, result, {
      ...(cost && { daemonCpuSeconds: cost.cpuSeconds, daemonPeakBytes: cost.peakResidentBytes }),
      ...(traffic && { traffic }),
      ...(isFresh && { cachedShare: 0 }),
    });
  } finally {
    meter?.stop();
  }
}

interface Local {
  readonly source: string;
  readonly scratch: string;
  readonly files: readonly FileRef[];
}

async function runClient(
  client: TransferClient,
  direction: Direction,
  target: Target,
  directory: string,
  { source, scratch, files }: Local,
  options: AnnouncedOptions,
): Promise<Sample> {
  const prefix = `${options.store?.prefix ?? ''}${relative(target.directory, directory)}/`;
  const names = files.map((file) => file.path);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const back = join(scratch, 'back');
  if (direction === 'read') await doChoreInChild({ chore: 'make-directories', paths: [back] }, options);
  const command =
    direction === 'write'
      ? client.command('upload', source, prefix, names)
      : client.command('download', back, prefix, names);
  try {
    const cost = await runCommand(command, client.env, options);
    if (direction === 'read') await generate(reading(at(files, back)), options);
    return {
      value: bytes / 1e6 / cost.seconds,
      bytes,
      runBytes: bytes,
      operations: files.length,
      seconds: cost.seconds,
      generatorCpuSeconds: 0,
      daemonCpuSeconds: cost.cpuSeconds,
      daemonPeakBytes: cost.peakResidentBytes,
      cachedShare: 0,
    };
  } finally {
    if (direction === 'read' && !options.signal.aborted) {
      await removeFiles(
        at(files, back).map((file) => file.path),
        options,
      ).catch(() => undefined);
    }
  }
}

/** Files a second are worth telling from so many files on. */
const MANY_FILES = 100;

class FigureTable {
  readonly #figures = new Map<string, Figure & { readonly samples: Sample[]; readonly failures: string[] }>();
  readonly #files: number;

  constructor(files: number) {
    this.#files = files;
  }

  add(side: string, direction: Direction, sample: Sample | string): void {
    this.#one(side, direction, direction, 'MB/s', sample);
    if (this.#files < MANY_FILES) return;
    const each = typeof sample === 'string' ? sample : { ...sample, value: this.#files / sample.seconds };
    this.#one(side, direction, `${direction}-files`, 'files/s', each);
  }

  #one(side: string, direction: Direction, figure: string, unit: Figure['unit'], sample: Sample | string): void {
    const key = `${figure}\0${side}`;
    const made = this.#figures.get(key) ?? {
      workload: direction,
      figure,
      describe:
        direction === 'write' ? 'the whole data set, until every object is there' : 'the whole data set, compared',
      unit,
      target: side,
      samples: [],
      failures: [],
    };
    this.#figures.set(key, made);
    if (typeof sample === 'string') made.failures.push(sample);
    else made.samples.push(sample);
  }

  figures(): Figure[] {
    return [...this.#figures.values()].sort((a, b) => order(a.figure) - order(b.figure));
  }
}

function order(figure: string): number {
  return ['write', 'read', 'write-files', 'read-files'].indexOf(figure);
}
