/**
 * A directory that is read while daemons die: no name twice, none missing, wherever the reader was. Names are such that pages
 * cannot decide about files (a, a-, a/), pages are short, replies shorter, and the reader may go on in the middle of a reply.
 */
import t from 'tap';
import { ESTALE } from '../../../src/base/errno.js';
import { HeirBench } from '../../support/heir-bench.js';
import { errnoOf, ROOT, type Listed } from '../../support/memory-store-kernel.js';

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PIECES = ['a', 'b', '-', '!', '.', 'é', '0', 'a', 'b'];

function fill(bench: HeirBench, draw: (below: number) => number): string[] {
  const names = new Set<string>();
  const count = 1 + draw(60);
  for (let index = 0; index < count; index++) {
    const name = Array.from({ length: 1 + draw(4) }, () => PIECES[draw(PIECES.length)]).join('');
    if (name === '.' || name === '..') continue;
    names.add(name);
    // Some are directories, some files, some both: then the directory is shown.
    const kind = draw(4);
    if (kind !== 0) bench.store.put(name, 'x');
    if (kind === 0 || kind === 1) bench.store.put(`${name}/x`, 'x');
  }
  return [...names, '.', '..'].sort();
}

async function readThrough(
  bench: HeirBench,
  draw: (below: number) => number,
  plus: boolean,
  kills: number,
): Promise<{ names: string[]; killed: number }> {
  const handle = await bench.kernel.opendir(ROOT);
  const seen: Listed[] = [];
  let offset = 0;
  let killed = 0;
  for (;;) {
    if (draw(100) < kills) {
      bench.kill();
      killed++;
    }
    const room = 1 + draw(8);
    const some = await bench.kernel.readdirOnce(ROOT, handle, offset, plus, room);
    if (draw(100) < kills) {
      // The answer never left: it is asked for again.
      bench.kill();
      killed++;
      continue;
    }
    if (some.length === 0) break;
    // What the reader's buffer has room for.
    seen.push(...some.slice(0, 1 + draw(some.length)));
    offset = seen.at(-1)!.item.nextOffset;
  }
  bench.fs.releasedir({ uid: 0, gid: 0, pid: 0, signal: new AbortController().signal }, ROOT, handle);
  return { names: seen.map(({ item }) => item.name).sort(), killed };
}

for (const plus of [false, true]) {
  void t.test(`${plus ? 'READDIRPLUS' : 'READDIR'}: no name twice, none missing`, async (t) => {
    let killed = 0;
    for (let seed = 1; seed <= 25; seed++) {
      const draw = random(seed);
      const bench = new HeirBench({ limits: { listKeysMax: 1 + draw(7) } });
      const expected = fill(bench, draw);
      if (draw(3) === 0) await bench.kernel.names(ROOT);
      const result = await readThrough(bench, draw, plus, 25);
      killed += result.killed;
      if (JSON.stringify(result.names) !== JSON.stringify(expected)) {
        t.same(result.names, expected, `seed ${seed}`);
        return;
      }
    }
    t.ok(killed > 80, `${killed} kills`);
  });
}

void t.test('rewinddir begins anew, and a place of long ago is ESTALE', async (t) => {
  const bench = new HeirBench({ limits: { listKeysMax: 5 } });
  for (let index = 0; index < 30; index++) bench.store.put(`f${index}`, 'x');
  const handle = await bench.kernel.opendir(ROOT);
  let offset = 0;
  const offsets: number[] = [];
  for (let reply = 0; reply < 5; reply++) {
    offset = (await bench.kernel.readdirOnce(ROOT, handle, offset, false, 4)).at(-1)!.item.nextOffset;
    offsets.push(offset);
  }
  bench.kill();
  t.equal(await errnoOf(() => bench.kernel.readdirOnce(ROOT, handle, offsets[0]!, false, 4)), ESTALE);
  bench.store.put('new', 'x');
  const all = await bench.kernel.readdirOnce(ROOT, handle, 0, false);
  let names = all.map(({ item }) => item.name);
  for (let at = all.at(-1)!.item.nextOffset; ;) {
    const some = await bench.kernel.readdirOnce(ROOT, handle, at, false);
    if (some.length === 0) break;
    names = names.concat(some.map(({ item }) => item.name));
    at = some.at(-1)!.item.nextOffset;
  }
  t.equal(new Set(names).size, 33);
  t.equal(names.length, 33);
});
