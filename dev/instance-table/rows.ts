/**
 * Rows of the instance table from either of its sources: the TSV that is kept here, or the JSON of DescribeInstanceTypes.
 * Refuses rows that say nothing but a name, and silently wrong columns: the TSV's header must be the one expected.
 */

/** One instance type. Gbit/s are sums over its network cards; undefined where the source does not say. */
export interface InstanceRow {
  readonly type: string;
  readonly vcpus: number | undefined;
  readonly memoryMib: number | undefined;
  readonly gbpsBaseline: number | undefined;
  readonly gbpsPeak: number | undefined;
  readonly networkCards: number;
  readonly gpus: number;
  readonly gpu: string;
  readonly accelerators: number;
  readonly accelerator: string;
  readonly localNvmeGb: number;
}

export const tsvColumns = [
  'type',
  'arch',
  'vcpu',
  'memory_mib',
  'network_gbps_baseline',
  'network_gbps_peak',
  'network_cards',
  'gpu_count',
  'gpu',
  'accelerator_count',
  'accelerator',
  'local_nvme_gb',
  'ebs_gbps',
  'hypervisor',
] as const;

/** Throws Error for a header that is another table's and for a cell that is no number. */
export function rowsOfTsv(text: string): InstanceRow[] {
  const [header, ...lines] = text.split('\n').filter((line) => line !== '');
  if (header !== tsvColumns.join('\t')) throw new Error(`the first line is not ${tsvColumns.join(' ')}`);
  return lines
    .map((line): InstanceRow => {
      const cells = line.split('\t');
      const cell = (name: (typeof tsvColumns)[number]): string => cells[tsvColumns.indexOf(name)] ?? '';
      const number = (name: (typeof tsvColumns)[number]): number | undefined => {
        if (cell(name) === '') return undefined;
        const value = Number(cell(name));
        if (!Number.isFinite(value) || value < 0) throw new Error(`${line}: ${name} is no number`);
        return value;
      };
      return {
        type: cell('type'),
        vcpus: number('vcpu'),
        memoryMib: number('memory_mib'),
        gbpsBaseline: number('network_gbps_baseline'),
        gbpsPeak: number('network_gbps_peak'),
        networkCards: number('network_cards') ?? 1,
        gpus: number('gpu_count') ?? 0,
        gpu: cell('gpu'),
        accelerators: number('accelerator_count') ?? 0,
        accelerator: cell('accelerator'),
        localNvmeGb: number('local_nvme_gb') ?? 0,
      };
    })
    .filter(saysSomething);
}

/** The members of DescribeInstanceTypes' answer that are read. */
interface Ec2Type {
  readonly InstanceType?: string;
  readonly VCpuInfo?: { readonly DefaultVCpus?: number };
  readonly MemoryInfo?: { readonly SizeInMiB?: number };
  readonly NetworkInfo?: {
    readonly MaximumNetworkCards?: number;
    readonly NetworkCards?: readonly {
      readonly BaselineBandwidthInGbps?: number;
      readonly PeakBandwidthInGbps?: number;
    }[];
  };
  readonly GpuInfo?: { readonly Gpus?: readonly { readonly Name?: string; readonly Count?: number }[] };
  readonly NeuronInfo?: { readonly NeuronDevices?: readonly { readonly Name?: string; readonly Count?: number }[] };
  readonly InferenceAcceleratorInfo?: {
    readonly Accelerators?: readonly { readonly Name?: string; readonly Count?: number }[];
  };
  readonly InstanceStorageInfo?: { readonly TotalSizeInGB?: number; readonly NvmeSupport?: string };
}

/** Throws Error for what is not an answer of DescribeInstanceTypes. */
export function rowsOfEc2(json: string): InstanceRow[] {
  const { InstanceTypes: types } = JSON.parse(json) as { InstanceTypes?: readonly Ec2Type[] };
  if (!Array.isArray(types)) throw new Error('no InstanceTypes: this is not an answer of DescribeInstanceTypes');
  return (types as readonly Ec2Type[])
    .map((type): InstanceRow => {
      const cards = type.NetworkInfo?.NetworkCards ?? [];
      const gpus = type.GpuInfo?.Gpus ?? [];
      const accelerators = type.NeuronInfo?.NeuronDevices ?? type.InferenceAcceleratorInfo?.Accelerators ?? [];
      const storage = type.InstanceStorageInfo;
      return {
        type: type.InstanceType ?? '',
        vcpus: type.VCpuInfo?.DefaultVCpus,
        memoryMib: type.MemoryInfo?.SizeInMiB,
        gbpsBaseline: sum(cards.map((card) => card.BaselineBandwidthInGbps)),
        gbpsPeak: sum(cards.map((card) => card.PeakBandwidthInGbps)),
        networkCards: type.NetworkInfo?.MaximumNetworkCards ?? Math.max(1, cards.length),
        gpus: sum(gpus.map((gpu) => gpu.Count)) ?? 0,
        gpu: (gpus[0]?.Name ?? '').toLowerCase(),
        accelerators: sum(accelerators.map((accelerator) => accelerator.Count)) ?? 0,
        accelerator: (accelerators[0]?.Name ?? '').toLowerCase(),
        localNvmeGb: storage?.NvmeSupport === 'unsupported' ? 0 : (storage?.TotalSizeInGB ?? 0),
      };
    })
    .filter(saysSomething);
}

/** Sum of what is known; undefined when nothing is. */
function sum(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((total, value) => total + value, 0);
}

function saysSomething(row: InstanceRow): boolean {
  return /^[\w-]+\.[\w-]+$/.test(row.type) && (row.vcpus !== undefined || row.gbpsPeak !== undefined);
}
