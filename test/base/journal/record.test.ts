/** Values of the journal: what is written is read, and what an older version did not write is nothing. */
import t from 'tap';
import { RecordReader, RecordWriter } from '../../../src/base/journal/record.js';

void t.test('fields come back in order', (t) => {
  const writer = new RecordWriter();
  const long = 'é'.repeat(5000);
  for (let round = 0; round < 2; round++) {
    const value = writer
      .begin()
      .u32(0xffff_fffe)
      .number(2 ** 52 + 1)
      .optional(undefined)
      .optional(0)
      .text(long)
      .bytes(Buffer.from([1, 2, 3]))
      .text('')
      .end();
    const reader = new RecordReader(value);
    t.equal(reader.u32(), 0xffff_fffe);
    t.equal(reader.number(), 2 ** 52 + 1);
    t.equal(reader.optional(), undefined);
    t.equal(reader.optional(), 0);
    t.equal(reader.text(), long);
    t.same([...reader.bytes()], [1, 2, 3]);
    t.equal(reader.text(), '');
    t.ok(reader.isOver);
    t.same(
      [reader.u32(), reader.number(), reader.optional(), reader.text(), reader.bytes().length],
      [0, 0, undefined, '', 0],
    );
  }
  t.end();
});
