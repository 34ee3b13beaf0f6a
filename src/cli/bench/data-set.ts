/**
 * Makes the files that a benchmark reads, below a directory of their own, and takes them away again whatever happened. On one of
 * our own mounts a tree is deleted by the daemon in batches; elsewhere file by file, sixteen at once.
 * Refuses to begin where there is no room or no permission, and to delete anything that it has not made.
 */
import { relative } from 'node:path';
import { messageOf } from '../../base/thrown.js';
import { formatBytes } from '../../base/units.js';
import { askControl } from '../../main/control-socket.js';
import { CommandError } from '../../main/command-error.js';
import { EXIT_FAILURE } from '../../main/exit-codes.js';
import { doChoreInChild, generate, type GeneratorOptions } from '../../workload/generator.js';
import { StepError } from '../../workload/lane.js';
import type { FileRef, Lane } from '../../workload/steps.js';
import { commandErrorOf } from './failures.js';
import { directoriesOf, existingLayout, filesOf, type Layout } from './layout.js';
import type { Target } from './target.js';

const WRITERS = 8;
const REMOVERS = 16;
const WRITE_BLOCK_BYTES = 1024 * 1024;
/** Existing files that are looked at. */
const FOUND_MAX = 20_000;
/** For a removal after Ctrl-C or a failure. */
const REMOVE_WAIT_MS = 120_000;

function dealt<T>(items: readonly T[], lanes: number): T[][] {
  return Array.from({ length: Math.min(lanes, items.length) }, (_, lane) =>
    items.filter((_, at) => at % lanes === lane),
  );
}

/** Makes everything of `layout`. Throws CommandError in words; what was made so far is removed by removeDataSet. */
export async function makeDataSet(target: Target, layout: Layout, options: GeneratorOptions): Promise<void> {
  const files = filesOf(layout);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  // A workload writes half the big file at most, and removes it before the next.
  const wantedBytes = bytes + (layout.big?.bytes ?? 0) / 2;
  try {
    const { freeBytes = Number.POSITIVE_INFINITY } = await doChoreInChild(
      { chore: 'free-space', path: target.directory },
      options,
    );
    if (freeBytes < wantedBytes) {
      throw new CommandError(
        EXIT_FAILURE,
        `the data set needs ${formatBytes(wantedBytes)} and ${target.name} has ${formatBytes(freeBytes)} left`,
        'give a smaller --scale, or read what is there with --files',
      );
    }
    await doChoreInChild(
      { chore: 'make-directories', paths: layout.root === undefined ? [] : directoriesOf(layout.root) },
      options,
    );
    // The largest first, so that the lanes end together.
    const lanes = dealt(
      [...files].sort((a, b) => b.bytes - a.bytes),
      WRITERS,
    ).map((share): Lane => ({
      group: 'all',
      steps: [{ op: 'write', files: share, blockBytes: WRITE_BLOCK_BYTES, isSynced: target.isSynced }],
    }));
    await generate({ lanes, dropped: files.map((file) => file.path) }, options);
  } catch (error) {
    throw error instanceof StepError ? commandErrorOf(error.failure, 'the data set cannot be made') : error;
  }
}

/** The files that --files names, below the target. Throws CommandError. */
export async function findExisting(
  target: Target,
  paths: readonly string[],
  options: GeneratorOptions,
): Promise<Layout> {
  const found: { readonly path: string; readonly bytes: number }[] = [];
  for (const path of paths) {
    try {
      const answer = await doChoreInChild({ chore: 'find', path, most: FOUND_MAX - found.length }, options);
      found.push(...(answer.found ?? []));
    } catch (error) {
      throw error instanceof StepError ? commandErrorOf(error.failure, `--files ${path} cannot be read`) : error;
    }
  }
  if (found.length === 0) {
    throw new CommandError(
      EXIT_FAILURE,
      `--files: no files below ${paths.join(', ')}`,
      'name files, or a directory that holds some',
    );
  }
  // Pages from before would be measured instead of the file system.
  await doChoreInChild({ chore: 'drop', paths: found.map((file) => file.path) }, options);
  return existingLayout(found, target.directory);
}

/** Takes the data set away, then empty `directories` below it. Resolves with what is left of it, in words; undefined when nothing is. */
export async function removeDataSet(
  target: Target,
  layout: Pick<Layout, 'root'> & Partial<Layout>,
  written: readonly string[],
  directories: readonly string[] = [],
): Promise<string | undefined> {
  if (layout.root === undefined) return undefined;
  const options: GeneratorOptions = { waitMs: REMOVE_WAIT_MS, signal: new AbortController().signal };
  const { daemon } = target;
  try {
    if (daemon?.socket !== undefined && daemon.mountPoint !== undefined) {
      const path = relative(daemon.mountPoint, layout.root);
      const deleted = await askControl(daemon.socket, { command: 'remove-tree', path }).then(
        (result) => (result as { readonly failed: number }).failed === 0,
        () => false,
      );
      if (deleted) return undefined;
    }
    const files = [...(layout.big ? [layout.big] : []), ...(layout.shards ?? []), ...(layout.small ?? [])];
    await removeFiles([...files.map((file: FileRef) => file.path), ...written], options);
    const paths = [...directories, ...directoriesOf(layout.root).reverse()];
    await doChoreInChild({ chore: 'remove-directories', paths }, options);
    return undefined;
  } catch (error) {
    return `${layout.root} could not be removed (${messageOf(error)}): delete it`;
  }
}

/** Deletes files, several at once; what is not there is no error. */
export async function removeFiles(paths: readonly string[], options: GeneratorOptions): Promise<void> {
  if (paths.length === 0) return;
  const lanes = dealt(paths, REMOVERS).map((files): Lane => ({ group: 'all', steps: [{ op: 'remove', files }] }));
  await generate({ lanes }, options);
}
