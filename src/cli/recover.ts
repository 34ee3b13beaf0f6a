/**
 * `mount-s3x recover [BUCKET]`: what was written and did not become an object, because its writer was killed, the store
 * refused it, or the mount or the machine ended. Lists it, completes it (`--complete`) or drops it (`--drop`).
 *
 * Without a bucket only the spool directory is looked at, and nobody is asked. With one (or s3://BUCKET/PREFIX/) the uploads
 * that are open there are shown too; of those that no left-over names nothing is known but their age, so they can only be
 * dropped, and `old` spares those younger than --recover-age, which another machine may still be writing.
 * Refuses to guess: a left-over in use, or whose object was replaced meanwhile, stays unless --force is given.
 */
import type { Argv } from 'yargs';
import { ErrnoError } from '../base/errno.js';
import { formatBytes } from '../base/units.js';
import { visible } from '../base/visible.js';
import type { OpenUpload } from '../engine/write-api.js';
import { completeLeftOver, dropLeftOver, listLeftOvers, type LeftOver } from '../fs/writing/recovery.js';
import { CommandError } from '../main/command-error.js';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { becomeUser } from '../main/run-as/run-as.js';
import type { StandaloneStore } from '../main/standalone-store.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { LeftOverStores } from './left-over-stores.js';
import { storeOptionNames, type OptionName } from './options.js';
import { declareOptions, givenOptions, positional, refuseUnknown, type ParsedArguments } from './parse.js';
import { ownerFor, resolveUser } from './run-as.js';
import { writeConfig } from './write-values.js';
import { placed } from './settings/origins.js';
import { aboveEnvironment } from './settings/settle.js';

/** Options of a mount that mean the same here. */
const optionNames: readonly OptionName[] = [
  ...storeOptionNames,
  'spool-dir',
  'recover-age',
  'storage-class',
  'sse',
  'sse-kms-key-id',
  'upload-checksums',
  'tag',
  'store-capabilities',
  'user',
  'run-as',
];

export const recoverCommand: Command = {
  pattern: 'recover [bucket]',
  describe: 'List, complete or drop what was written and did not reach the bucket',
  declare: (parser: Argv) =>
    declareOptions(
      parser
        .positional('bucket', {
          type: 'string',
          describe: 'Look at the uploads of this bucket or s3://BUCKET/PREFIX/, too',
        })
        .option('complete', { string: true, array: true, nargs: 1, describe: 'Make the object of ID, or of all' })
        .option('drop', {
          string: true,
          array: true,
          nargs: 1,
          describe: 'Forget ID, all, or old: above --recover-age',
        })
        .option('force', { boolean: true, describe: 'Replace objects that changed meanwhile' })
        .option('json', { boolean: true, describe: 'Print JSON' }),
      optionNames,
    ),
  run: recover,
};

/** An open upload of the bucket that no left-over of this spool directory names. */
interface Orphan {
  readonly id: string;
  readonly upload: OpenUpload;
  readonly store: StandaloneStore;
}

interface Found {
  readonly leftOvers: readonly LeftOver[];
  readonly orphans: readonly Orphan[];
}

async function recover(parsed: ParsedArguments, asker: CliIo): Promise<number> {
  refuseUnknown(parsed, ['complete', 'drop', 'force', 'json', ...optionNames], ['bucket'], 1);
  const given = aboveEnvironment(givenOptions(parsed), asker.owner.env, optionNames);
  const runAs = placed(given, () => resolveUser(given, asker.owner));
  const io = { ...asker, owner: ownerFor(runAs, asker.owner) };
  // Root has no business with files that another user may turn into links.
  if (runAs !== undefined) becomeUser(runAs);
  const { spoolDirectory, recoverAgeMs, objects } = placed(given, () => writeConfig(given, io.owner, io.cwd));
  const stores = new LeftOverStores(given, objects, io);
  try {
    const bucket = positional(parsed, 'bucket');
    const leftOvers = await listLeftOvers(spoolDirectory);
    const orphans = bucket === undefined ? [] : await orphansOf(bucket, leftOvers, stores);
    const found: Found = { leftOvers, orphans };
    const nowMs = Date.now();
    const isOld = (atMs: number): boolean => nowMs - atMs > recoverAgeMs;
    const complete = chosen(parsed['complete'], found, isOld, false);
    const drop = chosen(parsed['drop'], found, isOld, true);
    const twice = complete.find((id) => drop.includes(id));
    if (twice !== undefined) throw new CommandError(EXIT_USAGE, `${twice} is to be completed and dropped`, 'choose');
    if (complete.length === 0 && drop.length === 0) {
      if (parsed['complete'] === undefined && parsed['drop'] === undefined) {
        io.print(
          parsed['json'] === true ? JSON.stringify(asJson(found), null, 2) : describe(found, spoolDirectory, nowMs),
        );
      }
      return EXIT_OK;
    }
    const work = new Recovery(spoolDirectory, found, stores, parsed['force'] === true, io);
    for (const id of complete) await work.attempt(id, () => work.complete(id));
    for (const id of drop) await work.attempt(id, () => work.drop(id));
    return work.failures === 0 ? EXIT_OK : EXIT_FAILURE;
  } finally {
    await stores.close();
  }
}

/** Ids that the words name. Throws CommandError for one that nothing has. */
function chosen(words: unknown, found: Found, isOld: (atMs: number) => boolean, drops: boolean): string[] {
  if (words === undefined) return [];
  const ids = new Set<string>();
  for (const word of [words].flat().map(String)) {
    const known = [...found.leftOvers.map(({ id }) => id), ...found.orphans.map(({ id }) => id)];
    const usable = found.leftOvers.filter(({ isInUse }) => !isInUse);
    if (word === 'all') {
      for (const { id } of usable) ids.add(id);
      if (drops) for (const { id } of found.orphans) ids.add(id);
    } else if (word === 'old' && drops) {
      for (const { id, leftAtMs } of usable) if (isOld(leftAtMs)) ids.add(id);
      for (const { id, upload } of found.orphans) if (isOld(upload.initiatedMs)) ids.add(id);
    } else if (known.includes(word)) ids.add(word);
    else throw new CommandError(EXIT_USAGE, `there is no left-over ${word}`, '`mount-s3x recover` lists them');
  }
  return [...ids];
}

async function orphansOf(bucket: string, leftOvers: readonly LeftOver[], stores: LeftOverStores): Promise<Orphan[]> {
  const options = stores.options(bucket);
  const store = await stores.open(options);
  const named = new Set(leftOvers.map(({ upload }) => upload?.uploadId));
  return (await store.uploads.listUploads(options.prefix))
    .filter(({ uploadId }) => !named.has(uploadId))
    .map((upload) => ({ id: upload.uploadId, upload, store }));
}

class Recovery {
  failures = 0;
  readonly #spoolDirectory: string;
  readonly #found: Found;
  readonly #stores: LeftOverStores;
  readonly #isForced: boolean;
  readonly #io: CliIo;

  constructor(spoolDirectory: string, found: Found, stores: LeftOverStores, isForced: boolean, io: CliIo) {
    this.#spoolDirectory = spoolDirectory;
    this.#found = found;
    this.#stores = stores;
    this.#isForced = isForced;
    this.#io = io;
  }

  /** One that fails does not keep the others from being tried. */
  async attempt(id: string, work: () => Promise<string>): Promise<void> {
    try {
      this.#io.print(visible(await work()));
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      this.failures++;
      this.#io.complain(`mount-s3x: ${id}: ${visible(error.message)}`);
    }
  }

  async complete(id: string): Promise<string> {
    const leftOver = this.#leftOver(id);
    if (!leftOver) throw new CommandError(EXIT_USAGE, `${id} is an upload of which nothing is known`, 'drop it');
    const { writer, readObject } = await this.#stores.of(leftOver);
    const options = this.#isForced ? { force: true } : {};
    const head = await completeLeftOver(this.#spoolDirectory, id, { writer, readObject }, options);
    const torn = leftOver.isTorn ? `; what came after is lost` : '';
    return `s3://${leftOver.bucket}/${head.key} is complete (${formatBytes(head.sizeBytes)}${torn})`;
  }

  async drop(id: string): Promise<string> {
    const leftOver = this.#leftOver(id);
    const orphan = this.#found.orphans.find((each) => each.id === id);
    if (leftOver) {
      // Without an upload there is nobody to ask: a store that is gone must not keep its left-overs for ever.
      const store = leftOver.upload && (await this.#stores.of(leftOver));
      await dropLeftOver(this.#spoolDirectory, id, store?.writer);
      return `s3://${leftOver.bucket}/${leftOver.key} is dropped`;
    }
    if (!orphan) throw new CommandError(EXIT_USAGE, `there is no left-over ${id}`, '`mount-s3x recover` lists them');
    await orphan.store.writer.abortUpload(orphan.upload);
    return `the upload of ${orphan.upload.key} is aborted`;
  }

  #leftOver(id: string): LeftOver | undefined {
    return this.#found.leftOvers.find((each) => each.id === id);
  }
}

function describe({ leftOvers, orphans }: Found, spoolDirectory: string, nowMs: number): string {
  const lines: string[] = [];
  if (leftOvers.length === 0) lines.push(`nothing is left over in ${spoolDirectory}`);
  for (const each of leftOvers) {
    const { id, bucket, key, because, sizeBytes, isTorn, message } = each;
    const why = each.isInUse
      ? `being written by process ${each.pid} now`
      : {
          killed: 'its writer was killed',
          failed: 'the store refused it',
          shutdown: 'the mount ended',
          crashed: 'the mount crashed',
        }[because];
    lines.push(`${id}  s3://${bucket}/${visible(key)}`);
    lines.push(
      `    ${formatBytes(sizeBytes)}${isTorn ? ', torn: its end is lost' : ''}; ${why} ${ago(nowMs - each.leftAtMs)}`,
    );
    if (message !== '') lines.push(`    ${visible(message)}`);
  }
  for (const { id, upload } of orphans) {
    lines.push(`${id}  an open upload of ${visible(upload.key)}`);
    lines.push(`    begun ${ago(nowMs - upload.initiatedMs)}; nothing is known of it here`);
  }
  if (leftOvers.length + orphans.length > 0) {
    lines.push('', 'mount-s3x recover --complete ID makes the object, --drop ID forgets it');
  }
  return lines.join('\n');
}

function ago(ms: number): string {
  const minutes = Math.max(0, Math.round(ms / 60_000));
  if (minutes < 120) return `${minutes} min ago`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h ago` : `${Math.round(hours / 24)} days ago`;
}

function asJson({ leftOvers, orphans }: Found): object {
  return {
    leftOvers,
    uploads: orphans.map(({ upload: { key, uploadId, initiatedMs } }) => ({ key, uploadId, initiatedMs })),
  };
}
