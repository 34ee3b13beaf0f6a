/**
 * The pin protocol (pool-view.ts, block-table.ts) under every interleaving that matters: the main thread's steps at every
 * atomic operation of a reader's lookup, lookups at every atomic operation of the main thread, and both sides split.
 * After each run the answer, its bytes, the pins, the hints and the free list must be right.
 */
import t from 'tap';
import type { BlockKey } from '../../../src/base/pool/block-table.js';
import { Stepped, countOperations, withHook } from '../atomics-script.js';
import { BLOCK_BYTES } from '../../../src/base/pool/layout.js';
import { PAYLOAD_BYTES, SmallPool, colliding } from './small-pool.js';

const WANTED: BlockKey[] = [
  { nodeId: 7, blockIndex: 3 },
  { nodeId: 2 ** 31 + 5, blockIndex: 0 },
  { nodeId: 3 * 2 ** 32 + 2 ** 31 + 9, blockIndex: 12 },
];

interface Scene {
  readonly wanted: BlockKey;
  /** Same start in the hint table. */
  readonly near: BlockKey;
  readonly far: BlockKey;
}

/** Single steps of the main thread (and the filler) against the wanted block. */
const STEPS: Record<string, (pool: SmallPool, scene: Scene) => void> = {
  evict: (pool, { wanted }) => pool.evict(wanted),
  'evict, other block in its slot': (pool, { wanted, near }) => {
    if (!pool.evict(wanted)) return;
    pool.insert(near);
    pool.publish(near, PAYLOAD_BYTES);
  },
  'evict, same block again, whole': (pool, { wanted }) => {
    if (!pool.evict(wanted)) return;
    pool.insert(wanted);
    pool.publish(wanted, PAYLOAD_BYTES);
  },
  'evict, same block again, empty': (pool, { wanted }) => {
    if (pool.evict(wanted)) pool.insert(wanted);
  },
  'insert and fill': (pool, { wanted }) => {
    pool.insert(wanted);
    pool.publish(wanted, PAYLOAD_BYTES);
  },
  'publish more': (pool, { wanted }) => pool.publish(wanted, PAYLOAD_BYTES),
  hide: (pool, { wanted }) => pool.hide(wanted),
  'hide, then a new one elsewhere': (pool, { wanted }) => {
    pool.hide(wanted);
    pool.insert(wanted, 4);
  },
  'evict hidden': (pool) => pool.evictHidden(),
  'its place to other kinds of slot': (pool, { wanted, near, far }) => {
    if (!pool.evict(wanted)) return;
    for (const key of [near, far]) {
      pool.insert(key, 0, BLOCK_BYTES);
      pool.publish(key, PAYLOAD_BYTES);
      pool.evict(key);
      pool.insert(key, 0, 100);
      pool.publish(key, PAYLOAD_BYTES);
    }
  },
  'evict neighbour': (pool, { near }) => pool.evict(near),
};

/** What is in the pool when the reader starts. */
const STARTS: Record<string, (pool: SmallPool, scene: Scene) => void> = {
  empty: () => undefined,
  whole: (pool, { wanted }) => {
    pool.insert(wanted);
    pool.publish(wanted, PAYLOAD_BYTES);
  },
  half: (pool, { wanted }) => {
    pool.insert(wanted);
    pool.publish(wanted, PAYLOAD_BYTES / 2);
  },
  'whole, behind a neighbour': (pool, { wanted, near }) => {
    pool.insert(near);
    pool.publish(near, PAYLOAD_BYTES);
    pool.insert(wanted);
    pool.publish(wanted, PAYLOAD_BYTES);
  },
  'hidden and replaced': (pool, { wanted }) => {
    pool.insert(wanted);
    pool.publish(wanted, PAYLOAD_BYTES);
    pool.hide(wanted);
    pool.insert(wanted);
    pool.publish(wanted, PAYLOAD_BYTES / 2);
  },
};

const FROM = 2;
const TO = 10;

const scenes = WANTED.map((wanted): Scene => ({ wanted, near: colliding(wanted, 0), far: colliding(wanted, 1) }));

function prepare(start: string, scene: Scene, blockBytes = BLOCK_BYTES): SmallPool {
  const pool = new SmallPool(blockBytes);
  STARTS[start]?.(pool, scene);
  return pool;
}

for (const [kind, blockBytes] of [
  ['whole', BLOCK_BYTES],
  ['small', 100],
] as const)
  t.test(`main steps at every operation of a lookup, up to three of them: ${kind} slots`, (t) => {
    // Rows of small slots work as others do: for them, the steps in which slots change hands.
    const names = Object.keys(STEPS).filter((name) => kind === 'whole' || /^(evict|its place)/.test(name));
    let runs = 0;
    let hits = 0;
    const problems = new Map<string, string>();
    const run = (start: string, scene: Scene, placed: readonly (readonly [at: number, name: string])[]): void => {
      runs++;
      const pool = prepare(start, scene, blockBytes);
      const slot = withHook(
        (at) => {
          for (const [when, name] of placed) if (when === at) STEPS[name]?.(pool, scene);
        },
        () => pool.lookup(scene.wanted, FROM, TO),
      );
      if (slot >= 0) hits++;
      const problem = pool.problem(scene.wanted, FROM, TO, slot);
      if (problem) problems.set(problem, `${start}: ${JSON.stringify(placed)}`);
    };
    for (const scene of scenes) {
      for (const start of Object.keys(STARTS)) {
        // Steps can make the lookup longer (more probes, another attempt): positions reach beyond the undisturbed length.
        const length = countOperations(() => prepare(start, scene, blockBytes).lookup(scene.wanted, FROM, TO)) + 4;
        for (let first = 0; first < length; first++) {
          for (const one of names) {
            run(start, scene, [[first, one]]);
            // The id's size makes no difference to two steps: one scene is enough.
            if (scene !== scenes[2]) continue;
            for (let second = first; second < length; second++) {
              for (const two of names)
                run(start, scene, [
                  [first, one],
                  [second, two],
                ]);
            }
          }
        }
      }
    }
    // Three steps: the ones that move blocks about, from the start where a reader gets furthest; whole slots only.
    const movers = names.filter((name) => name.startsWith('evict, ') || name.startsWith('hide, '));
    if (kind === 'small') movers.length = 0;
    const scene = scenes[2]!;
    const length = countOperations(() => prepare('whole', scene, blockBytes).lookup(scene.wanted, FROM, TO)) + 4;
    for (let first = 0; first < length; first++) {
      for (let second = first; second < length; second++) {
        for (let third = second; third < length; third++) {
          for (const one of movers) {
            for (const two of movers) {
              for (const three of movers)
                run('whole', scene, [
                  [first, one],
                  [second, two],
                  [third, three],
                ]);
            }
          }
        }
      }
    }
    t.same([...problems], [], 'every run leaves the right bytes, pins and hints');
    t.ok(hits > runs / 20 && hits < runs, 'runs both hit and miss');
    t.comment(`${runs} runs, ${hits} hits`);
    t.end();
  });

for (const [kind, blockBytes] of [
  ['whole', BLOCK_BYTES],
  ['small', 100],
] as const)
  t.test(`both sides split: a lookup in two pieces between any operations of the main thread: ${kind} slots`, (t) => {
    const scripts: (readonly [start: string, ...steps: string[]])[] = [
      ['empty', 'insert and fill'],
      ['empty', 'insert and fill', 'evict'],
      ['half', 'publish more', 'evict'],
      ['whole', 'evict, other block in its slot'],
      ['whole', 'evict, same block again, whole'],
      ['whole', 'evict, same block again, empty', 'publish more'],
      ['whole', 'hide, then a new one elsewhere', 'publish more', 'evict hidden'],
      ['whole, behind a neighbour', 'evict neighbour', 'evict, other block in its slot'],
      ['hidden and replaced', 'evict hidden', 'publish more'],
      ['half', 'hide', 'evict hidden', 'insert and fill'],
    ];
    let runs = 0;
    let hits = 0;
    const problems = new Map<string, string>();
    const chosen: typeof scripts =
      kind === 'whole' ? scripts : [['whole', 'its place to other kinds of slot'], ...scripts.slice(4, 6)];
    for (const [start, ...script] of chosen) {
      for (const scene of scenes.slice(2)) {
        const main = (pool: SmallPool): void => {
          for (const name of script) STEPS[name]?.(pool, scene);
        };
        const mainLength = countOperations(() => main(prepare(start, scene, blockBytes)));
        const lookupLength =
          countOperations(() => prepare(start, scene, blockBytes).lookup(scene.wanted, FROM, TO)) + 4;
        for (let piece = 0; piece <= lookupLength; piece++) {
          for (let first = 0; first <= mainLength; first++) {
            for (let second = first; second <= mainLength; second++) {
              // An undivided lookup needs no second position.
              if (piece === 0 && second > first) break;
              runs++;
              const pool = prepare(start, scene, blockBytes);
              const lookup = new Stepped(() => pool.lookup(scene.wanted, FROM, TO));
              withHook(
                (at) => {
                  if (at === first) lookup.advance(piece);
                  if (at === second) lookup.advance(Infinity);
                },
                () => main(pool),
              );
              if (first >= mainLength) lookup.advance(piece);
              const slot = lookup.finish();
              if (slot >= 0) hits++;
              const problem = pool.problem(scene.wanted, FROM, TO, slot);
              if (problem) problems.set(problem, `${start}: ${script.join('; ')}: ${piece}@${first}, rest@${second}`);
            }
          }
        }
      }
    }
    t.same([...problems], [], 'every run leaves the right bytes, pins and hints');
    t.ok(hits > runs / 20 && hits < runs, 'runs both hit and miss');
    t.comment(`${runs} runs, ${hits} hits`);
    t.end();
  });

t.test('a pin held across every step: eviction fails until the unpin', (t) => {
  for (const scene of scenes) {
    const pool = prepare('whole', scene);
    const slot = pool.lookup(scene.wanted, FROM, TO);
    t.ok(slot >= 0);
    for (const step of Object.values(STEPS)) step(pool, scene);
    const [lo] = [scene.wanted.nodeId | 0];
    t.equal(pool.view.words[slot * 32 + 1], lo, 'the slot still holds the block');
    t.notOk(pool.table.tryEvict(slot));
    pool.view.unpin(slot);
    t.throws(() => pool.view.unpin(slot), /unpinned more often/, 'one unpin too many is caught');
  }
  t.end();
});

t.test('two readers and an eviction, all split', (t) => {
  const scene = scenes[1]!;
  const length = countOperations(() => prepare('whole', scene).lookup(scene.wanted, FROM, TO));
  let pinnedTwice = 0;
  for (let a = 0; a <= length; a++) {
    for (let b = 0; b <= length; b++) {
      for (const evictAt of [0, 1, 2]) {
        const pool = prepare('whole', scene);
        const one = new Stepped(() => pool.lookup(scene.wanted, FROM, TO));
        const two = new Stepped(() => pool.lookup(scene.wanted, FROM, TO));
        if (evictAt === 0) pool.evict(scene.wanted);
        one.advance(a);
        two.advance(b);
        if (evictAt === 1) pool.evict(scene.wanted);
        const slotOne = one.finish();
        if (evictAt === 2) pool.evict(scene.wanted);
        const slotTwo = two.finish();
        const slots = [slotOne, slotTwo].filter((slot) => slot >= 0);
        if (slots.length === 2) {
          pinnedTwice++;
          if (pool.table.pins(slotOne) !== 2) t.fail(`pins ${pool.table.pins(slotOne)} at ${a}, ${b}, ${evictAt}`);
          if (pool.evict(scene.wanted)) t.fail('evicted under two pins');
          pool.view.unpin(slotOne);
        }
        const problem = pool.problem(scene.wanted, FROM, TO, slots.length === 2 ? slotTwo : (slots[0] ?? -1));
        if (problem) t.fail(`${problem} at ${a}, ${b}, ${evictAt}`);
      }
    }
  }
  t.ok(pinnedTwice > 100, 'both hit often');
  t.end();
});
