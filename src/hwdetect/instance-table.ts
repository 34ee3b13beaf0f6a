/**
 * Looks an EC2 instance type up in the table that ships (instance-table-data.ts, made by dev/instance-table).
 * The table is loaded at the first look-up and searched as text: off EC2 it costs nothing, and on EC2 nothing is parsed
 * but one line. Refuses to guess at a type it does not have: the network card is believed then.
 */
import { GIB } from '../base/units.js';
import type { InstanceFacts } from './profile.js';

/** The row of `type` (`p5.48xlarge`); undefined when the table has none. */
export async function lookUpInstance(type: string): Promise<InstanceFacts | undefined> {
  const { instanceTable } = await import('./instance-table-data.js');
  return findInstance(instanceTable, type);
}

/** As lookUpInstance, in a given table. */
export function findInstance(table: string, type: string): InstanceFacts | undefined {
  const [, family, size] = /^([\w-]+)\.([\w-]+)$/.exec(type) ?? [];
  if (family === undefined || size === undefined) return undefined;
  const from = table.indexOf(`\n${family} `);
  if (from < 0) return undefined;
  const start = from + family.length + 2;
  const end = table.indexOf('\n', start);
  const sizes = table.slice(start, end < 0 ? undefined : end).split(';');
  const row = sizes.find((each) => each === size || each.startsWith(`${size},`));
  if (row === undefined) return undefined;
  const [, vcpus, gib, peak, baseline, cards, gpus, gpu, accelerators, accelerator, nvme] = row.split(',');
  const memoryGib = number(gib);
  const gbpsPeak = number(peak);
  return {
    vcpus: number(vcpus),
    memoryBytes: memoryGib === undefined ? undefined : memoryGib * GIB,
    gbpsBaseline: number(baseline) ?? gbpsPeak,
    gbpsPeak,
    networkCards: number(cards) ?? 1,
    gpus: number(gpus) ?? 0,
    gpu: name(gpu),
    accelerators: number(accelerators) ?? 0,
    accelerator: name(accelerator),
    localNvmeGb: number(nvme) ?? 0,
  };
}

function number(cell: string | undefined): number | undefined {
  return cell === undefined || cell === '' ? undefined : Number(cell);
}

function name(cell: string | undefined): string | undefined {
  return cell === '' ? undefined : cell;
}
