/** The committed instance table is what the script makes of the TSV; and the API's answers come to the same rows. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { packTable, tsvOf } from '../../dev/instance-table/pack.js';
import { rowsOfEc2, rowsOfTsv } from '../../dev/instance-table/rows.js';

/** This file runs as dist/test/dev/instance-table.test.js. */
const root = new URL('../../../', import.meta.url);
const tsv = readFileSync(new URL('dev/instance-table/ec2-instances.tsv', root), 'utf8');

t.test('the committed table', (t) => {
  const committed = readFileSync(new URL('src/hwdetect/instance-table-data.ts', root), 'utf8');
  t.equal(
    packTable(rowsOfTsv(tsv)),
    committed,
    'node dist/dev/instance-table/main.js dev/instance-table/ec2-instances.tsv makes it',
  );
  t.ok(committed.length < 40 * 1024, `compact: ${committed.length} bytes`);
  t.end();
});

t.test('a TSV that the script writes comes to the same table', (t) => {
  const rows = rowsOfTsv(tsv);
  t.strictSame(packTable(rowsOfTsv(tsvOf(rows))), packTable(rows));
  t.end();
});

/** As EC2 answers, cut down to what is read. */
const answer = {
  InstanceTypes: [
    {
      InstanceType: 'm5dn.24xlarge',
      VCpuInfo: { DefaultVCpus: 96 },
      MemoryInfo: { SizeInMiB: 393216 },
      InstanceStorageInfo: { TotalSizeInGB: 3600, NvmeSupport: 'required' },
      NetworkInfo: {
        MaximumNetworkCards: 1,
        NetworkCards: [{ NetworkCardIndex: 0, BaselineBandwidthInGbps: 100, PeakBandwidthInGbps: 100 }],
      },
    },
    {
      InstanceType: 'p4d.24xlarge',
      VCpuInfo: { DefaultVCpus: 96 },
      MemoryInfo: { SizeInMiB: 1179648 },
      InstanceStorageInfo: { TotalSizeInGB: 8000, NvmeSupport: 'required' },
      GpuInfo: { Gpus: [{ Name: 'A100', Manufacturer: 'NVIDIA', Count: 8 }] },
      NetworkInfo: {
        MaximumNetworkCards: 4,
        NetworkCards: [0, 1, 2, 3].map(() => ({ BaselineBandwidthInGbps: 100, PeakBandwidthInGbps: 100 })),
      },
    },
    {
      InstanceType: 'trn1.32xlarge',
      VCpuInfo: { DefaultVCpus: 128 },
      MemoryInfo: { SizeInMiB: 524288 },
      InstanceStorageInfo: { TotalSizeInGB: 7600, NvmeSupport: 'required' },
      NeuronInfo: { NeuronDevices: [{ Name: 'Trainium', Count: 16 }] },
      NetworkInfo: {
        MaximumNetworkCards: 8,
        NetworkCards: Array.from({ length: 8 }, () => ({ BaselineBandwidthInGbps: 100, PeakBandwidthInGbps: 100 })),
      },
    },
    {
      InstanceType: 'c5n.large',
      VCpuInfo: { DefaultVCpus: 2 },
      MemoryInfo: { SizeInMiB: 5376 },
      NetworkInfo: { NetworkCards: [{ BaselineBandwidthInGbps: 3, PeakBandwidthInGbps: 25 }] },
    },
    { InstanceType: 'm1.small' },
  ],
};

t.test("DescribeInstanceTypes' answer comes to the same rows as the TSV", (t) => {
  const rows = rowsOfEc2(JSON.stringify(answer));
  const names = rows.map(({ type }) => type);
  t.strictSame(
    names,
    ['m5dn.24xlarge', 'p4d.24xlarge', 'trn1.32xlarge', 'c5n.large'],
    'a type without facts is left out',
  );
  const wanted = rowsOfTsv(tsv).filter(({ type }) => names.includes(type));
  t.equal(packTable(rows), packTable(wanted));
  t.end();
});

t.test('inputs that make no sense', (t) => {
  t.throws(() => rowsOfTsv('a\tb\nc\td\n'), /first line/);
  t.throws(() => rowsOfTsv(`${tsv.split('\n', 1)[0]}\nx.large\t\tmany\n`), /vcpu is no number/);
  t.throws(() => rowsOfEc2('{}'), /no InstanceTypes/);
  t.throws(() => rowsOfEc2('nonsense'));
  t.end();
});
