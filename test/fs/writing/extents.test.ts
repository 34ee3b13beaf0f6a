/**
 * Extents against an array with an entry for each byte, and the counts of bytes by which memory is given back.
 */
import t from 'tap';
import fc from 'fast-check';
import { Extents, type ExtentMemory, type PlainKind } from '../../../src/fs/writing/extents.js';

class Memory implements ExtentMemory {
  readonly name: number;
  liveBytes = 0;
  gone = 0;
  constructor(name: number) {
    this.name = name;
  }
  abandoned(): void {
    this.gone++;
  }
}

const BYTES_MAX = 40;

type Step =
  | { readonly do: 'set'; readonly from: number; readonly length: number; readonly kind: PlainKind }
  | {
      readonly do: 'memory';
      readonly from: number;
      readonly length: number;
      readonly at: number;
      readonly memory: number;
    }
  | { readonly do: 'resize'; readonly to: number };

const offset = fc.integer({ min: 0, max: BYTES_MAX });
const length = fc.integer({ min: 0, max: 12 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('set' as const),
    from: offset,
    length,
    kind: fc.constantFrom<PlainKind>('base', 'spool', 'hole', 'lost'),
  }),
  fc.record({
    do: fc.constant('memory' as const),
    from: offset,
    length,
    at: offset,
    memory: fc.integer({ min: 0, max: 3 }),
  }),
  fc.record({ do: fc.constant('resize' as const), to: offset }),
);

void t.test('histories', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: BYTES_MAX }), fc.array(step, { maxLength: 40 }), (sizeBytes, steps) => {
      const extents = new Extents<Memory>(sizeBytes, 'base');
      const memories = [0, 1, 2, 3].map((name) => new Memory(name));
      let model: string[] = Array.from({ length: sizeBytes }, () => 'base');
      for (const one of steps) {
        const before = memories.map(({ liveBytes, gone }) => ({ liveBytes, gone }));
        if (one.do === 'resize') {
          extents.resize(one.to);
          model = Array.from({ length: one.to }, (_, at) => model[at] ?? 'hole');
        } else {
          const from = Math.min(one.from, model.length);
          const to = from + one.length;
          const memory = one.do === 'memory' ? memories[one.memory] : undefined;
          if (memory && one.do === 'memory') extents.setMemory(from, to, memory, one.at);
          else if (one.do === 'set') extents.set(from, to, one.kind);
          for (let at = from; at < to; at++) {
            model[at] = one.do === 'memory' ? `${one.memory}@${one.at + at - from}` : one.kind;
          }
        }
        const seen: string[] = [];
        let end = 0;
        for (const { from, to, kind, memory, at } of extents.all()) {
          if (from !== end || to <= from) throw new Error(`extent ${from}..${to} after ${end}`);
          for (let byte = from; byte < to; byte++) seen.push(memory ? `${memory.name}@${at + byte - from}` : kind);
          end = to;
        }
        if (seen.join() !== model.join() || extents.sizeBytes !== model.length) {
          throw new Error(`${seen.join()}\ninstead of\n${model.join()}`);
        }
        for (const [index, memory] of memories.entries()) {
          const live = model.filter((source) => source.startsWith(`${memory.name}@`)).length;
          if (memory.liveBytes !== live) throw new Error(`memory ${index} counts ${memory.liveBytes} of ${live} bytes`);
          const hadSome = (before[index]?.liveBytes ?? 0) > 0;
          const told = memory.gone - (before[index]?.gone ?? 0);
          if (told !== (hadSome && live === 0 ? 1 : 0) && !(told === 1 && live === 0)) {
            throw new Error(`memory ${index} was told ${told} times that it is abandoned`);
          }
        }
        const written = (source: string | undefined): boolean => source === 'spool' || (source?.includes('@') ?? false);
        let upTo = Math.floor(model.length / 2);
        const start = upTo;
        while (upTo < model.length && written(model[upTo])) upTo++;
        if (extents.writtenUpTo(start) !== upTo)
          throw new Error(`written up to ${extents.writtenUpTo(start)}, not ${upTo}`);
      }
    }),
    { numRuns: 3000 },
  );
  t.end();
});

void t.test('a sequential writer has one extent for each chunk', (t) => {
  const extents = new Extents<Memory>(0, 'base');
  const memories = [new Memory(0), new Memory(1)];
  let at = 0;
  for (const memory of memories) {
    for (let used = 0; used < 1000; used += 10) {
      extents.setMemory(at, at + 10, memory, used);
      at += 10;
    }
  }
  t.equal(extents.count, 2);
  t.same(
    extents.slice(990, 1010).map(({ from, to, at: place }) => [from, to, place]),
    [
      [990, 1000, 990],
      [1000, 1010, 0],
    ],
  );
  extents.resize(0);
  t.same(
    memories.map(({ gone, liveBytes }) => [gone, liveBytes]),
    [
      [1, 0],
      [1, 0],
    ],
  );
  t.end();
});
