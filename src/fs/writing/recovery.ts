/**
 * Left-overs: files that were written and did not become objects, because their writer was killed, the store refused them, or the
 * mount or the machine ended. What there is of them stands in their journals and spool files; here they are listed,
 * completed (made objects, as far as their bytes are known) or dropped. For the command line and for a mount's start: it needs no
 * mount, only the spool directory and an ObjectWriter.
 *
 * A left-over of a mount that still runs is in use until the mount has left it. Of a mount that crashed only what the store and
 * the spool had is known: the beginning of the file up to the first missing byte.
 * Refuses to guess what bytes are missing, and to replace somebody else's object unless it is told to.
 */
import { readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { EIO, ENOENT, EBUSY, ErrnoError, ESTALE } from '../../base/errno.js';
import { processStart } from '../../base/process-identity.js';
import { codeOf } from '../../base/thrown.js';
import { MIB } from '../../base/units.js';
import type { ObjectHead } from '../../engine/api.js';
import { StoreError } from '../../engine/store-error.js';
import type {
  BodyPiece,
  ObjectProperties,
  ObjectWriter,
  Upload,
  UploadedPart,
  WriteCondition,
} from '../../engine/write-api.js';
import { inParallel } from '../parallel.js';
import type { JournalBegin, JournalLine, JournalRange, LeftBecause } from './journal.js';
import { ofOtherBytes } from './kept-properties.js';
import { PARTS_MAX, PART_BYTES_MAX, PART_BYTES_MIN, planParts, type PartRules, type SentPart } from './part-plan.js';
import { DATA_SUFFIX, JOURNAL_SUFFIX } from './spool.js';
import { openSpoolFile, readSpoolText, type SpoolText } from './spool-open.js';

/** Of what was written into a version that is gone, so many places are named. */
const KEPT_RANGES_SHOWN = 4;

/** Parts that `complete` sends from the heap. */
const PART_BYTES = 16 * MIB;
/** Larger ones, and those of files too large for so small parts, are sent from the spool. */
const MEMORY_PART_BYTES_MAX = 64 * MIB;
/** Of those so many at a time. */
const SENDS = 4;

export interface LeftOver {
  /** Names it in this directory. */
  readonly id: string;
  readonly bucket: string;
  readonly endpointUrl: string | undefined;
  readonly mountPoint: string;
  readonly key: string;
  /** `crashed`: the daemon ended without a word. */
  readonly because: LeftBecause;
  /** What was logged then; '' for crashed ones. */
  readonly message: string;
  /** Milliseconds since 1970: when it was left; where nobody was left to say so, when the journal was last written. */
  readonly leftAtMs: number;
  /** What `complete` would make of it. */
  readonly sizeBytes: number;
  /** The file had more: bytes that nobody has. */
  readonly isTorn: boolean;
  /** Bytes on the local disk. */
  readonly spoolBytes: number;
  readonly spoolPath: string;
  /** An upload that may still be open in the bucket. */
  readonly upload: Upload | undefined;
  /** A mount that runs is still writing it: neither to be completed nor dropped. */
  readonly isInUse: boolean;
  readonly pid: number;
}

/** Bytes [from, to) of a version in the bucket, a few MiB at most. */
export type ReadObject = (key: string, etag: string, from: number, to: number) => Promise<Uint8Array>;

export interface CompleteDeps {
  readonly writer: ObjectWriter;
  /** For unchanged bytes of the object that was edited, where they cannot be copied by the store. */
  readonly readObject: ReadObject;
}

export interface CompleteOptions {
  /** Another key than the one it was written as. */
  readonly key?: string;
  /** Replaces whatever is there; otherwise only the version that was opened is replaced. */
  readonly force?: boolean;
  readonly properties?: ObjectProperties;
}

/** What the journal and the spool say of one. */
interface Known {
  readonly leftOver: LeftOver;
  readonly begin: JournalBegin;
  readonly ranges: readonly JournalRange[];
  readonly parts: readonly { readonly from: number; readonly to: number; readonly part: UploadedPart }[];
  readonly dirtyParts: ReadonlySet<number>;
}

/** All left-overs of a spool directory, the oldest first; none when there is no such directory. */
export async function listLeftOvers(directory: string): Promise<LeftOver[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
  const all: LeftOver[] = [];
  for (const name of names) {
    if (!name.endsWith(JOURNAL_SUFFIX)) continue;
    const known = await readKnown(directory, name.slice(0, -JOURNAL_SUFFIX.length));
    if (known) all.push(known.leftOver);
  }
  return all.sort((one, other) => one.leftAtMs - other.leftAtMs);
}

/**
 * Makes the object of what is known of the file, and removes the left-over. Throws StoreError as the store said, ESTALE when the
 * object is not the version that was edited, EBUSY when it is in use, EIO when its parts are no longer in the bucket.
 */
export async function completeLeftOver(
  directory: string,
  id: string,
  deps: CompleteDeps,
  options: CompleteOptions = {},
): Promise<ObjectHead> {
  const known = await find(directory, id);
  const head = await complete(known, deps, options)
    .catch((error: unknown) => {
      // A lifecycle rule of the bucket, or somebody, ended the upload: its parts are sent again, where they are here.
      const isOver = error instanceof StoreError && error.code === 'NoSuchUpload';
      const isHere = !known.ranges.some(({ kind }) => kind === 'lost');
      if (!isOver || !isHere) throw error;
      return complete({ ...known, leftOver: { ...known.leftOver, upload: undefined } }, deps, options);
    })
    .catch((error: unknown) => {
      throw changedError(error, known) ?? error;
    });
  await removeSpoolFiles(directory, id);
  return head;
}

/** In words, when the store refused because somebody else replaced or deleted the object. */
function changedError(error: unknown, { leftOver, ranges, begin }: Known): ErrnoError | undefined {
  if (!(error instanceof StoreError) || (error.status !== 412 && error.code !== 'NoSuchKey')) return undefined;
  const { id, key, spoolPath } = leftOver;
  const what = begin.base
    ? `'${key}' was replaced or deleted by somebody else since it was opened`
    : `somebody else made '${key}' meanwhile`;
  if (!ranges.some(({ kind }) => kind === 'base')) {
    return new ErrnoError(ESTALE, `${what}; --force makes the object of what was written all the same`, {
      cause: error,
    });
  }
  const kept = ranges.filter(({ kind }) => kind === 'spool').map(({ from, to }) => `${from} to ${to}`);
  const more = kept.length > KEPT_RANGES_SHOWN ? ` and ${kept.length - KEPT_RANGES_SHOWN} more` : '';
  const shown = kept.slice(0, KEPT_RANGES_SHOWN).join(', ');
  const where = shown === '' ? '' : `; what was written lies in ${spoolPath}, bytes ${shown}${more}`;
  return new ErrnoError(
    ESTALE,
    `${what}, and unchanged bytes of that version, which the new one needs, went with it${where}; --drop ${id} forgets it`,
    { cause: error },
  );
}

/** Aborts its upload, if there is one and a writer to do it with, and removes its files. EBUSY when it is in use. */
export async function dropLeftOver(directory: string, id: string, writer: ObjectWriter | undefined): Promise<void> {
  const { leftOver } = await find(directory, id);
  if (leftOver.upload && writer) await writer.abortUpload(leftOver.upload);
  await removeSpoolFiles(directory, id);
}

async function find(directory: string, id: string): Promise<Known> {
  const known = await readKnown(directory, id);
  if (!known) throw new ErrnoError(ENOENT, `there is no left-over '${id}' in ${directory}`);
  if (known.leftOver.isInUse) {
    throw new ErrnoError(EBUSY, `'${known.leftOver.key}' is still being written by process ${known.leftOver.pid}`);
  }
  return known;
}

/** What there is of it on the local disk. */
export async function removeSpoolFiles(directory: string, id: string): Promise<void> {
  // The journal last: without it nobody would find the rest.
  await rm(join(directory, id + DATA_SUFFIX), { force: true });
  await rm(join(directory, id + JOURNAL_SUFFIX), { force: true });
}

async function readKnown(directory: string, id: string): Promise<Known | undefined> {
  const path = join(directory, id + JOURNAL_SUFFIX);
  let found: SpoolText;
  try {
    found = await readSpoolText(path);
  } catch {
    // Completed or dropped just now, or no journal of ours.
    return undefined;
  }
  const lines = parseLines(found.text);
  const begin = lines.find((line) => line.type === 'begin');
  if (!begin) return undefined;
  const left = lines.findLast((line) => line.type === 'left');
  const last = lines.findLast((line) => line.type === 'upload');
  const isAborted = lines.some((line) => line.type === 'aborted' && line.uploadId === last?.uploadId);
  const begun = isAborted ? undefined : last;
  const parts = lines.filter((line) => line.type === 'part');
  const ranges = left ? left.ranges : rangesOfCrash(lines);
  // A daemon that took over goes on with it; while the supervisor lives, one is about to. In another container it has it locked.
  const writer = lines.findLast((line) => line.type === 'taken') ?? begin;
  const isKept = begin.keeper !== undefined && isAlive(begin.keeper);
  const isInUse = left === undefined && (found.isHeld || isAlive(writer) || isKept);
  const isWhole = lines.some((line) => line.type === 'complete');
  const spoolPath = join(directory, id + DATA_SUFFIX);
  const sizeBytes = whole(ranges);
  const spoolBytes = await stat(spoolPath).then(
    ({ blocks }) => blocks * 512,
    () => 0,
  );
  return {
    begin,
    ranges,
    parts,
    dirtyParts: new Set(left?.dirtyParts ?? []),
    leftOver: {
      id,
      bucket: begin.bucket,
      endpointUrl: begin.endpointUrl,
      mountPoint: begin.mountPoint,
      key: left?.key ?? begin.key,
      because: left?.because ?? 'crashed',
      message: left?.message ?? '',
      leftAtMs: left?.atMs ?? found.writtenMs,
      sizeBytes,
      isTorn: left && left.because !== 'crashed' ? sizeBytes < left.sizeBytes : !isWhole,
      spoolBytes,
      spoolPath,
      upload: begun && uploadIn(begun),
      isInUse,
      pid: writer.pid,
    },
  };
}

/** As it was begun: when, too, which a lost answer to its completion is proved with. */
function uploadIn({ type: _type, ...upload }: Extract<JournalLine, { type: 'upload' }>): Upload {
  return upload;
}

function isAlive({ pid, pidStart }: { readonly pid: number; readonly pidStart: string }): boolean {
  return pidStart !== '' && processStart(pid) === pidStart;
}

/** The lines of a journal; undefined when there is none. */
export async function readJournal(directory: string, id: string): Promise<JournalLine[] | undefined> {
  try {
    return parseLines((await readSpoolText(join(directory, id + JOURNAL_SUFFIX))).text);
  } catch {
    return undefined;
  }
}

/**
 * The daemon that wrote the file is dead, and bytes of it with it: says so in its journal, for until then the file counts as
 * in use. Answers what there is of it; undefined when there is nothing. Throws when it cannot be written.
 */
export async function leaveCrashed(
  directory: string,
  id: string,
  file: { readonly key: string; readonly message: string; readonly atMs: number },
): Promise<{ readonly sizeBytes: number } | undefined> {
  const lines = await readJournal(directory, id);
  if (!lines || lines.length === 0) return undefined;
  const ranges = rangesOfCrash(lines);
  const sizeBytes = whole(ranges);
  if (!lines.some((line) => line.type === 'left')) {
    const left: JournalLine = { type: 'left', because: 'crashed', ...file, sizeBytes, ranges, dirtyParts: [] };
    // The last line may have been cut off.
    const journal = await openSpoolFile(join(directory, id + JOURNAL_SUFFIX), 'append');
    await journal.appendFile(`\n${JSON.stringify(left)}\n`).finally(() => journal.close());
  }
  return { sizeBytes };
}

/**
 * What a dead daemon of the same supervisor left in the spool and this one does not go on with (`isTaken`): it would count as in
 * use for as long as the supervisor lives. A file that was being completed when its record was given up is complete; others are
 * left for `recover`. Answers how many. Throws when the directory cannot be read.
 */
export async function leaveUnclaimed(
  directory: string,
  keeper: JournalBegin['keeper'],
  isTaken: (id: string) => boolean,
  atMs: number,
): Promise<number> {
  if (!keeper) return 0;
  let left = 0;
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter((each) => each.endsWith(JOURNAL_SUFFIX))) {
    const id = name.slice(0, -JOURNAL_SUFFIX.length);
    const lines = isTaken(id) ? undefined : await readJournal(directory, id);
    const begin = lines?.find((line) => line.type === 'begin');
    if (!lines || begin?.keeper?.pid !== keeper.pid || begin.keeper.pidStart !== keeper.pidStart) continue;
    const writer = lines.findLast((line) => line.type === 'taken') ?? begin;
    if (isAlive(writer) || lines.some((line) => line.type === 'left')) continue;
    if (lines.some((line) => line.type === 'complete')) await removeSpoolFiles(directory, id);
    else {
      const message = `'${begin.key}' was given up when the daemon died`;
      await leaveCrashed(directory, id, { key: begin.key, message, atMs });
      left++;
    }
  }
  return left;
}

/** A line that a crash cut off is no line, and neither is one that a disk has damaged. */
function parseLines(text: string): JournalLine[] {
  const lines: JournalLine[] = [];
  for (const line of text.split('\n')) {
    try {
      const parsed: unknown = line === '' ? undefined : JSON.parse(line);
      if (isLine(parsed)) lines.push(parsed);
    } catch {
      continue;
    }
  }
  return lines;
}

/** What listing relies on; no more. */
function isLine(line: unknown): line is JournalLine {
  if (typeof line !== 'object' || line === null) return false;
  const { type, bucket, key, pid, ranges, from, to } = line as Record<string, unknown>;
  if (type === 'begin') return typeof bucket === 'string' && typeof key === 'string' && typeof pid === 'number';
  if (type === 'left' || type === 'kept') return Array.isArray(ranges);
  if (type === 'part' || type === 'spool' || type === 'dirty')
    return typeof from === 'number' && typeof to === 'number';
  return typeof type === 'string';
}

/** What a mount that crashed had put away: its parts, and where the spool is younger than a part, that. */
function rangesOfCrash(lines: readonly JournalLine[]): JournalRange[] {
  const edges = new Set<number>([0]);
  const placed: JournalRange[] = [];
  for (const line of lines) {
    if (line.type !== 'part' && line.type !== 'spool' && line.type !== 'dirty') continue;
    const { from, to } = line;
    placed.push({ from, to, kind: ({ part: 'lost', spool: 'spool', dirty: 'missing' } as const)[line.type] });
    edges.add(from).add(to);
  }
  const sorted = [...edges].sort((one, other) => one - other);
  const ranges: JournalRange[] = [];
  for (let index = 0; index + 1 < sorted.length; index++) {
    const from = sorted[index] ?? 0;
    const to = sorted[index + 1] ?? 0;
    const kind = placed.findLast((range) => range.from <= from && range.to >= to)?.kind ?? 'missing';
    ranges.push({ from, to, kind });
  }
  return ranges;
}

/** Up to the first byte that nobody has. */
function whole(ranges: readonly JournalRange[]): number {
  let end = 0;
  for (const { to, kind } of ranges) {
    if (kind === 'missing') break;
    end = to;
  }
  return end;
}

async function complete(
  known: Known,
  { writer, readObject }: CompleteDeps,
  options: CompleteOptions,
): Promise<ObjectHead> {
  const { leftOver, begin, parts, dirtyParts } = known;
  const key = options.key ?? leftOver.key;
  const { sizeBytes } = leftOver;
  const ranges = known.ranges.filter(({ from }) => from < sizeBytes);
  const isSame = key === begin.base?.key;
  const edited = begin.base && ranges.some(({ kind }) => kind === 'base') ? begin.base.key : undefined;
  const described = edited === undefined ? undefined : await writer.describe(edited);
  const properties = { ...ofOtherBytes(described?.properties ?? {}), ...options.properties };
  const condition: WriteCondition = options.force
    ? {}
    : begin.base && isSame
      ? { ifMatch: begin.base.etag }
      : { ifNoneMatch: true };
  const needsParts = ranges.some(({ kind }) => kind === 'lost');
  // The upload has the key that it was begun with.
  const upload = leftOver.upload?.key === key ? leftOver.upload : undefined;
  if (needsParts && !upload) {
    throw new ErrnoError(EIO, `parts of '${leftOver.key}' are in its upload only, which cannot become another key`);
  }
  const spool = await openSpoolFile(leftOver.spoolPath, 'read').catch(() => undefined);
  const read = (from: number, to: number): Promise<Uint8Array> => readRange(known, ranges, spool, readObject, from, to);
  try {
    if (sizeBytes <= PART_BYTES && !needsParts) {
      const body = sizeBytes > 0 ? [await read(0, sizeBytes)] : [];
      const head = await writer.put(key, body, properties, condition);
      if (leftOver.upload) await writer.abortUpload(leftOver.upload);
      return head;
    }
    const kept = upload ? sentParts(parts, dirtyParts, sizeBytes) : [];
    const { copyParts, unequalParts } = writer.capabilities;
    const rules: PartRules = {
      partBytesMin: PART_BYTES_MIN,
      partBytes: PART_BYTES,
      memoryPartBytesMax: PART_BYTES_MAX,
      unequalParts,
      partBytesMax: PART_BYTES_MAX,
      partsMax: PARTS_MAX,
      copies: copyParts,
    };
    const plan = planParts(
      sizeBytes,
      ranges.map(({ from, to, kind }) => ({ from, to: Math.min(to, sizeBytes), isBase: kind === 'base' })),
      kept,
      rules,
    );
    if (!plan) throw new ErrnoError(EIO, `'${key}' takes more than ${PARTS_MAX} parts`);
    const mayCopy = plan.some(({ how }) => how === 'copy');
    const target = upload ?? (await writer.createUpload(key, properties, undefined, mayCopy));
    const uploaded = new Map(parts.map(({ part }) => [part.partNumber, part]));
    const todo = plan.filter(({ how }) => how !== 'keep');
    const bodyOf = async (from: number, to: number): Promise<BodyPiece[]> => {
      const isLarge = to - from > MEMORY_PART_BYTES_MAX;
      return isLarge && spool ? await largeBody(known, ranges, spool, readObject, from, to) : [await read(from, to)];
    };
    await inParallel(todo, SENDS, async ({ partNumber, from, to, how }) => {
      const sent =
        how === 'copy' && begin.base
          ? writer.copyPart(target, partNumber, { ...begin.base, startOffset: from, endOffset: to })
          : bodyOf(from, to).then((body) => writer.uploadPart(target, partNumber, body));
      uploaded.set(partNumber, await sent);
    });
    const all = plan.flatMap(({ partNumber }) => uploaded.get(partNumber) ?? []);
    return await writer.completeUpload(target, all, condition);
  } finally {
    await spool?.close();
  }
}

/** What memory need not hold: bytes of the spool are sent from there. */
async function largeBody(
  known: Known,
  ranges: readonly JournalRange[],
  spool: FileHandle,
  readObject: ReadObject,
  from: number,
  to: number,
): Promise<BodyPiece[]> {
  const pieces: BodyPiece[] = [];
  for (const range of ranges) {
    const start = Math.max(range.from, from);
    const end = Math.min(range.to, to);
    if (start >= end) continue;
    if (range.kind === 'spool') pieces.push({ fd: spool.fd, from: start, to: end });
    else pieces.push(await readRange(known, ranges, spool, readObject, start, end));
  }
  return pieces;
}

/** The parts that the upload has from the file's beginning on; a gap ends them. */
function sentParts(parts: Known['parts'], dirtyParts: ReadonlySet<number>, sizeBytes: number): SentPart[] {
  const byNumber = new Map(parts.map((part) => [part.part.partNumber, part]));
  const sent: SentPart[] = [];
  for (let partNumber = 1, at = 0; at < sizeBytes; partNumber++) {
    const part = byNumber.get(partNumber);
    if (part?.from !== at) break;
    sent.push({ partNumber, from: part.from, to: part.to, isDirty: dirtyParts.has(partNumber) });
    at = part.to;
  }
  return sent;
}

async function readRange(
  { begin, leftOver }: Known,
  ranges: readonly JournalRange[],
  spool: FileHandle | undefined,
  readObject: ReadObject,
  from: number,
  to: number,
): Promise<Uint8Array> {
  const into = new Uint8Array(to - from);
  for (const range of ranges) {
    const start = Math.max(range.from, from);
    const end = Math.min(range.to, to);
    if (start >= end || range.kind === 'hole') continue;
    const place = into.subarray(start - from, end - from);
    if (range.kind === 'base' && begin.base) {
      place.set(await readObject(begin.base.key, begin.base.etag, start, end));
    } else if (range.kind === 'spool' && spool) {
      for (let done = 0; done < place.length;) {
        const { bytesRead } = await spool.read(place, done, place.length - done, start + done);
        if (bytesRead === 0) throw new ErrnoError(EIO, `${leftOver.spoolPath} ends at ${start + done}`);
        done += bytesRead;
      }
    } else throw new ErrnoError(EIO, `bytes ${start} to ${end} of '${leftOver.key}' are nowhere any more`);
  }
  return into;
}
