/**
 * NUMA nodes: which CPUs and how much memory each has. A net thread on the other node than its card pays for every byte
 * twice, so the sizing looks here. Refuses to invent: a kernel without NUMA has no nodes, not one.
 */
import type { NumaNode, Sourced } from './profile.js';
import { listNames, readText, readWord } from './read.js';

const FOLDER = '/sys/devices/system/node';
/** The largest machines of EC2 (u-*) have 32. */
const NODES_MAX = 256;

/** Never throws. */
export async function detectNuma(sysRoot: string): Promise<Sourced<readonly NumaNode[]>> {
  const names = (await listNames(sysRoot, FOLDER)).filter((name) => /^node\d+$/.test(name)).slice(0, NODES_MAX);
  if (names.length === 0) return { value: [], source: `unknown: nothing in ${FOLDER}` };
  const nodes = await Promise.all(
    names.map(async (name): Promise<NumaNode> => {
      const [cpus, meminfo] = await Promise.all([
        readWord(sysRoot, `${FOLDER}/${name}/cpulist`),
        readText(sysRoot, `${FOLDER}/${name}/meminfo`),
      ]);
      const kibibytes = /MemTotal:\s+(\d+) kB/.exec(meminfo ?? '')?.[1];
      return {
        node: Number(name.slice('node'.length)),
        cpus: cpus ?? '',
        memoryBytes: kibibytes === undefined ? undefined : Number(kibibytes) * 1024,
      };
    }),
  );
  return { value: nodes, source: FOLDER };
}
