/** What a mount writes of itself: read back as it is, and whatever else lies there is nothing. */
import fc from 'fast-check';
import t from 'tap';
import { GIB } from '../../../src/base/units.js';
import {
  ANNOUNCEMENT_BYTES_MAX,
  decodeAnnouncement,
  encodeAnnouncement,
  type Announcement,
} from '../../../src/main/registry/announcement.js';

const sample: Announcement = {
  pid: 4711,
  startTicks: 123_456,
  pidNamespace: 'pid:[4026531836]',
  mountPoint: '/mnt/data',
  nics: ['eth0', 'eth1'],
  linkGbps: 100,
  targetGbps: 50,
  defaultMemoryBytes: 16 * GIB,
  activity: 'active',
};

t.test('there and back', (t) => {
  t.strictSame(decodeAnnouncement(encodeAnnouncement(sample)), sample);
  const used = { ...sample, use: { bytesPerSecond: 123_456, isHungry: true } };
  t.strictSame(decodeAnnouncement(encodeAnnouncement(used)), used);
  const said = { ...sample, defaultMemoryBytes: undefined, nics: [] };
  t.strictSame(decodeAnnouncement(encodeAnnouncement(said)), said);
  t.ok(encodeAnnouncement(sample).length < ANNOUNCEMENT_BYTES_MAX);
  t.end();
});

t.test('every field that makes no sense makes it none', (t) => {
  const bad: Record<keyof Announcement | 'format', unknown[]> = {
    format: [0, 2, '1', undefined],
    pid: [0, -1, 1.5, '1', null, 2 ** 60],
    startTicks: [0, -1, undefined, 'x'],
    pidNamespace: [1, null, 'x'.repeat(3000)],
    mountPoint: [undefined, 7, 'x'.repeat(3000)],
    nics: ['eth0', [1], ['a'.repeat(16)], Array(33).fill('eth0'), undefined],
    linkGbps: [0, -1, null, '1', 1e9],
    targetGbps: [0, -5, undefined, Number.MAX_VALUE],
    defaultMemoryBytes: [0, -1, 'x', null, 2 ** 60],
    activity: ['busy', 1, undefined],
    use: [
      1,
      null,
      {},
      { bytesPerSecond: -1, isHungry: true },
      { bytesPerSecond: 1e15, isHungry: true },
      { bytesPerSecond: 1 },
    ],
  };
  const good = JSON.parse(encodeAnnouncement(sample)) as Record<string, unknown>;
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) {
      t.equal(decodeAnnouncement(JSON.stringify({ ...good, [name]: value })), undefined, `${name}: ${String(value)}`);
    }
  }
  t.end();
});

t.test('every truncation, and any text', (t) => {
  const text = encodeAnnouncement(sample).trimEnd();
  for (let length = 0; length < text.length; length++) {
    t.equal(decodeAnnouncement(text.slice(0, length)), undefined);
  }
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (any) => {
      const decoded = decodeAnnouncement(any);
      return decoded === undefined || decoded.pid > 0;
    }),
  );
  t.end();
});
