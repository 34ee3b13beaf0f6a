/**
 * `mount-s3x gc [BUCKET]`: shows what earlier mounts have left and nobody needs any more, and with --yes takes it away: unfinished
 * files older than --older-than, with their uploads; spool files that nothing describes; run files, sockets and last words of
 * daemons that have ended; old diagnostic reports; and with --all-uploads every old open upload of the bucket.
 *
 * What a mount that runs owns is never touched: left-overs in use, files of living processes, and uploads that the journal of any
 * mount of this machine names; each thing is looked at again just before it goes.
 * Refuses to guess whose an upload is: without --all-uploads those that nothing here knows of are only counted.
 */
import type { Argv } from 'yargs';
import { counted, formatBytes } from '../base/units.js';
import { visible } from '../base/visible.js';
import type { Collected } from '../doctor/left/collect.js';
import type { Garbage, GarbageKind } from '../doctor/left/garbage.js';
import { CommandError } from '../main/command-error.js';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { describeFailure } from '../main/failure.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { LeftOverStores } from './left-over-stores.js';
import { typedSettings } from './mount.js';
import { declareMountOptions, positional, type ParsedArguments } from './parse.js';
import { showProgress } from './progress.js';
import { settingsAsIf } from './settings/as-if.js';
import { prepareYaml } from './settings/yaml-file.js';

const ownOptions = ['older-than', 'dry-run', 'yes', 'all-uploads', 'json'] as const;

/** Of one kind that are named; --json has all. */
const NAMED_MAX = 20;

/** In the order in which they are shown, and the word for one. */
const kinds: readonly (readonly [GarbageKind, string])[] = [
  ['left-over', 'unfinished file'],
  ['upload', 'open upload'],
  ['spool', 'spool file'],
  ['runtime', 'runtime file'],
  ['report', 'diagnostic report'],
];

export const gcCommand: Command = {
  pattern: 'gc [bucket]',
  describe: 'Show what mounts have left and nobody needs; with --yes take it away',
  declare: (parser: Argv) =>
    declareMountOptions(
      parser
        .positional('bucket', { type: 'string', describe: 'Also look at the open uploads of this bucket or prefix' })
        .option('older-than', {
          string: true,
          nargs: 1,
          describe: 'Only what is older: 7d, 12h, 30m [default: --recover-age, and what daemons left at once]',
        })
        .option('dry-run', { boolean: true, describe: 'Only show it; the default' })
        .option('yes', { boolean: true, describe: 'Take it away' })
        .option('all-uploads', { boolean: true, describe: 'Also old uploads that nothing on this machine knows of' })
        .option('json', { boolean: true, describe: 'Print JSON' }),
    ),
  run: gc,
};

async function gc(parsed: ParsedArguments, io: CliIo): Promise<number> {
  await prepareYaml(Object.entries(parsed), io.owner.env);
  const bucket = positional(parsed, 'bucket');
  const [does, allUploads] = [parsed['yes'] === true, parsed['all-uploads'] === true];
  if (does && parsed['dry-run'] === true) {
    throw new CommandError(EXIT_USAGE, '--yes and --dry-run contradict each other', 'leave one out');
  }
  const typed = { ...typedSettings(parsed, ownOptions), bucket, directory: undefined };
  const { config, given, hasBucket } = settingsAsIf(typed, io);
  if (allUploads && !hasBucket) {
    throw new CommandError(EXIT_USAGE, '--all-uploads needs a bucket', 'e.g. `mount-s3x gc my-bucket --all-uploads`');
  }
  const age = parsed['older-than'];
  const olderThanMs = age === undefined ? undefined : ageMs(age);
  const stores = new LeftOverStores(given, config.write.objects, io);
  try {
    const { findGarbage } = await import('../doctor/left/find.js');
    const found = await findGarbage(
      {
        spoolDirectory: config.write.spoolDirectory,
        olderThanMs,
        recoverAgeMs: config.write.recoverAgeMs,
        ...(hasBucket ? { store: config.store } : {}),
      },
      { owner: io.owner, open: (options) => stores.open(options), of: (leftOver) => stores.of(leftOver) },
    );
    const chosen = allUploads ? found : found.filter(({ kind }) => kind !== 'upload');
    const strangers = found.length - chosen.length;
    if (!does) {
      io.print(parsed['json'] === true ? JSON.stringify(asJson(chosen, strangers), null, 2) : shown(chosen, strangers));
      return EXIT_OK;
    }
    return await takeAway(chosen, strangers, parsed['json'] === true, io);
  } finally {
    await stores.close();
  }
}

async function takeAway(all: readonly Garbage[], strangers: number, isJson: boolean, io: CliIo): Promise<number> {
  const { collect } = await import('../doctor/left/collect.js');
  const progress = showProgress(io);
  let result: Collected;
  try {
    result = await collect(all, (done) =>
      progress.show({ found: all.length, isListed: true, deleted: done, failed: 0 }),
    );
  } finally {
    progress.end();
  }
  const { removed, kept, failed } = result;
  if (isJson) {
    const failures = failed.map(({ garbage, error }) => ({
      ...plain(garbage),
      message: describeFailure(error).message,
    }));
    const gone = { removed: removed.map(plain), kept: kept.map(plain), failed: failures, uploadsOfOthers: strangers };
    io.print(JSON.stringify({ format: 1, ...gone }, null, 2));
  } else {
    const bytes = removed.reduce((sum, each) => sum + (each.bytes ?? 0), 0);
    io.print(`${removed.length} removed, ${formatBytes(bytes)} of local disk${tellStrangers(strangers)}`);
    for (const { name } of kept.slice(0, NAMED_MAX)) io.print(`kept: ${visible(name)} has come into use, or is gone`);
  }
  for (const { garbage, error } of failed) {
    io.complain(`mount-s3x: ${visible(garbage.name)} could not be removed: ${visible(describeFailure(error).message)}`);
  }
  return failed.length === 0 ? EXIT_OK : EXIT_FAILURE;
}

/** `7d`, `12h`, `30m`, `90s`, or seconds. Throws CommandError. */
function ageMs(given: unknown): number {
  const match = typeof given === 'string' ? /^(\d{1,9})([smhd]?)$/.exec(given) : null;
  if (match === null) {
    const text = String(given);
    throw new CommandError(
      EXIT_USAGE,
      `--older-than ${text === '' ? '""' : text}: not an age`,
      'allowed: 7d, 12h, 30m, 90s',
    );
  }
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[match[2] ?? 's'] ?? 1;
  return Number(match[1]) * unit * 1000;
}

function plain({ kind, name, why, bytes, atMs }: Garbage): object {
  return { kind, name, why, bytes: bytes ?? null, atMs: Math.round(atMs) };
}

function asJson(all: readonly Garbage[], strangers: number): object {
  return { format: 1, garbage: all.map(plain), uploadsOfOthers: strangers };
}

function shown(all: readonly Garbage[], strangers: number): string {
  const lines: string[] = [];
  for (const [kind, word] of kinds) {
    const those = all.filter((each) => each.kind === kind);
    if (those.length === 0) continue;
    const bytes = those.reduce((sum, each) => sum + (each.bytes ?? 0), 0);
    const count = counted(those.length, word);
    lines.push(`${count}${kind === 'upload' ? '' : `, ${formatBytes(bytes)}`}:`);
    for (const { name, why, atMs } of those.slice(0, NAMED_MAX)) {
      lines.push(`  ${visible(name)}`, `      ${new Date(atMs).toISOString().slice(0, 16)}Z, ${visible(why)}`);
    }
    if (those.length > NAMED_MAX) lines.push(`  and ${those.length - NAMED_MAX} more`);
  }
  if (all.length === 0) return `Nothing to take away${tellStrangers(strangers)}.`;
  return [...lines, '', `mount-s3x gc --yes takes this away${tellStrangers(strangers)}.`].join('\n');
}

function tellStrangers(count: number): string {
  return count === 0 ? '' : `; ${counted(count, 'old upload')} that nothing here knows of: --all-uploads`;
}
