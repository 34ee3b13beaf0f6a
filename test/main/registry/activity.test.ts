/** When a mount counts as in use. */
import t from 'tap';
import { MIB } from '../../../src/base/units.js';
import { ActivityMeter, LOOK_MS } from '../../../src/main/registry/activity.js';

/** Looks, LOOK_MS apart, and what was said at the last. */
class Looks {
  readonly meter = new ActivityMeter(0);
  atMs = 0;
  bytesMoved = 0;
  used = 0;
  isBusy = false;

  look(times = 1): string {
    let said = '';
    for (let each = 0; each < times; each++) {
      this.atMs += LOOK_MS;
      said = this.meter.look(
        { isBusy: this.isBusy, bytesMoved: this.bytesMoved, used: this.used, waited: 0 },
        this.atMs,
      );
    }
    return said;
  }
}

t.test('nothing happens: idle, and asleep after a minute', (t) => {
  const looks = new Looks();
  t.equal(looks.look(), 'idle');
  t.equal(looks.look(118), 'idle');
  t.equal(looks.look(2), 'asleep');
  looks.used = 1;
  t.equal(looks.look(), 'idle', 'a READ from memory wakes it, and costs the network nothing');
  t.end();
});

t.test('bytes make it active, for a while', (t) => {
  const looks = new Looks();
  looks.bytesMoved = MIB;
  t.equal(looks.look(), 'active');
  t.equal(looks.look(5), 'active', 'a pause between two steps');
  t.equal(looks.look(), 'idle');
  looks.bytesMoved += 1000;
  t.equal(looks.look(), 'idle', 'a few bytes are no work');
  t.end();
});

t.test('one look that finds a request under way is no work, two are', (t) => {
  const looks = new Looks();
  looks.isBusy = true;
  t.equal(looks.look(), 'idle');
  looks.isBusy = false;
  looks.look();
  looks.isBusy = true;
  t.equal(looks.look(), 'idle');
  t.equal(looks.look(), 'active');
  t.equal(looks.look(1000), 'active', 'as long as it goes on');
  t.end();
});
