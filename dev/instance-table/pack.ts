/**
 * The instance table as the module that ships: one line a family, its sizes separated by semicolons, what is usual left
 * out. A third of the TSV, read without parsing all of it. src/hwdetect/instance-table.ts reads it back.
 * Refuses to sort by anything but name: a new table is then a diff that can be reviewed.
 */
import { tsvColumns, type InstanceRow } from './rows.js';

const MIB_PER_GIB = 1024;

/** Source text of src/hwdetect/instance-table-data.ts. */
export function packTable(rows: readonly InstanceRow[]): string {
  const families = new Map<string, InstanceRow[]>();
  for (const row of sorted(rows)) {
    const family = row.type.slice(0, row.type.indexOf('.'));
    families.set(family, [...(families.get(family) ?? []), row]);
  }
  const lines = [...families].map(([family, members]) => `${family} ${members.map(packRow).join(';')}`);
  return `/**
 * EC2's instance types: ${rows.length} of them. Made by dev/instance-table (its README.md has the sources); not edited by hand.
 * A line is a family; a size is: name, vCPUs, GiB, peak Gbit/s, baseline where it is less, network cards beyond one, GPUs, GPU,
 * accelerators, accelerator, GB of local NVMe. Loaded at the first look-up on EC2 (instance-table.ts).
 */
// prettier-ignore
export const instanceTable = \`
${lines.join('\n')}
\`;
`;
}

function packRow(row: InstanceRow): string {
  const { gbpsPeak, gbpsBaseline } = row;
  const cells = [
    row.type.slice(row.type.indexOf('.') + 1),
    row.vcpus ?? '',
    row.memoryMib === undefined ? '' : row.memoryMib / MIB_PER_GIB,
    gbpsPeak ?? '',
    gbpsBaseline === undefined || gbpsBaseline === gbpsPeak ? '' : gbpsBaseline,
    row.networkCards === 1 ? '' : row.networkCards,
    row.gpus === 0 ? '' : row.gpus,
    row.gpu,
    row.accelerators === 0 ? '' : row.accelerators,
    row.accelerator,
    row.localNvmeGb === 0 ? '' : row.localNvmeGb,
  ];
  return cells.join(',').replace(/,+$/, '');
}

/** The rows as a TSV that is read again; what the program does not need (architecture, EBS, hypervisor) stays empty. */
export function tsvOf(rows: readonly InstanceRow[]): string {
  const line = (row: InstanceRow): string =>
    [
      row.type,
      '',
      row.vcpus ?? '',
      row.memoryMib ?? '',
      row.gbpsBaseline ?? '',
      row.gbpsPeak ?? '',
      row.networkCards,
      row.gpus === 0 ? '' : row.gpus,
      row.gpu,
      row.accelerators === 0 ? '' : row.accelerators,
      row.accelerator,
      row.localNvmeGb === 0 ? '' : row.localNvmeGb,
      '',
      '',
    ].join('\t');
  return `${[tsvColumns.join('\t'), ...sorted(rows).map(line)].join('\n')}\n`;
}

/** By name, without doubles: the first of a name stays. */
function sorted(rows: readonly InstanceRow[]): InstanceRow[] {
  const byType = new Map<string, InstanceRow>();
  for (const row of rows) if (!byType.has(row.type)) byType.set(row.type, row);
  return [...byType.values()].sort((a, b) => (a.type < b.type ? -1 : a.type > b.type ? 1 : 0));
}
