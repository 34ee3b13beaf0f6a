/** `hwinfo`: its three forms, "what if", a snapshot instead of the machine, and mistakes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { execute } from '../../src/cli/main.js';
import { EXIT_OK, EXIT_USAGE } from '../../src/main/exit-codes.js';
import { writeMachine } from '../hwdetect/describe-machine.js';
import { fakeIo } from './fake-io.js';

function snapshot(t: Test): string {
  const root = mkdtempSync(join(tmpdir(), 'mount-s3x-hwinfo-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  writeMachine(root, {
    cpus: { online: '0-95', allowed: '0-95', siblings: '0,48' },
    memory: { totalKib: 1024 * 1024 * 1024, availableKib: 1024 * 1024 },
    nodes: [
      { cpus: '0-47', memoryKib: 1 },
      { cpus: '48-95', memoryKib: 1 },
    ],
    route: 'eth0',
    nics: [0, 1, 2, 3].map((node) => ({
      ...{ name: `eth${node}`, mtu: 9001, queues: 8, pci: `0000:0${node}:00.0`, driver: 'ena', node: node >> 1 },
    })),
    dmi: { sys_vendor: 'Amazon EC2', product_name: 'p4d.24xlarge' },
    kernel: '6.8.0',
    limits: { files: '65536', locked: '65536' },
  });
  return root;
}

async function hwinfo(...args: string[]): Promise<{ text: string; code: number }> {
  const io = fakeIo({ cwd: '/' });
  const code = await execute(['hwinfo', ...args], io);
  return { text: [...io.printed, ...io.complained].join('\n'), code };
}

t.test('a snapshot: one screen, JSON with sources, sentences with options', async (t) => {
  const root = snapshot(t);
  const plain = await hwinfo('--sys-root', root);
  t.equal(plain.code, EXIT_OK);
  t.match(plain.text, /^ {2}machine +Amazon EC2 p4d\.24xlarge +\S/m);
  t.match(plain.text, /^ {2}target +100 Gbit\/s +--maximum-throughput-gbps$/m);
  t.ok(plain.text.split('\n').length <= 40, 'one screen');
  // Aligned: in each of the two tables the last column begins where it does in the first row.
  const columns = plain.text
    .split('\n')
    .filter((line) => line.includes(' --'))
    .map((line) => line.indexOf(' --'));
  t.equal(new Set(columns.slice(1)).size, 1, 'the options stand below each other');

  const data = JSON.parse((await hwinfo('--sys-root', root, '--json')).text) as object;
  t.match(data, {
    profile: {
      cores: { value: 96, source: String },
      machine: { instance: { value: { gbpsPeak: 400, networkCards: 4 } } },
    },
    sizing: { targetGbps: 100, placement: { netCpus: '0-47' }, nics: [{ name: 'eth0', share: 1 }] },
    bounds: { first: { connections: 250 }, fixed: { connections: false } },
  });

  const explained = await hwinfo('--sys-root', root, '--explain');
  t.match(explained.text, /would add 300 Gbit\/s with --bind/);
  for (const flag of [
    '--maximum-throughput-gbps',
    '--max-connections',
    '--net-threads',
    '--net-cpus',
    '--max-threads',
  ]) {
    t.match(explained.text.replaceAll(/\n {2}/g, ' '), `Override: ${flag}.`);
  }
});

t.test('what if', async (t) => {
  const root = snapshot(t);
  const flags = [
    '--bind',
    'eth0',
    '--bind',
    'eth2',
    '--max-connections',
    '64',
    '--part-size',
    '16777216',
    '--net-threads',
    '4',
  ];
  const data = JSON.parse((await hwinfo('--sys-root', root, '--json', ...flags)).text) as object;
  t.match(data, {
    sizing: {
      targetGbps: 200,
      connectionsMax: 64,
      partBytes: 16_777_216,
      netThreads: 4,
      placement: { netCpus: undefined },
    },
    bounds: {
      first: { connections: 64, netThreads: 4 },
      fixed: { connections: true, partBytes: true, netThreads: true },
    },
  });
});

t.test('what if with a profile of boto3, and a flag above it', async (t) => {
  const root = snapshot(t);
  const file = join(root, 'tuned.yaml');
  writeFileSync(file, 'max_concurrency: 40\nmultipart_chunksize: 16MB\n');
  const flags = ['--sys-root', root, '--json', '--profile-file', file];
  t.match(JSON.parse((await hwinfo(...flags)).text), { sizing: { connectionsMax: 40, partBytes: 16 * 1024 * 1024 } });
  t.match(JSON.parse((await hwinfo(...flags, '--max-connections', '9')).text), { sizing: { connectionsMax: 9 } });
});

t.test('mistakes', async (t) => {
  const root = snapshot(t);
  const wrong = async (pattern: RegExp, ...args: string[]): Promise<void> => {
    const { text, code } = await hwinfo(...args);
    t.equal(code, EXIT_USAGE, args.join(' '));
    t.match(text, pattern);
  };
  await wrong(/no network card of this name.*eth0, eth1/s, '--sys-root', root, '--bind', 'eth9');
  await wrong(/is not a directory/, '--sys-root', '/nonexistent');
  await wrong(/--sys-root was given more than once/, '--sys-root', root, '--sys-root', root);
  await wrong(/not a list of CPUs/, '--net-cpus', '3-1');
  await wrong(/cannot be given together/, '--part-size', '1', '--read-part-size', '2');
  await wrong(/unknown option --exlain.*--explain/s, '--exlain');
  await wrong(/unexpected argument bucket/, 'bucket');
});
