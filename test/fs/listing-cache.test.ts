/**
 * What pages say of names when they overlap, age, are replaced or pushed out.
 */
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { packPage } from '../../src/engine/listing/row-collector.js';
import { Freshness } from '../../src/fs/freshness.js';
import { KnownNames } from '../../src/fs/known-names.js';
import { ListingCache } from '../../src/fs/listing-cache.js';
import { OwnChanges } from '../../src/fs/namespace/own-changes.js';
import { ListingPage } from '../../src/fs/listing-page.js';

interface PageSpec {
  readonly start?: string;
  readonly sentAtMs?: number;
  /** File names; a name that ends with a slash is a directory. A last `...` says that more follows. */
  readonly keys: readonly string[];
  readonly etag?: string;
}

function page({ start = '', sentAtMs = 0, keys, etag = '"1"' }: PageSpec): ListingPage {
  const here = keys.filter((key) => key !== '...');
  const plain = { etag, sizeBytes: 1, lastModifiedMs: 0, storageClass: '', restored: false };
  const objects = here.filter((key) => !key.endsWith('/')).map((key) => ({ ...plain, key: `d/${key}` }));
  const commonPrefixes = here.filter((key) => key.endsWith('/')).map((key) => `d/${key}`);
  const nextToken = keys.includes('...') ? 'more' : undefined;
  return new ListingPage({
    directoryKey: 'd/',
    startKey: start,
    sentAtMs,
    columns: packPage({ objects, commonPrefixes, nextToken }, 'd/'),
  });
}

function make(options: { ttlMs?: number | null; bytesMax?: number; inOrder?: boolean } = {}) {
  const { ttlMs = null, bytesMax = 1e6, inOrder = true } = options;
  const clock = new ManualClock();
  const freshness = new Freshness({ metadataTtlMs: ttlMs, negativeMetadataTtlMs: ttlMs }, { clock });
  const changes: OwnChanges = new OwnChanges({ freshness, floorRaised: () => undefined });
  const cache = new ListingCache({ bytesMax, inOrder }, { freshness, floorMs: (key) => changes.floorMs(key) });
  const names = new KnownNames({ factsMax: 10 }, { listings: cache, freshness, changes });
  return { clock, cache, names };
}

void t.test('presence and absence within one page', (t) => {
  const { cache } = make();
  cache.insert(page({ keys: ['a', 'b/', 'both', 'both/', '...'] }));
  t.equal(cache.find('d/', 'a')?.kind, 'file');
  t.equal(cache.find('d/', 'b')?.kind, 'directory');
  t.equal(cache.find('d/', 'both')?.kind, 'directory');
  t.equal(cache.find('d/', 'aa')?.kind, 'none');
  t.equal(cache.find('d/', 'z'), undefined, 'beyond the page');
  t.equal(cache.find('other/', 'a'), undefined);
  t.end();
});

void t.test('a name whose file and directory are pages apart', (t) => {
  const { cache } = make();
  cache.insert(page({ sentAtMs: 10, keys: ['m', 'm-1', '...'] }));
  t.equal(cache.find('d/', 'm'), undefined, 'm/ may follow');
  cache.insert(page({ start: 'm-1', sentAtMs: 5, keys: ['m.a', 'n', '...'] }));
  t.match(cache.find('d/', 'm'), { kind: 'file', sentAtMs: 5 }, 'as old as the older of the two answers');
  cache.insert(page({ start: 'm-1', sentAtMs: 20, keys: ['m/', 'n', '...'] }));
  t.match(cache.find('d/', 'm'), { kind: 'directory', sentAtMs: 20 });
  t.end();
});

void t.test('of pages that overlap the youngest counts', (t) => {
  const { cache } = make();
  cache.insert(page({ sentAtMs: 0, keys: ['a', 'b', 'c'] }));
  cache.insert(page({ start: 'aa', sentAtMs: 50, keys: ['c', '...'] }));
  t.match(cache.find('d/', 'b'), { kind: 'none', sentAtMs: 50 });
  t.match(cache.find('d/', 'a'), { kind: 'file', sentAtMs: 0 });
  t.end();
});

void t.test('a younger page replaces one that begins at the same key, an older one does not', (t) => {
  const { cache } = make();
  cache.insert(page({ sentAtMs: 10, keys: ['a'] }));
  cache.insert(page({ sentAtMs: 5, keys: ['old'] }));
  t.equal(cache.find('d/', 'old')?.kind, 'none');
  cache.insert(page({ sentAtMs: 20, keys: ['new'] }));
  t.equal(cache.find('d/', 'a')?.kind, 'none');
  t.equal(cache.find('d/', 'new')?.kind, 'file');
  t.end();
});

void t.test('a whole listing is known when its pages meet and are fresh', (t) => {
  const { cache, clock } = make({ ttlMs: 1000 });
  t.equal(cache.whole('d/'), undefined);
  cache.insert(page({ keys: ['a', 'b', '...'] }));
  t.equal(cache.whole('d/'), undefined);
  clock.advance(600);
  cache.insert(page({ start: 'b', sentAtMs: 600, keys: ['c'] }));
  t.equal(cache.whole('d/')?.length, 2);
  clock.advance(401);
  t.equal(cache.whole('d/'), undefined, 'its first page is too old');
  t.equal(cache.isLarge('d/'), true);
  t.equal(cache.isLarge('e/'), false);
  t.end();
});

void t.test('pages that are too old go when new ones come, the oldest go when there is no room', (t) => {
  const aging = make({ ttlMs: 1000 });
  aging.cache.insert(page({ keys: ['a', '...'] }));
  const bytes = aging.cache.bytes;
  aging.clock.advance(1001);
  aging.cache.insert(page({ start: 'x', sentAtMs: 1001, keys: ['y', '...'] }));
  t.equal(aging.cache.bytes, bytes);

  const one = page({ keys: ['a', '...'] }).bytes + 2;
  const { cache } = make({ bytesMax: one * 2 });
  cache.insert(page({ keys: ['a', '...'] }));
  cache.insert(page({ start: 'a', keys: ['b', '...'] }));
  cache.insert(page({ start: 'b', keys: ['c', '...'] }));
  t.equal(cache.bytes, one * 2);
  t.equal(cache.find('d/', 'a'), undefined);
  t.equal(cache.find('d/', 'b')?.kind, 'file');
  const huge = page({ start: 'c', keys: Array.from({ length: 500 }, (_, index) => `e${index}`) });
  cache.insert(huge);
  t.ok(cache.bytes <= one * 2);
  t.equal(cache.find('d/', 'e1'), undefined, 'a page larger than the cache is not indexed either');
  cache.clear();
  t.equal(cache.bytes, 0);
  t.equal(cache.find('d/', 'c'), undefined);
  t.end();
});

void t.test('without an order only a directory of one page is known', (t) => {
  const { cache } = make({ inOrder: false });
  cache.insert(page({ keys: ['a', '...'] }));
  t.equal(cache.find('d/', 'A'), undefined);
  cache.insert(page({ keys: ['a'] }));
  t.equal(cache.find('d/', 'A')?.kind, 'none');
  t.end();
});

void t.test('known names: the youngest fact wins, void facts stay void', (t) => {
  const { cache, names, clock } = make();
  const head = { key: 'd/a', etag: '"2"', sizeBytes: 2, lastModifiedMs: 0, storageClass: '', restored: false };
  cache.insert(page({ sentAtMs: 10, keys: ['a', 'b'] }));
  names.record('d/a', { kind: 'file', head, sentAtMs: 5 });
  t.match(names.find('d/', 'a'), { head: { etag: '"1"' } }, 'the listing is younger');
  names.record('d/a', { kind: 'file', head, sentAtMs: 20 });
  t.match(names.find('d/', 'a'), { head: { etag: '"2"' } });
  names.record('d/a', { kind: 'none', sentAtMs: 15 });
  t.match(names.find('d/', 'a'), { kind: 'file' }, 'a late answer does not replace a younger one');
  clock.advance(30);
  names.distrust('d/a');
  t.equal(names.find('d/', 'a'), undefined);
  cache.insert(page({ sentAtMs: 29, keys: ['a'] }));
  t.equal(names.find('d/', 'a'), undefined, 'a listing sent before the discovery does not help');
  cache.insert(page({ sentAtMs: 31, keys: ['a'] }));
  t.equal(names.find('d/', 'a')?.kind, 'file', 'one sent after it does');
  for (let index = 0; index < 20; index++) names.record(`d/x${index}`, { kind: 'none', sentAtMs: 0 });
  t.equal(names.size, 10, 'bounded');
  t.end();
});

void t.test('freshness is counted from the sending, never negative, never above ten years', (t) => {
  const clock = new ManualClock();
  clock.advance(5000);
  const some = new Freshness({ metadataTtlMs: 1000, negativeMetadataTtlMs: 0 }, { clock });
  t.same([some.remainingMs(5000), some.remainingMs(4400), some.remainingMs(1)], [1000, 400, 0]);
  t.same([some.isFresh(4000), some.isFresh(3999)], [true, false]);
  t.equal(some.negativeRemainingMs(5000), 0);
  const endless = new Freshness({ metadataTtlMs: null, negativeMetadataTtlMs: null }, { clock });
  t.equal(endless.remainingMs(-1e12), 10 * 365 * 24 * 3600 * 1000);
  t.equal(endless.isFresh(-1e12), true);
  t.equal(endless.wholeMs, endless.negativeRemainingMs(0));
  t.end();
});
