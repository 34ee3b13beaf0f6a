/** Who gets the next piece of work. */
import t from 'tap';
import { ThreadLoads } from '../../src/engine/thread-loads.js';

t.test('the thread with the least, the first of equals', (t) => {
  const loads = new ThreadLoads(3);
  t.equal(loads.least(), 0);
  loads.add(0, 5);
  loads.add(1, 3);
  t.equal(loads.least(), 2);
  loads.add(2, 4);
  t.equal(loads.least(), 1);
  loads.add(0, -5);
  t.equal(loads.least(), 0);
  t.end();
});

t.test('only active threads get new work, and there is always one', (t) => {
  const loads = new ThreadLoads(3);
  loads.setActive(1);
  loads.add(0, 100);
  t.equal(loads.least(), 0);
  loads.setActive(0);
  t.equal(loads.least(), 0);
  loads.setActive(99);
  t.equal(loads.least(), 1);
  t.end();
});
