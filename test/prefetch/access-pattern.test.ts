/**
 * What the access pattern makes of reads, as text (patterns/*.txt):
 *   share BYTES                 the reader's share of the pool from now on (64M at first)
 *   read OFFSET SIZE            one read
 *   seq OFFSET SIZE COUNT       COUNT reads one after another
 *   object BYTES                the object's size; first of all
 *   every OFFSET SIZE STEP COUNT  COUNT reads at equal distances
 *   back OFFSET SIZE COUNT      COUNT reads, each ending where the one before began
 *   pace MS PART_MS             from now on a read takes so long, and a part so long to come (0: not known)
 *   waits yes|no                reads have to wait for their bytes
 *   direct OFFSET COUNT ORDER   COUNT O_DIRECT requests of 1 MiB, 16 under way at a time, each window in that order
 *   random SIZE COUNT OF SEED   COUNT reads at random pages of OF bytes
 * Prints `random`, or the stream's position and window; of many reads in one command only those where that changed.
 */
import t from 'tap';
import { AccessPattern } from '../../src/prefetch/access-pattern.js';
import { Random } from '../support/simulated-net-random.js';
import { parseBytes, printBytes, runTextCases } from './text-cases.js';

const MIB = 1024 * 1024;

function begin(): (words: readonly string[]) => string[] {
  let pattern = new AccessPattern();
  let share = 64 * MIB;
  let partMs: number | undefined;
  let nowMs = 0;
  let paceMs = 0;
  let waits = false;
  const note = (offset: number, sizeBytes: number): [state: string, line: string] => {
    const access = pattern.note(offset, sizeBytes, { windowBytesMax: share, nowMs, partMs });
    if (waits) pattern.waits();
    nowMs += paceMs;
    const at = `${printBytes(offset)}+${printBytes(sizeBytes)}`;
    if (access.kind === 'random') {
      const ahead = access.ahead.map(({ from, to }) => `${printBytes(from)}+${printBytes(to - from)}`).join(' ');
      return [ahead === '' ? 'random' : at, `${at} random${ahead === '' ? '' : `, ahead ${ahead}`}`];
    }
    const state = `stream window ${printBytes(access.windowBytes)}${access.established ? '' : ' new'}`;
    return [state, `${at} ${state}, next ${printBytes(access.nextOffset)}, want ${printBytes(access.wantEndOffset)}`];
  };
  const notes = (reads: readonly (readonly [offset: number, sizeBytes: number])[]): string[] => {
    const lines: string[] = [];
    let last = '';
    let same = 0;
    const flush = (): void => {
      if (same > 0) lines.push(`... ${same} more`);
      same = 0;
    };
    for (const [offset, sizeBytes] of reads) {
      const [state, line] = note(offset, sizeBytes);
      if (state === last) same++;
      else {
        flush();
        lines.push(line);
      }
      last = state;
    }
    flush();
    return lines;
  };
  return ([command, ...words]) => {
    const [a = '0', b = '0', c = '0', d = '0'] = words;
    switch (command) {
      case 'share':
        share = parseBytes(a);
        return [];
      case 'read':
        return [note(parseBytes(a), parseBytes(b))[1]];
      case 'seq':
        return notes(Array.from({ length: Number(c) }, (_, at) => [parseBytes(a) + at * parseBytes(b), parseBytes(b)]));
      case 'object':
        pattern = new AccessPattern(parseBytes(a));
        return [];
      case 'back':
        return notes(Array.from({ length: Number(c) }, (_, at) => [parseBytes(a) - at * parseBytes(b), parseBytes(b)]));
      case 'every':
        return notes(Array.from({ length: Number(d) }, (_, at) => [parseBytes(a) + at * parseBytes(c), parseBytes(b)]));
      case 'pace':
        paceMs = Number(a);
        partMs = b === '0' ? undefined : Number(b);
        return [];
      case 'waits':
        waits = a === 'yes';
        return [];
      case 'direct': {
        const reads: [number, number][] = [];
        const order = (at: number): number => (c === 'backward' ? 15 - at : (at * 5 + 7) % 16);
        for (let first = 0; first < Number(b); first += 16) {
          for (let at = 0; at < 16; at++) reads.push([parseBytes(a) + (first + order(at)) * MIB, MIB]);
        }
        return notes(reads);
      }
      case 'random': {
        const random = new Random(Number(d));
        const pages = Math.floor((parseBytes(c) - parseBytes(a)) / 4096);
        return notes(Array.from({ length: Number(b) }, () => [random.below(pages) * 4096, parseBytes(a)]));
      }
      default:
        throw new Error(`unknown command ${command}`);
    }
  };
}

t.test('patterns', (t) => {
  runTextCases(t, 'patterns', begin);
  t.end();
});

t.test('random reads are almost never taken for a stream', (t) => {
  for (const [sizeBytes, ofBytes, most] of [
    [4096, 64 * MIB, 0.05],
    [4096, 1024 * MIB, 0.02],
    [131_072, 1024 * MIB, 0.02],
  ] as const) {
    const pattern = new AccessPattern();
    const random = new Random(sizeBytes + ofBytes);
    let streams = 0;
    for (let at = 0; at < 1000; at++) {
      const offset = 4096 * (1 + random.below((ofBytes - sizeBytes) / 4096 - 1));
      if (pattern.note(offset, sizeBytes, { windowBytesMax: 64 * MIB, nowMs: 0, partMs: undefined }).kind === 'stream')
        streams++;
    }
    t.ok(streams <= most * 1000, `${streams} of 1000 reads of ${sizeBytes} in ${ofBytes}`);
  }
  t.end();
});
