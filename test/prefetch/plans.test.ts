/**
 * The whole read planner as text (plans/*.txt): reads of a simulated mount in, the GETs that go out and the blocks that
 * are held printed.
 *   object NODE BYTES              an object version; handle NODE is open on it (open NODE again after close NODE)
 *   pool SLOTS                     first of all: slots of 1 MiB (64)
 *   read NODE OFFSET SIZE          a READ and everything that follows from it
 *   seq NODE OFFSET SIZE COUNT     READs one after another; `random NODE SIZE COUNT FROM TO SEED` READs at random
 *                                  places, 25 ms each
 *   ask NODE OFFSET SIZE           a READ, without letting anything happen; `run` lets it happen
 *   close NODE, wait MS, around on|off (first of all)
 *   blocks NODE                    what is held: index:from-to of each piece (index alone: all of it)
 *   bytes                          bytes read and bytes brought so far, GETs, READs answered from what was there
 * Prints each GET as FROM+SIZE and its priority (waiting, stream, window, guess); long lists are cut.
 */
import t from 'tap';
import type { ObjectReader, ObjectVersion } from '../../src/prefetch/api.js';
import { BLOCK_BYTES } from '../../src/base/pool/layout.js';
import { Random } from '../support/simulated-net-random.js';
import { SimulatedMount, versionOf } from '../support/simulated-net-mount.js';
import { parseBytes, printBytes, runTextCases } from './text-cases.js';

const PRIORITIES = ['waiting', 'stream', 'window', 'guess'];
const PRINTED_MAX = 8;

function begin(): (words: readonly string[]) => string[] {
  const options = { seed: 1, slots: 64, readAround: true };
  let built: SimulatedMount | undefined;
  const mount = (): SimulatedMount => (built ??= new SimulatedMount(options));
  const versions = new Map<string, ObjectVersion>();
  const readers = new Map<string, ObjectReader>();
  let printed = 0;
  let readBytes = 0;
  let hits = 0;
  const gets = (): string[] => {
    const lines = mount()
      .net.gets.slice(printed)
      .map(({ startOffset, endOffset, priority }) => {
        return `GET ${printBytes(startOffset)}+${printBytes(endOffset - startOffset)} ${PRIORITIES[priority] ?? '?'}`;
      });
    printed = mount().net.gets.length;
    if (lines.length <= PRINTED_MAX) return lines;
    return [...lines.slice(0, PRINTED_MAX), `... ${lines.length - PRINTED_MAX} more`];
  };
  const version = (node: string): ObjectVersion => {
    const known = versions.get(node);
    if (!known) throw new Error(`no object ${node}`);
    return known;
  };
  const read = (node: string, offset: number, sizeBytes: number, run: boolean): void => {
    const known = version(node);
    const reader = readers.get(node);
    if (!reader) throw new Error(`${node} is closed`);
    readBytes += Math.max(0, Math.min(sizeBytes, known.sizeBytes - offset));
    // As a reader thread would: what is there costs the main thread a note at most.
    if (mount().readResident(reader, known, offset, sizeBytes)) {
      hits++;
      if (run) mount().run();
      return;
    }
    const asked = mount().read(reader, known, offset, sizeBytes);
    if (run) mount().run();
    if (run && asked.errno !== 0) throw new Error(`READ at ${offset} got ${asked.errno}`);
  };
  return ([command, a = '0', b = '0', c = '0', d = '0', e = '0', f = '0']) => {
    switch (command) {
      case 'pool':
        options.slots = Number(a);
        return [];
      case 'around':
        options.readAround = a === 'on';
        return [];
      case 'object':
        versions.set(a, versionOf(Number(a), parseBytes(b)));
        readers.set(a, mount().prefetcher.open(version(a)));
        return [];
      case 'open':
        readers.set(a, mount().prefetcher.open(version(a)));
        return [];
      case 'close':
        readers.get(a)?.close();
        readers.delete(a);
        mount().run();
        return gets();
      case 'read':
        read(a, parseBytes(b), parseBytes(c), true);
        return gets();
      case 'ask':
        read(a, parseBytes(b), parseBytes(c), false);
        return [];
      case 'run':
        mount().run();
        return gets();
      case 'seq':
        for (let at = 0; at < Number(d); at++) read(a, parseBytes(b) + at * parseBytes(c), parseBytes(c), true);
        return gets();
      case 'random': {
        const random = new Random(Number(f));
        const size = parseBytes(b);
        const places = Math.floor((parseBytes(e) - parseBytes(d)) / size);
        for (let at = 0; at < Number(c); at++) {
          read(a, parseBytes(d) + random.below(places) * size, size, true);
          mount().clock.advance(25);
        }
        return gets();
      }
      case 'wait':
        mount().clock.advance(Number(a));
        mount().run();
        return gets();
      case 'blocks': {
        const { view, prefetcher } = mount();
        const blocks = [...(prefetcher.index.blocksOf(Number(a))?.values() ?? [])];
        blocks.sort((one, other) => one.blockIndex - other.blockIndex);
        const names = blocks.map(({ blockIndex, slot, blockBytes }) => {
          const pieces: string[] = [];
          for (let at = 0; at < blockBytes;) {
            const from = view.missingUpTo(slot, at, blockBytes);
            const to = view.arrivedUpTo(slot, from, blockBytes);
            if (from < to) pieces.push(`${printBytes(from)}-${printBytes(to)}`);
            at = Math.max(to, from + 1);
          }
          const isWhole = view.holds(slot, 0, blockBytes);
          return isWhole ? String(blockIndex) : `${blockIndex}:${pieces.join(',')}`;
        });
        return [names.join(' ') || 'none'];
      }
      case 'bytes': {
        const { net } = mount();
        return [
          `read ${printBytes(readBytes)}, brought ${printBytes(net.bytesBrought)}, ${net.gets.length} GETs, ${hits} hits`,
        ];
      }
      default:
        throw new Error(`unknown command ${command}`);
    }
  };
}

t.test('plans', (t) => {
  t.equal(BLOCK_BYTES, 1024 * 1024);
  runTextCases(t, 'plans', begin);
  t.end();
});
