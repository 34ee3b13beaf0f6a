/**
 * Which parts an object is made of: cases to read (plans/*.txt), and S3's rules for random files.
 */
import t from 'tap';
import fc from 'fast-check';
import { GIB, MIB } from '../../../src/base/units.js';
import {
  OBJECT_BYTES_MAX,
  PART_BYTES_MAX,
  PARTS_MAX,
  planParts,
  streamBytesMax,
  streamPartBytes,
  type PartRules,
  type PlannedPart,
  type PlannedRange,
  type SentPart,
} from '../../../src/fs/writing/part-plan.js';
import { parseBytes, printBytes, runTextCases } from '../../prefetch/text-cases.js';

const rules: PartRules = {
  partBytesMin: 5 * MIB,
  partBytes: 8 * MIB,
  memoryPartBytesMax: PART_BYTES_MAX,
  unequalParts: true,
  partBytesMax: PART_BYTES_MAX,
  partsMax: PARTS_MAX,
  copies: true,
};

/** Sizes of the cases, `T` included. */
function bytes(text: string): number {
  return text.endsWith('T') ? Number(text.slice(0, -1)) * 1024 * GIB : parseBytes(text);
}

function ranged(sizeBytes: number, base: readonly { from: number; to: number }[]): PlannedRange[] {
  const ranges: PlannedRange[] = [];
  let at = 0;
  for (const { from, to } of base) {
    if (from > at) ranges.push({ from: at, to: from, isBase: false });
    ranges.push({ from, to, isBase: true });
    at = to;
  }
  if (at < sizeBytes) ranges.push({ from: at, to: sizeBytes, isBase: false });
  return ranges;
}

runTextCases(
  t,
  'plans',
  () => {
    let sizeBytes = 0;
    let copies = true;
    const base: { from: number; to: number }[] = [];
    const sent: SentPart[] = [];
    return ([command, first = '0', second = '0', third]) => {
      if (command === 'size') sizeBytes = bytes(first);
      else if (command === 'base') base.push({ from: bytes(first), to: bytes(second) });
      else if (command === 'nocopies') copies = false;
      else if (command === 'sent') {
        sent.push({ partNumber: sent.length + 1, from: bytes(first), to: bytes(second), isDirty: third === 'dirty' });
      } else if (command === 'plan') {
        const plan = planParts(sizeBytes, ranged(sizeBytes, base), sent, { ...rules, copies });
        if (!plan) return ['too many parts'];
        if (first === 'summary') {
          const largest = Math.max(...plan.map(({ from, to }) => to - from));
          return [`${plan.length} parts, the largest ${printBytes(largest)}`];
        }
        return plan.map(
          ({ partNumber, from, to, how }) => `${partNumber} ${how} ${printBytes(from)}+${printBytes(to - from)}`,
        );
      } else throw new Error(`unknown command ${command}`);
      return [];
    };
  },
  'fs/writing',
);

/** What S3 asks of the parts of an upload, and we of the plan. */
function check(
  plan: readonly PlannedPart[],
  sizeBytes: number,
  ranges: readonly PlannedRange[],
  used: PartRules,
): void {
  let at = 0;
  for (const [index, { partNumber, from, to, how }] of plan.entries()) {
    const isLast = index === plan.length - 1;
    if (partNumber !== index + 1) throw new Error(`part ${index + 1} has number ${partNumber}`);
    if (from !== at || to <= from) throw new Error(`part ${partNumber} is ${from}..${to} after ${at}`);
    if (!isLast && how !== 'keep' && to - from < used.partBytesMin) throw new Error(`part ${partNumber} is too short`);
    if (to - from > PART_BYTES_MAX) throw new Error(`part ${partNumber} is too long`);
    if (how === 'copy') {
      if (!used.copies) throw new Error('the store cannot copy');
      const inside = ranges.filter((range) => range.from < to && range.to > from);
      if (!inside.every(({ isBase }) => isBase)) throw new Error(`part ${partNumber} copies changed bytes`);
    }
    at = to;
  }
  if (at !== sizeBytes) throw new Error(`ends at ${at} of ${sizeBytes}`);
}

void t.test('random files', (t) => {
  const length = fc.oneof(
    fc.integer({ min: 1, max: 2000 }),
    fc.integer({ min: 1, max: 12 * MIB }),
    fc.integer({ min: MIB, max: 2 * GIB }),
  );
  fc.assert(
    fc.property(
      fc.array(length, { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      fc.boolean(),
      fc.integer({ min: 0, max: 4 }),
      (lengths, firstIsBase, copies, sentCount) => {
        let at = 0;
        const ranges: PlannedRange[] = lengths.map((bytesOf, index) => {
          const from = at;
          at += bytesOf;
          return { from, to: at, isBase: (index % 2 === 0) === firstIsBase };
        });
        const sent: SentPart[] = [];
        for (let index = 0; index < sentCount; index++) {
          const from = index * 8 * MIB;
          sent.push({ partNumber: index + 1, from, to: from + 8 * MIB, isDirty: index % 2 === 1 });
        }
        const used = { ...rules, copies };
        const plan = planParts(at, ranges, sent, used);
        if (!plan) throw new Error('no plan');
        check(plan, at, ranges, used);
        // Nothing is sent that need not be: changed bytes, and for each change at most what two short parts lack.
        if (!copies || sentCount > 0) return;
        const changed = ranges.filter(({ isBase }) => !isBase).reduce((sum, { from, to }) => sum + to - from, 0);
        const changes = ranges.filter(({ isBase }) => !isBase).length;
        const sends = plan.filter(({ how }) => how === 'send').reduce((sum, { from, to }) => sum + to - from, 0);
        if (sends > changed + (changes + 1) * 2 * used.partBytesMin) throw new Error(`${sends} bytes for ${changed}`);
      },
    ),
    { numRuns: 2000 },
  );
  t.end();
});

void t.test('a stream of parts that grow reaches 5 TiB with 10,000 of them', (t) => {
  let sum = 0;
  for (let partNumber = 1; partNumber <= PARTS_MAX; partNumber++) sum += streamPartBytes(partNumber, rules);
  t.ok(sum > 5 * 1024 * GIB, `${sum}`);
  t.equal(streamBytesMax(rules), sum);
  t.equal(streamPartBytes(1, rules), 8 * MIB);
  t.equal(streamPartBytes(1000, rules), 8 * MIB);
  t.equal(streamPartBytes(1001, rules), 16 * MIB);
  t.equal(streamPartBytes(PARTS_MAX, { ...rules, partBytes: GIB }), PART_BYTES_MAX);
  const short = { ...rules, memoryPartBytesMax: 32 * MIB };
  t.equal(streamPartBytes(5000, short), 32 * MIB, 'as memory allows');
  t.equal(streamPartBytes(5001, short), 64 * MIB, 'and then whatever it takes');
  t.equal(streamPartBytes(PARTS_MAX, short), PART_BYTES_MAX);
  t.ok(streamBytesMax(short) > 5 * 1024 * GIB);
  t.equal(streamPartBytes(PARTS_MAX, { ...rules, unequalParts: false }), 8 * MIB);
  t.end();
});

void t.test('what takes more parts than there may be has no plan', (t) => {
  const sizeBytes = 100 * GIB;
  t.equal(
    planParts(sizeBytes, [{ from: 0, to: sizeBytes, isBase: false }], [], { ...rules, partBytesMax: 8 * MIB }),
    undefined,
  );
  t.equal(
    planParts(OBJECT_BYTES_MAX * 2, [{ from: 0, to: OBJECT_BYTES_MAX * 2, isBase: false }], [], rules),
    undefined,
  );
  t.end();
});
