/** Whose machine it is: clouds by their firmware, and when the metadata service is asked, and what of its answers is taken. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { askImds, imdsEndpoint } from '../../src/hwdetect/imds.js';
import { detectMachine } from '../../src/hwdetect/machine.js';
import { machine } from './fixture.js';

const dmi = (facts: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(facts).map(([name, text]) => [`sys/class/dmi/id/${name}`, `${text}\n`]));

t.test('clouds and others by DMI', async (t) => {
  const rows: (readonly [string, Record<string, string>, string | undefined])[] = [
    ['Nitro', dmi({ sys_vendor: 'Amazon EC2', product_name: 'm7g.metal' }), 'ec2'],
    ['Xen', { ...dmi({ sys_vendor: 'Xen', product_name: 'HVM domU', product_version: '4.11.amazon' }) }, 'ec2'],
    ['Xen by its uuid', { 'sys/hypervisor/uuid': 'ec2e1916-9099-7caf-fd21-012345abcdef\n' }, 'ec2'],
    ['Google', dmi({ sys_vendor: 'Google', product_name: 'Google Compute Engine' }), 'gce'],
    [
      'Azure',
      dmi({ sys_vendor: 'Microsoft Corporation', chassis_asset_tag: '7783-7084-3265-9085-8269-3286-77' }),
      'azure',
    ],
    [
      'Hyper-V that is not Azure',
      dmi({ sys_vendor: 'Microsoft Corporation', product_name: 'Virtual Machine' }),
      'other',
    ],
    ['a Chromebook', dmi({ sys_vendor: 'Google', product_name: 'Eve' }), 'other'],
    ['nothing', {}, undefined],
  ];
  for (const [name, files, provider] of rows) {
    const { machine: found } = await detectMachine(machine(t, files), { env: {} });
    t.equal(found.provider.value, provider, name);
  }
});

t.test('the type is what Nitro says; Xen has to be asked, and a snapshot has recorded the answer', async (t) => {
  const nitro = await detectMachine(machine(t, dmi({ sys_vendor: 'Amazon EC2', product_name: 'c7gn.16xlarge' })), {
    env: {},
  });
  t.match(nitro.machine, {
    product: { value: 'Amazon EC2 c7gn.16xlarge' },
    instanceType: { value: 'c7gn.16xlarge', source: '/sys/class/dmi/id/product_name' },
    region: { value: undefined },
  });
  const files = dmi({ sys_vendor: 'Xen', product_name: 'HVM domU', product_version: '4.11.amazon' });
  const recorded = { 'meta-data/instance-type': 'm4.xlarge', 'meta-data/placement/region': 'eu-west-1' };
  const xen = await detectMachine(machine(t, { ...files, 'imds.json': JSON.stringify(recorded) }), { env: {} });
  t.match(xen.machine, { instanceType: { value: 'm4.xlarge', source: 'imds.json' }, region: { value: 'eu-west-1' } });
  const silent = await detectMachine(machine(t, { ...files, 'imds.json': '{"meta-data/instance-type":"<html>"}' }), {
    env: {},
  });
  t.match(silent.machine.instanceType, { value: undefined, source: /neither DMI nor/ });
  t.match(
    (await detectMachine(machine(t, { ...files, 'imds.json': 'nonsense' }), { env: {} })).machine.instanceType.value,
    undefined,
  );
});

t.test('whether it may be asked, and where', (t) => {
  t.equal(imdsEndpoint({}), 'http://169.254.169.254');
  t.equal(imdsEndpoint({ AWS_EC2_METADATA_DISABLED: 'TRUE' }), undefined);
  t.equal(imdsEndpoint({ AWS_EC2_METADATA_DISABLED: 'false' }), 'http://169.254.169.254');
  t.equal(imdsEndpoint({ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: 'IPv6' }), 'http://[fd00:ec2::254]');
  t.equal(imdsEndpoint({ AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:80/' }), 'http://127.0.0.1:80');
  t.end();
});

/** A metadata service of version 2 with one network card for each interface. */
async function service(t: Test, handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const answers: Readonly<Record<string, string>> = {
  '/latest/meta-data/instance-type': 'p4d.24xlarge',
  '/latest/meta-data/placement/region': 'us-west-2',
  '/latest/meta-data/network/interfaces/macs/': '0e:00:00:00:00:01/\n0E:00:00:00:00:02/\nnonsense/',
  '/latest/meta-data/network/interfaces/macs/0e:00:00:00:00:01/network-card': '0',
  '/latest/meta-data/network/interfaces/macs/0E:00:00:00:00:02/network-card': '1',
};

t.test('version 2: a token first, every question with it', async (t) => {
  const questions: string[] = [];
  const endpoint = await service(t, (request, response) => {
    const { method, url = '', headers } = request;
    questions.push(`${method} ${url}`);
    if (
      method === 'PUT' &&
      url === '/latest/api/token' &&
      headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined
    ) {
      response.end('the-token');
      return;
    }
    const answer = headers['x-aws-ec2-metadata-token'] === 'the-token' ? answers[url] : undefined;
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(answer);
  });
  const found = await askImds(endpoint, 10_000);
  t.match(found, { instanceType: 'p4d.24xlarge', region: 'us-west-2', source: endpoint });
  t.strictSame([...(found?.networkCards ?? [])].sort(), [
    ['0e:00:00:00:00:01', 0],
    ['0e:00:00:00:00:02', 1],
  ]);
  t.equal(questions[0], 'PUT /latest/api/token');
  t.equal(questions.length, 6);

  const { machine: found2 } = await detectMachine('', {
    env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint },
    imdsWaitMs: 10_000,
  });
  t.match(found2.instanceType.value, 'p4d.24xlarge', 'an endpoint that the user names is asked wherever we are');
  const before = questions.length;
  await detectMachine('', { env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint, AWS_EC2_METADATA_DISABLED: 'true' } });
  t.equal(questions.length, before, 'not when it is disabled');
});

t.test('a service that refuses, hangs, floods or is not there is no answer', async (t) => {
  const refuses = await service(t, (_request, response) => {
    response.statusCode = 403;
    response.end('no');
  });
  t.equal(await askImds(refuses, 10_000), undefined);
  const hangs = await service(t, () => undefined);
  t.equal(await askImds(hangs, 20), undefined);
  const floods = await service(t, (_request, response) => {
    response.end(Buffer.alloc(1024 * 1024, 'x'));
  });
  t.equal(await askImds(floods, 10_000), undefined);
  t.equal(await askImds('http://127.0.0.1:1', 10_000), undefined);
  t.equal(await askImds('not a URL', 10_000), undefined);
});
