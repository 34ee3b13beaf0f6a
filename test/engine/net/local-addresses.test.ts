/** Whose turn it is among the addresses of --bind: fewest open first, failed ones last; and which idle connection works. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { LocalAddresses, spreadChoice, type LocalPlace } from '../../../src/engine/net/local-addresses.js';
import { ADDRESS_PENALTY_MS } from '../../../src/engine/net/limits.js';

function taken(locals: LocalAddresses, count: number, family: 4 | 6 = 4): LocalPlace[] {
  return Array.from({ length: count }, () => locals.take(family)).flatMap((place) => place ?? []);
}
const names = (places: readonly LocalPlace[]): string => places.map(({ address }) => address).join(' ');

t.test('in turn while nothing closes, and what closed is filled again', (t) => {
  const locals = new LocalAddresses(['10.0.0.1', '10.0.1.1'], new ManualClock());
  const places = taken(locals, 6);
  t.equal(names(places), '10.0.0.1 10.0.1.1 10.0.0.1 10.0.1.1 10.0.0.1 10.0.1.1');
  for (const place of places.filter(({ address }) => address === '10.0.1.1')) place.release();
  t.equal(names(taken(locals, 3)), '10.0.1.1 10.0.1.1 10.0.1.1', 'the card that lost its connections gets the next');
  places[1]?.release();
  t.equal(names(taken(locals, 2)), '10.0.0.1 10.0.1.1', 'a second release changes nothing');
  t.end();
});

t.test('families do not disturb each other', (t) => {
  const locals = new LocalAddresses(['10.0.0.1', 'fd00::1', '10.0.1.1', 'fd00:1::1'], new ManualClock());
  t.equal(names(taken(locals, 2, 6)), 'fd00::1 fd00:1::1');
  t.equal(new Set(taken(locals, 2).map(({ address }) => address)).size, 2);
  t.equal(new LocalAddresses(['fd00::1'], new ManualClock()).take(4), undefined, 'none of this family');
  t.end();
});

t.test('one that reaches nobody is passed over for a while, unless there is no other', (t) => {
  const clock = new ManualClock();
  const locals = new LocalAddresses(['10.0.0.1', '10.0.1.1'], clock);
  const [first] = taken(locals, 1);
  first?.release();
  first?.failed();
  const places = taken(locals, 3);
  t.equal(names(places), '10.0.1.1 10.0.1.1 10.0.1.1');
  places[0]?.failed();
  t.equal(names(taken(locals, 1)), '10.0.0.1', 'both are bad: the one with fewer');
  clock.advance(ADDRESS_PENALTY_MS);
  t.equal(names(taken(locals, 2)), '10.0.0.1 10.0.0.1', 'forgiven');
  t.end();
});

t.test('idle connections of the less busy address work first, of equals the one that rested longest', (t) => {
  const at = (localAddress: string | undefined): { localAddress: string | undefined } => ({ localAddress });
  const [a1, a2, b1, b2] = [at('a'), at('a'), at('b'), at('b')];
  const opening = at(undefined);
  t.equal(spreadChoice([a1, b1], [a1, a2, b1, b2, opening]), 0, 'one busy each: a rested longer');
  t.equal(spreadChoice([b1, a1, a2], [a1, a2, b1, opening]), 0, 'none busy: not the newest again');
  t.equal(spreadChoice([a1, b1, a2], [a1, a2, b1, b2, opening]), 2, 'b has a busy one, and of a the newest works');
  t.equal(spreadChoice([a1, a2], [a1, a2, b1, b2]), 1, 'there is no choice of address');
  t.end();
});
