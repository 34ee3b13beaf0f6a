/**
 * Which requests make an object of a written file: one PUT, or the parts of an upload, each sent from here or copied by the
 * store from the object as it was. Pure: sizes and ranges in, a list of parts out; test/fs/writing/plans has cases to read.
 *
 * S3's rules: all parts but the last have 5 MiB at least, every part 5 GiB at most, there are 10,000 at most. A changed
 * range shorter than 5 MiB takes the unchanged bytes after it along (they are read and sent); what then is left of an
 * unchanged range and is too short for a part of its own goes the same way. So an append to a large object sends what
 * was appended, and an edit in its middle 5 MiB.
 * Parts that a stream has sent before are kept as they are unless something in them changed.
 * Refuses to know where bytes are: that is for whoever sends them.
 */
import { GIB, MIB, TIB } from '../../base/units.js';

export interface PartRules {
  /** Least part, except the last one. */
  readonly partBytesMin: number;
  /** Size of the parts of a small upload. */
  readonly partBytes: number;
  /** Size of the largest part that is put together in memory; larger ones, of files that need them, are sent from the spool. */
  readonly memoryPartBytesMax: number;
  /** Size of the largest part. */
  readonly partBytesMax: number;
  /** The store takes parts of one upload that differ in size (Cloudflare R2 does not, but for the last). */
  readonly unequalParts: boolean;
  readonly partsMax: number;
  /** UploadPartCopy can be used. */
  readonly copies: boolean;
}

/** "Multipart upload limits" in the Amazon S3 user guide. */
export const PART_BYTES_MIN = 5 * MIB;
export const PART_BYTES_MAX = 5 * GIB;
export const PARTS_MAX = 10_000;
/** Largest object, since December 2025; other stores say so themselves. */
export const OBJECT_BYTES_MAX = 50 * TIB;

/**
 * Parts that the store copies: large enough that a copy is mostly bytes, small enough that several at once are faster than
 * one (guessed; AWS copies one part at about 200 MB/s).
 */
const COPY_PART_BYTES = 256 * MIB;

/** A stream's parts are twice as large after each such share of their numbers (1,000), as long as memory holds them. */
const PARTS_OF_A_SIZE_SHARE = 1 / 10;

/**
 * From this share of the numbers on they grow whatever memory holds, and after each 100: with 40 MiB in memory the first 5,000
 * hold 136 GiB, all 10,000 20 TiB. Earlier would use the disk where memory does, later would end below 5 TiB.
 */
const MEMORY_PARTS_SHARE = 1 / 2;
const LARGE_PARTS_OF_A_SIZE_SHARE = 1 / 100;

/** Bytes [from, to) of the file as a part of its own. */
export interface PlannedPart {
  readonly partNumber: number;
  readonly from: number;
  readonly to: number;
  /** - `send`: from here (bytes of the base among them are read first) - `copy`: from the base by the store - `keep`: sent. */
  readonly how: 'send' | 'copy' | 'keep';
}

/** A part that a stream has sent. */
export interface SentPart {
  readonly partNumber: number;
  readonly from: number;
  readonly to: number;
  /** Bytes in it have changed since. */
  readonly isDirty: boolean;
}

/** A stretch of the file, in order and without gaps. */
export interface PlannedRange {
  readonly from: number;
  readonly to: number;
  /** The same bytes are at the same place of the base version. */
  readonly isBase: boolean;
}

/** Bytes of the part of a stream that has this number (1 is the first). */
export function streamPartBytes(partNumber: number, rules: PartRules): number {
  const { partBytes, memoryPartBytesMax, partBytesMax, partsMax, unequalParts } = rules;
  if (!unequalParts) return partBytes;
  const index = partNumber - 1;
  const memoryParts = Math.ceil(partsMax * MEMORY_PARTS_SHARE);
  const partsOfASize = Math.ceil(partsMax * PARTS_OF_A_SIZE_SHARE);
  const grown = (parts: number): number =>
    Math.min(partBytes * 2 ** Math.floor(parts / partsOfASize), Math.max(partBytes, memoryPartBytesMax));
  if (index < memoryParts) return Math.min(grown(index), Math.max(partBytes, partBytesMax));
  const doublings = 1 + Math.floor((index - memoryParts) / Math.ceil(partsMax * LARGE_PARTS_OF_A_SIZE_SHARE));
  return Math.min(grown(memoryParts - 1) * 2 ** doublings, Math.max(partBytes, partBytesMax));
}

/** Bytes that a stream of such parts can have. */
export function streamBytesMax(rules: PartRules): number {
  let sum = 0;
  const step = Math.ceil(rules.partsMax * LARGE_PARTS_OF_A_SIZE_SHARE);
  for (let first = 1; first <= rules.partsMax; first += step) {
    sum += Math.min(step, rules.partsMax - first + 1) * streamPartBytes(first, rules);
  }
  return Math.min(sum, OBJECT_BYTES_MAX);
}

/**
 * The parts of an upload of the whole file. `ranges` cover it; `sent` are parts of the upload so far, in order from 0 on
 * and without gaps. Undefined when it takes more parts than there may be.
 */
export function planParts(
  sizeBytes: number,
  ranges: readonly PlannedRange[],
  sent: readonly SentPart[],
  rules: PartRules,
): PlannedPart[] | undefined {
  const parts: PlannedPart[] = [];
  for (const part of sent) {
    if (part.from >= sizeBytes) break;
    const to = Math.min(part.to, sizeBytes);
    const how = part.isDirty || to < part.to ? 'send' : 'keep';
    parts.push({ partNumber: part.partNumber, from: part.from, to, how });
  }
  const done = parts[parts.length - 1]?.to ?? 0;
  if (!rules.unequalParts) return planEqualParts(sizeBytes, ranges, parts, rules);
  const stretches = stretchesOf(ranges, done, sizeBytes, rules);
  // Large objects need large parts; copies need none of the numbers that are left to be small.
  const copied = stretches.reduce(
    (sum, { isBase, from, to }) => sum + (isBase ? Math.ceil((to - from) / COPY_PART_BYTES) + 1 : 0),
    0,
  );
  const numbers = Math.max(1, rules.partsMax - parts.length - copied - stretches.length);
  const sendBytes = stretches.reduce((sum, { isBase, from, to }) => sum + (isBase ? 0 : to - from), 0);
  const partBytes = Math.max(rules.partBytes, Math.ceil(sendBytes / numbers));
  if (partBytes > Math.max(rules.partBytesMax, rules.partBytes) || partBytes > PART_BYTES_MAX) return undefined;
  const copyBytes = Math.min(PART_BYTES_MAX, Math.max(COPY_PART_BYTES, Math.ceil(sizeBytes / (rules.partsMax / 2))));
  for (const { from, to, isBase } of stretches) {
    const count = isBase ? Math.ceil((to - from) / copyBytes) : Math.max(1, Math.floor((to - from) / partBytes));
    const each = (to - from) / count;
    for (let index = 0; index < count; index++) {
      const start = from + (isBase ? Math.floor(index * each) : index * partBytes);
      const end = index === count - 1 ? to : isBase ? from + Math.floor((index + 1) * each) : start + partBytes;
      parts.push(...splitLast({ from: start, to: end }, sizeBytes, isBase, partBytes, parts.length));
    }
  }
  return parts.length > rules.partsMax ? undefined : parts;
}

/**
 * All parts but the last of one size: that of those which were sent, or the least that 10,000 hold. A part is copied when
 * all of it is in the base.
 */
function planEqualParts(
  sizeBytes: number,
  ranges: readonly PlannedRange[],
  sent: readonly PlannedPart[],
  { partBytes, partBytesMin, partBytesMax, partsMax, copies }: PartRules,
): PlannedPart[] | undefined {
  const parts = [...sent];
  const least = Math.ceil(sizeBytes / partsMax / partBytesMin) * partBytesMin;
  const each = parts.length > 0 ? partBytes : Math.max(partBytes, least);
  for (let from = parts[parts.length - 1]?.to ?? 0; from < sizeBytes; from += each) {
    const to = Math.min(from + each, sizeBytes);
    const isBase = copies && ranges.every((range) => range.isBase || range.to <= from || range.from >= to);
    parts.push({ partNumber: parts.length + 1, from, to, how: isBase ? 'copy' : 'send' });
  }
  return each > Math.max(partBytesMax, partBytes) || parts.length > partsMax ? undefined : parts;
}

/** The object's last part may be short, so what is over one part's size there becomes a part instead of a longer one. */
function splitLast(
  { from, to }: { from: number; to: number },
  sizeBytes: number,
  isBase: boolean,
  partBytes: number,
  before: number,
): PlannedPart[] {
  const how = isBase ? 'copy' : 'send';
  if (isBase || to < sizeBytes || to - from <= partBytes) return [{ partNumber: before + 1, from, to, how }];
  const middle = from + partBytes;
  return [
    { partNumber: before + 1, from, to: middle, how },
    { partNumber: before + 2, from: middle, to, how },
  ];
}

/** Alternating ranges to copy and to send from `done` on, each long enough for parts of its own. */
function stretchesOf(
  ranges: readonly PlannedRange[],
  done: number,
  sizeBytes: number,
  rules: PartRules,
): PlannedRange[] {
  const { partBytesMin, copies } = rules;
  const stretches: { from: number; to: number; isBase: boolean }[] = [];
  const add = (from: number, to: number, isBase: boolean): void => {
    if (from >= to) return;
    const last = stretches[stretches.length - 1];
    if (last?.isBase === isBase) last.to = to;
    else stretches.push({ from, to, isBase });
  };
  for (const range of joinRanges(ranges, done, sizeBytes)) {
    const last = stretches[stretches.length - 1];
    const isCopy = range.isBase && copies;
    // A stretch before that is too short takes what it lacks from here.
    const lacks = last && !last.isBase ? Math.max(0, partBytesMin - (last.to - last.from)) : 0;
    const taken = isCopy ? Math.min(lacks, range.to - range.from) : range.to - range.from;
    add(range.from, range.from + taken, false);
    const left = range.to - range.from - taken;
    add(range.from + taken, range.to, left >= partBytesMin || range.to === sizeBytes);
  }
  return stretches;
}

/** Clipped to [done, sizeBytes), neighbours of one kind as one. */
function joinRanges(ranges: readonly PlannedRange[], done: number, sizeBytes: number): PlannedRange[] {
  const joined: PlannedRange[] = [];
  for (const range of ranges) {
    const from = Math.max(range.from, done);
    const to = Math.min(range.to, sizeBytes);
    if (from >= to) continue;
    const last = joined[joined.length - 1];
    if (last?.isBase === range.isBase) joined[joined.length - 1] = { ...last, to };
    else joined.push({ from, to, isBase: range.isBase });
  }
  return joined;
}
