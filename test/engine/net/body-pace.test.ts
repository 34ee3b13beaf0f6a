/** The size of a body's pieces follows what the line has shown, and not what small bodies or downloads say. */
import t from 'tap';
import { MIB } from '../../../src/base/units.js';
import { BodyPace } from '../../../src/engine/net/body-pace.js';
import { BODY_PIECE_BYTES, BODY_QUICK_PIECE_BYTES, QUICK_BYTES_PER_MS } from '../../../src/engine/net/limits.js';

t.test('small until a body was quick, and small again after a slow one', (t) => {
  const pace = new BodyPace();
  const send = (bytes: number, tookMs: number): number => {
    pace.begin(bytes, 1000);
    pace.answered(1000 + tookMs);
    return pace.pieceBytes;
  };
  t.equal(pace.pieceBytes, BODY_PIECE_BYTES);
  t.equal(send(1000, 0), BODY_PIECE_BYTES, 'a small one tells nothing');
  t.equal(send(8 * MIB, (8 * MIB) / QUICK_BYTES_PER_MS + 1), BODY_PIECE_BYTES);
  t.equal(send(8 * MIB, (8 * MIB) / QUICK_BYTES_PER_MS - 1), BODY_QUICK_PIECE_BYTES);
  t.equal(send(1000, 60_000), BODY_QUICK_PIECE_BYTES);
  pace.answered(90_000);
  t.equal(pace.pieceBytes, BODY_QUICK_PIECE_BYTES, 'an answer to a request without a body says nothing of bodies');
  t.equal(send(8 * MIB, 60_000), BODY_PIECE_BYTES);
  t.end();
});
