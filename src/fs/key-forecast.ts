/**
 * Guesses where in a directory the next page of keys will end, from the pages seen so far: keys are read as numbers in a
 * mixed radix (one alphabet a position), a page spans a distance, and the key so far ahead is the guess. Exact for
 * zero-padded numbers, close for hashes and uuids, of some use for words; nothing depends on it being right.
 * Pure. Refuses to fetch and to know how wrong it was: see range-reader.ts.
 */

/** Bytes of a key that are looked at: what is beyond does not move a page's end. */
const WIDTH_MAX = 48;
/** Keys of a page that tell what can stand at a position. */
const SAMPLES = 32;
const SLASH = 0x2f;
/** At most this part of a page is given up so that a guess lies rather too near than too far. */
const SHORTENED_MAX = 0.3;
/** Precision of the span's scaling. */
const SCALE = 1_000_000;

interface Position {
  /** Bytes that may stand here, ascending. With `mayEnd` a key may also end before: that sorts first. */
  readonly alphabet: readonly number[];
  readonly mayEnd: boolean;
}

/** A page as the forecast needs it. */
export interface ForecastPage {
  readonly rows: number;
  /** Relative to the directory, a directory's with slash. */
  key(row: number): string;
}

export class KeyForecast {
  #positions: readonly Position[] = [];
  /** Distance that one page spans, made shorter by how uneven the page was; 0 = nothing is known. */
  #span = 0n;

  /** Learns from a page in order (not cut, and not the last one: a full page). Fewer than 8 rows tell nothing. */
  learn(page: ForecastPage): void {
    const { rows } = page;
    if (rows < 8) return;
    const samples: Buffer[] = [];
    const step = Math.max(1, (rows - 1) / (SAMPLES - 1));
    for (let at = 0; Math.round(at) < rows; at += step) samples.push(bytesOf(page.key(Math.round(at))));
    const positions = positionsOf(samples);
    const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
      const row = Math.round((rows - 1) * part);
      return { row, rank: rank(bytesOf(page.key(row)), positions) };
    });
    const first = marks[0];
    const last = marks.at(-1);
    if (!first || !last || last.rank <= first.rank) return;
    // From the first key to the last are rows - 1 steps, to the first of the next page one more.
    const span = ((last.rank - first.rank) * BigInt(rows)) / BigInt(rows - 1);
    let unevenness = 0;
    for (let index = 1; index < marks.length; index++) {
      const from = marks[index - 1];
      const to = marks[index];
      if (!from || !to || to.row === from.row) continue;
      const part = Number(((to.rank - from.rank) * BigInt(SCALE)) / (last.rank - first.rank)) / SCALE;
      const expected = (to.row - from.row) / (rows - 1);
      unevenness = Math.max(unevenness, Math.abs(part / expected - 1));
    }
    // Rounding alone is no unevenness.
    const shortened = unevenness < 0.002 ? 0 : Math.min(SHORTENED_MAX, unevenness);
    this.#positions = positions;
    this.#span = (span * BigInt(Math.round((1 - shortened) * SCALE))) / BigInt(SCALE);
  }

  /** The key about one page after `key`, always greater than it; undefined when there is nothing to go by, or no such key. */
  pageAfter(key: string): string | undefined {
    if (this.#span <= 0n) return undefined;
    const from = bytesOf(key);
    // One less: the page's last key itself, not the first of the next, so that start-after begins right behind it.
    const guess = unrank(rank(from, this.#positions) + this.#span, this.#positions);
    if (!guess || Buffer.compare(guess, from) <= 0) return undefined;
    const text = guess.toString('utf8');
    if (text.includes('\ufffd') || text.includes('/') || text.includes('\0')) return undefined;
    return text;
  }

  /** How many pages lie between two keys, by what is known; undefined when nothing is. */
  pagesBetween(from: string, to: string): number | undefined {
    if (this.#span <= 0n) return undefined;
    const distance = rank(bytesOf(to), this.#positions) - rank(bytesOf(from), this.#positions);
    return Number((distance * 1000n) / this.#span) / 1000;
  }
}

/** A key's first bytes, without a directory's slash. */
function bytesOf(key: string): Buffer {
  const bytes = Buffer.from(key);
  const end = bytes.at(-1) === SLASH ? bytes.length - 1 : bytes.length;
  return bytes.subarray(0, Math.min(end, WIDTH_MAX));
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

function positionsOf(samples: readonly Buffer[]): Position[] {
  const width = Math.max(...samples.map((sample) => sample.length));
  const seen: Set<number>[] = [];
  const mayEnd: boolean[] = [];
  for (let at = 0; at < width; at++) {
    const bytes = new Set<number>();
    let ends = false;
    for (const sample of samples) {
      const byte = sample[at];
      if (byte === undefined) ends = true;
      else bytes.add(byte);
    }
    seen.push(bytes);
    mayEnd.push(ends);
  }
  const positions: Position[] = [];
  for (let at = 0; at < width;) {
    // Neighbours that look alike have one alphabet: the high digits of a number have not changed yet.
    let end = at;
    const run = new Set<number>();
    while (end < width && isOfNumber(seen[end])) for (const byte of seen[end++] ?? []) run.add(byte);
    if (end === at) {
      positions.push({ alphabet: closed(seen[at] ?? new Set()), mayEnd: mayEnd[at] ?? false });
      at++;
      continue;
    }
    const alphabet = closed(run);
    for (; at < end; at++) positions.push({ alphabet, mayEnd: mayEnd[at] ?? false });
  }
  return positions;
}

/** Digits, or letters and digits that change; a letter that never changes stands for itself. */
function isOfNumber(bytes: ReadonlySet<number> | undefined): boolean {
  if (!bytes) return false;
  for (const byte of bytes) if (!isDigit(byte) && !isLetter(byte)) return false;
  const [only] = bytes;
  return bytes.size > 1 || (only !== undefined && isDigit(only));
}

/** All bytes of the kind that was seen: digits mean all digits, a to f with digits hexadecimal, other letters all letters. */
function closed(seen: ReadonlySet<number>): number[] {
  const all = new Set(seen);
  const add = (from: string, to: string): void => {
    for (let byte = from.charCodeAt(0); byte <= to.charCodeAt(0); byte++) all.add(byte);
  };
  let digits = false;
  let lower = '';
  let upper = '';
  for (const byte of seen) {
    if (isDigit(byte)) digits = true;
    else if (byte >= 0x61 && byte <= 0x7a) lower = String.fromCharCode(Math.max(byte, lower.charCodeAt(0) || 0));
    else if (byte >= 0x41 && byte <= 0x5a) upper = String.fromCharCode(Math.max(byte, upper.charCodeAt(0) || 0));
  }
  if (digits) add('0', '9');
  if (lower !== '') add('a', digits && lower <= 'f' ? 'f' : 'z');
  if (upper !== '') add('A', digits && upper <= 'F' ? 'F' : 'Z');
  all.delete(SLASH);
  all.delete(0);
  return [...all].sort((a, b) => a - b);
}

/** Digits of a position: one for each byte of its alphabet, and one for "the key has ended". */
function radix(position: Position): number {
  return position.alphabet.length + (position.mayEnd ? 1 : 0);
}

function rank(key: Buffer, positions: readonly Position[]): bigint {
  let value = 0n;
  // Below or above all keys that the alphabets can spell, from here on.
  let clamp: 'low' | 'high' | undefined;
  for (let at = 0; at < positions.length; at++) {
    const position = positions[at];
    if (!position) break;
    const base = radix(position);
    const first = position.mayEnd ? 1 : 0;
    let digit = 0;
    const byte = key[at];
    if (clamp === 'high') digit = base - 1;
    else if (clamp === undefined && byte === undefined) clamp = 'low';
    else if (clamp === undefined && byte !== undefined) {
      let index = 0;
      while (index < position.alphabet.length && (position.alphabet[index] ?? 0) < byte) index++;
      if (position.alphabet[index] === byte) digit = first + index;
      else {
        // Between two of the alphabet: all that follows is as high as it goes below the next one.
        digit = first + index - 1;
        clamp = digit < first ? 'low' : 'high';
        digit = Math.max(0, digit);
      }
    }
    value = value * BigInt(Math.max(1, base)) + BigInt(digit);
  }
  return value;
}

function unrank(value: bigint, positions: readonly Position[]): Buffer | undefined {
  const digits: number[] = [];
  let rest = value;
  for (let at = positions.length - 1; at >= 0; at--) {
    const position = positions[at];
    if (!position) return undefined;
    const base = BigInt(Math.max(1, radix(position)));
    digits.push(Number(rest % base));
    rest /= base;
  }
  // Beyond the last key that the alphabets can spell.
  if (rest > 0n) return undefined;
  const bytes: number[] = [];
  for (const position of positions) {
    const digit = digits.pop() ?? 0;
    if (position.mayEnd && digit === 0) break;
    const byte = position.alphabet[digit - (position.mayEnd ? 1 : 0)];
    if (byte === undefined) break;
    bytes.push(byte);
  }
  return Buffer.from(bytes);
}
