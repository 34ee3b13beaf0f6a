/** Asking net threads: all answers together, those that do not come left out, nothing mixed up. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import type { NetCommand, NetEvent } from '../../../src/engine/api.js';
import { EMPTY_LEDGER } from '../../../src/engine/net/request-ledger.js';
import type { NetDescription } from '../../../src/engine/net/describe.js';
import { Descriptions } from '../../../src/main/stats/descriptions.js';

const phases = { inLine: 0, paced: 0, transfer: 0, backoff: 0, credentials: 0 };
const description: NetDescription = {
  addresses: [],
  opening: 0,
  inLine: [],
  ...{ fetches: phases, lists: phases, calls: phases },
  parkedReads: 0,
  resumed: 0,
  ledger: EMPTY_LEDGER,
  heapBytes: 1,
};

function threads(count: number): { said: NetCommand[]; clock: ManualClock; descriptions: Descriptions } {
  const said: NetCommand[] = [];
  const clock = new ManualClock();
  const ports = Array.from({ length: count }, () => ({ post: (command: NetCommand) => void said.push(command) }));
  return { said, clock, descriptions: new Descriptions(ports, clock) };
}

const answer = (describeId: number, heapBytes = 1): NetEvent => ({
  type: 'described',
  describeId,
  description: { ...description, heapBytes },
});

t.test('all answer', async (t) => {
  const { said, clock, descriptions } = threads(2);
  const asked = descriptions.ask();
  t.equal(descriptions.ask(), asked, 'who asks meanwhile gets the same answer');
  t.strictSame(said, [
    { type: 'describe', describeId: 1 },
    { type: 'describe', describeId: 1 },
  ]);
  t.ok(descriptions.handle(1, answer(1, 22)));
  t.ok(descriptions.handle(0, answer(1, 11)));
  t.match(await asked, [{ heapBytes: 11 }, { heapBytes: 22 }]);
  t.equal(clock.pending, 0);
  void descriptions.ask();
  t.match(said[2], { describeId: 2 });
  t.notOk(descriptions.handle(0, { type: 'ready' }), 'none of ours');
});

t.test('one that does not answer in time is left out, and its late word is nobody’s', async (t) => {
  const { clock, descriptions } = threads(2);
  const asked = descriptions.ask();
  descriptions.handle(1, answer(1));
  descriptions.handle(1, answer(1));
  clock.advance(1000);
  t.match(await asked, [undefined, { heapBytes: 1 }]);
  const again = descriptions.ask();
  t.ok(descriptions.handle(0, answer(1, 5)), 'late');
  descriptions.handle(0, answer(2, 6));
  descriptions.handle(1, answer(2, 7));
  t.match(await again, [{ heapBytes: 6 }, { heapBytes: 7 }]);
});
