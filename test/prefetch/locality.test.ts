/**
 * When reading around random reads pays, as text (localities/*.txt):
 *   far N, near N        N misses, in blocks of which nothing or something else was there
 *   brought B            block B is fetched whole, but for its first 64 KiB
 *   hit B FROM           a read of 4 KiB of block B is answered from what is there
 * Prints the state after each command.
 */
import t from 'tap';
import { Locality } from '../../src/prefetch/locality.js';
import { parseBytes, runTextCases } from './text-cases.js';

const KIB = 1024;

t.test('localities', (t) => {
  runTextCases(t, 'localities', () => {
    const locality = new Locality();
    return ([command, a = '0', b = '0']) => {
      switch (command) {
        case 'far':
        case 'near':
          for (let at = 0; at < Number(a); at++) locality.missed(command === 'near');
          break;
        case 'brought':
          locality.brought(Number(a), [{ from: 64 * KIB, to: 1024 * KIB }]);
          break;
        case 'hit':
          locality.hit(Number(a), parseBytes(b), parseBytes(b) + 4096);
          break;
        default:
          throw new Error(`unknown command ${command}`);
      }
      const { near, pending, used, wasted } = locality.counts;
      return [
        `${locality.pays ? 'pays' : 'does not pay'}; near ${near}, pending ${pending}, used ${used}, wasted ${wasted}`,
      ];
    };
  });
  t.end();
});
