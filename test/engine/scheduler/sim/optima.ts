/**
 * The best settings of the first random worlds, kept in optima.tsv: a search takes a third of a second a world, and the
 * simulation is the same every time. Who changes the simulation or the worlds writes the table anew (UPDATE_EXPECTED=1 with
 * worlds.full.test.js); worlds.test.js searches some of them again and fails when the table is not what it finds.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MIB } from '../../../../src/base/units.js';
import type { Optimum } from './run.js';

// From dist/test/engine/scheduler/sim to test/.
const PATH = fileURLToPath(new URL('../../../../../test/engine/scheduler/sim/optima.tsv', import.meta.url));

/** What the table says of a world. `goodput`: bytes a millisecond. */
export type KnownOptimum = Pick<Optimum, 'setting' | 'goodput' | 'connectionsNeeded'>;

/** By seed. */
export function readOptima(): Map<number, KnownOptimum> {
  const optima = new Map<number, KnownOptimum>();
  if (!existsSync(PATH)) return optima;
  for (const line of readFileSync(PATH, 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [seed = 0, goodput = 0, connections = 0, parts = 0, netThreads = 0, connectionsNeeded = 0] = line
      .split('\t')
      .map(Number);
    optima.set(seed, { goodput, setting: { connections, partBytes: parts * MIB, netThreads }, connectionsNeeded });
  }
  return optima;
}

export function writeOptima(optima: ReadonlyMap<number, KnownOptimum>): void {
  const lines = [...optima].map(([seed, { goodput, setting, connectionsNeeded }]) =>
    [
      seed,
      Math.round(goodput),
      setting.connections,
      setting.partBytes / MIB,
      setting.netThreads,
      connectionsNeeded,
    ].join('\t'),
  );
  const head = '# seed, goodput (bytes/ms), connections, MiB a part, net threads, connections that 97 % of it need';
  writeFileSync(PATH, [head, ...lines, ''].join('\n'));
}
