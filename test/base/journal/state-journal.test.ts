/**
 * The journal against a model: random operations, the memory looked at after every single store as a kill would leave it, and
 * taken up again from there. What is found is the state before the operation or after it, never anything else, and goes on.
 */
import t from 'tap';
import type { JournalKey } from '../../../src/base/journal/journal-api.js';
import {
  HEADER_BYTES,
  JournalVersionError,
  MappedJournal,
  type JournalMemory,
} from '../../../src/base/journal/state-journal.js';

const HALF_BYTES = 2048;
const options = { halfBytes: HALF_BYTES, firstBytes: 512 };

class PlainMemory implements JournalMemory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  reservable = Infinity;
  released = 0;

  constructor(bytes: Uint8Array<ArrayBuffer> = new Uint8Array(HEADER_BYTES + 2 * HALF_BYTES)) {
    this.bytes = bytes;
  }

  reserve(offset: number, bytes: number): boolean {
    return offset + bytes <= this.reservable;
  }

  clear(offset: number, bytes: number, release: boolean): void {
    this.bytes.fill(0, offset, offset + bytes);
    if (release) this.released += bytes;
  }
}

type Model = Map<string, string>;

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function stateOf(journal: MappedJournal): Model {
  const state: Model = new Map();
  for (let kind = 1; kind <= 3; kind++) {
    for (const { key, value } of journal.entries(kind)) {
      state.set(`${kind} ${typeof key} ${key}`, Buffer.from(value).toString('hex'));
    }
  }
  return state;
}

function print(state: Model): string {
  return [...state]
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join('\n');
}

type Step = (journal: MappedJournal, model: Model) => void;

function step(draw: (below: number) => number): Step {
  const kind = 1 + draw(3);
  const number = draw(2) === 0 ? draw(4) : 2 ** 52 + draw(4);
  const key: JournalKey = draw(2) === 0 ? number : `kéy/${draw(4)}`;
  const name = `${kind} ${typeof key} ${key}`;
  const what = draw(10);
  if (what < 6) {
    const value = Buffer.alloc(4 + draw(60), 1 + draw(255));
    return (journal, model) => {
      if (journal.put(kind, key, value)) model.set(name, value.toString('hex'));
      else model.delete(name);
    };
  }
  if (what < 8) {
    return (journal, model) => {
      journal.remove(kind, key);
      model.delete(name);
    };
  }
  const word = draw(0xffff_ffff);
  return (journal, model) => {
    journal.setWord(kind, key, 0, word);
    const old = model.get(name);
    if (old === undefined) return;
    const bytes = Buffer.from(old, 'hex');
    bytes.writeUInt32LE(word);
    model.set(name, bytes.toString('hex'));
  };
}

void t.test('a kill after any store leaves the state before the operation or after it', (t) => {
  let cuts = 0;
  let changes = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const draw = random(seed);
    let images: Uint8Array<ArrayBuffer>[] = [];
    const memory = new PlainMemory();
    const model: Model = new Map();
    const journal = new MappedJournal(memory, options, { onStore: () => images.push(memory.bytes.slice()) });
    for (let count = 0; count < 150; count++) {
      images = [];
      const before = print(model);
      step(draw)(journal, model);
      const after = print(model);
      if (print(stateOf(journal)) !== after) return void t.fail(`seed ${seed}, operation ${count}: not what was put`);
      if (images.length > 6) changes++;
      for (const image of images) {
        cuts++;
        const next = new MappedJournal(new PlainMemory(image), options);
        const found = stateOf(next);
        const text = print(found);
        if (text !== before && text !== after)
          return void t.fail(`seed ${seed}, operation ${count}: neither before nor after`);
        // And it goes on from there, whatever an unfinished record left behind.
        const further = random(seed * 1000 + count);
        for (let more = 0; more < 3; more++) step(further)(next, found);
        if (print(stateOf(next)) !== print(found)) return void t.fail('what is found cannot go on');
        const last = stateOf(new MappedJournal(new PlainMemory(image.slice()), options));
        if (print(last) !== print(found)) return void t.fail('what went on is not found again');
      }
    }
    t.equal(
      print(stateOf(new MappedJournal(new PlainMemory(memory.bytes.slice()), options))),
      print(model),
      `seed ${seed}`,
    );
  }
  t.ok(cuts > 3000, `${cuts} cuts`);
  t.ok(changes > 10, `${changes} changes of halves`);
  t.end();
});

void t.test('a record that was cut anywhere in its bytes does not count, and what it left is no record later', (t) => {
  const memory = new PlainMemory();
  const journal = new MappedJournal(memory, options);
  journal.put(1, 1, Buffer.from('before'));
  const before = memory.bytes.slice();
  journal.put(1, 2, Buffer.alloc(200, 0x10));
  const after = memory.bytes.slice();
  const first = before.findIndex((byte, at) => byte !== after[at]);
  for (let end = first; end < first + 240; end++) {
    const image = before.slice();
    // All but the first word, which is stored last.
    image.set(after.subarray(first + 4, end), first + 4);
    const next = new MappedJournal(new PlainMemory(image), options);
    if (next.has(1, 2) || !next.has(1, 1)) return void t.fail(`cut at ${end}`);
    next.put(2, 3, Buffer.from('short'));
    const again = new MappedJournal(new PlainMemory(image.slice()), options);
    if (print(stateOf(again)) !== print(stateOf(next))) return void t.fail(`after a cut at ${end}`);
  }
  t.pass('all cuts');
  t.end();
});

void t.test(
  'when there is no room the newest is not kept, nothing old is wrong, and there is room again later',
  (t) => {
    const memory = new PlainMemory();
    let full = 0;
    const journal = new MappedJournal(memory, options, { onFull: () => full++ });
    let kept = 0;
    while (journal.put(1, kept, Buffer.alloc(100, kept + 1))) kept++;
    t.ok(kept > 10 && kept < 20, `${kept} of 128 bytes in 2 KiB`);
    t.equal(full, 1);
    t.ok(journal.isIncomplete);
    t.notOk(journal.put(1, 0, Buffer.alloc(1000)), 'a value that grows');
    t.notOk(journal.has(1, 0), 'is not there with its old content');
    t.equal(full, 1, 'said once');
    for (let key = 1; key < kept; key++) journal.remove(1, key);
    t.ok(journal.put(1, 5, Buffer.from('again')));
    const next = new MappedJournal(new PlainMemory(memory.bytes.slice()), options);
    t.equal(print(stateOf(next)), print(stateOf(journal)));
    t.ok(next.isIncomplete, 'the next daemon knows that there was more');
    t.end();
  },
);

void t.test('memory that the system does not have', (t) => {
  const memory = new PlainMemory(new Uint8Array(HEADER_BYTES + 2 * 256 * 1024));
  memory.reservable = HEADER_BYTES + 64 * 1024;
  const journal = new MappedJournal(memory, { firstBytes: 256 * 1024 });
  let kept = 0;
  while (journal.put(1, kept, Buffer.alloc(1000))) kept++;
  t.ok(kept > 50 && kept <= 64, `${kept} in 64 KiB`);
  journal.remove(1, 0);
  const next = new MappedJournal(new PlainMemory(memory.bytes.slice()), { firstBytes: 256 * 1024 });
  t.equal(next.entries(1).length, kept - 1);
  t.end();
});

void t.test('a large half that is left gives its memory back', (t) => {
  const memory = new PlainMemory(new Uint8Array(HEADER_BYTES + 2 * 4 * 1024 * 1024));
  const journal = new MappedJournal(memory);
  for (let key = 0; key < 3000; key++) journal.put(1, key, Buffer.alloc(1000));
  for (let key = 0; key < 3000; key++) journal.remove(1, key);
  for (let count = 0; count < 30_000; count++) journal.put(1, 1, Buffer.alloc(1000, count));
  t.ok(memory.released > 1024 * 1024, `${memory.released} bytes given back`);
  t.equal(new MappedJournal(new PlainMemory(memory.bytes.slice())).entries(1).length, 1);
  t.end();
});

void t.test('memory of another version is refused', (t) => {
  const memory = new PlainMemory();
  const journal = new MappedJournal(memory, options);
  journal.put(1, 1, Buffer.from('x'));
  memory.bytes[4] = 9;
  let error: unknown;
  try {
    new MappedJournal(memory, options);
  } catch (thrown) {
    error = thrown;
  }
  t.type(error, JournalVersionError);
  t.end();
});

void t.test('a frozen journal keeps what it had', (t) => {
  const memory = new PlainMemory();
  const journal = new MappedJournal(memory, options);
  journal.put(1, 1, Buffer.from('kept'));
  const before = memory.bytes.slice();
  journal.freeze();
  journal.put(1, 2, Buffer.from('more'));
  journal.setWord(1, 1, 0, 7);
  journal.remove(1, 1);
  t.same(memory.bytes, before);
  t.end();
});
