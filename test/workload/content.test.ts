/** Generated content: the same everywhere, other for every file and piece, and comparing finds the first wrong byte. */
import t from 'tap';
import { Content, makeContentBase, PIECE_BYTES } from '../../src/workload/content.js';

const content = new Content(makeContentBase());

/** `bytes` of a file from `offset` on, put together from views. */
function read(contentId: number, offset: number, bytes: number): Buffer {
  const pieces: Buffer[] = [];
  for (let done = 0; done < bytes;) {
    const piece = content.view(contentId, offset + done, bytes - done);
    pieces.push(piece);
    done += piece.length;
  }
  return Buffer.concat(pieces);
}

t.test('views join into the same bytes however they are cut', (t) => {
  const whole = read(7, 0, 3 * PIECE_BYTES + 123);
  for (const [offset, bytes] of [
    [0, 1],
    [PIECE_BYTES - 1, 2],
    [12_345, 2 * PIECE_BYTES],
    [3 * PIECE_BYTES, 123],
  ] as const) {
    t.ok(read(7, offset, bytes).equals(whole.subarray(offset, offset + bytes)), `${bytes} at ${offset}`);
  }
  t.ok(read(7, 0, PIECE_BYTES).equals(new Content(makeContentBase()).view(7, 0, PIECE_BYTES)), 'made anew');
  t.end();
});

t.test('files and pieces differ', (t) => {
  const beginnings = new Set<string>();
  for (let id = 0; id < 50; id++) {
    for (let piece = 0; piece < 20; piece++) {
      beginnings.add(content.view(id, piece * PIECE_BYTES, 16).toString('hex'));
    }
  }
  t.equal(beginnings.size, 1000);
  t.end();
});

t.test('the first wrong byte is found, also behind the end of a piece', (t) => {
  const got = read(3, 1000, 2 * PIECE_BYTES);
  t.equal(content.firstDifference(3, 1000, got), undefined);
  for (const at of [0, 5, PIECE_BYTES - 1000, PIECE_BYTES + 77, got.length - 1]) {
    const spoiled = Buffer.from(got);
    spoiled[at] = (spoiled[at] ?? 0) ^ 1;
    t.equal(content.firstDifference(3, 1000, spoiled), 1000 + at);
  }
  t.not(content.firstDifference(4, 1000, got), undefined, "another file's bytes");
  t.not(content.firstDifference(3, 1000 + PIECE_BYTES, got), undefined, 'the bytes of another place');
  t.end();
});
