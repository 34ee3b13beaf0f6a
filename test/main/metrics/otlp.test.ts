/** Pushes to a collector that is played here: what arrives, how little a dead one costs, and that one push is the bound. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { systemClock, ManualClock } from '../../../src/base/clock.js';
import type { Log, LogFields } from '../../../src/base/log.js';
import { METRICS } from '../../../src/main/metrics/catalogue.js';
import { metricData, startOtlp } from '../../../src/main/metrics/otlp.js';
import { environmentAsksOtlp } from '../../../src/main/metrics/settings.js';
import { busySnapshot } from '../stats/sample-snapshot.js';

interface Push {
  readonly path: string;
  readonly type: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

interface Collector {
  readonly url: string;
  readonly pushes: Push[];
  next(): Promise<Push>;
}

async function collector(t: Test, answer: (response: ServerResponse) => void = (r) => r.end('{}')): Promise<Collector> {
  const pushes: Push[] = [];
  let waiting: ((push: Push) => void)[] = [];
  const server: Server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const { url = '', headers } = request;
      const push = { path: url, type: headers['content-type'] ?? '', headers, body: Buffer.concat(pieces) };
      pushes.push(push);
      for (const tell of waiting) tell(push);
      waiting = [];
      answer(response);
    });
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    pushes,
    next: () => new Promise((resolve) => void waiting.push(resolve)),
  };
}

function collecting(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const say = (level: string) => (_fields: LogFields, message: string) => void lines.push(`${level}: ${message}`);
  return {
    lines,
    log: { trace: say('trace'), debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') },
  };
}

const snapshot = () => Promise.resolve(busySnapshot);

/** The exporter reads process.env itself. */
function withEnvironment(t: Test, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) process.env[name] = value;
  t.teardown(() => {
    for (const name of Object.keys(values)) Reflect.deleteProperty(process.env, name);
  });
}

t.test('JSON: every metric of the table, with its unit, type and resource', async (t) => {
  const stub = await collector(t);
  withEnvironment(t, {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=ml',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test',
  });
  const { log, lines } = collecting();
  const arrived = stub.next();
  const push = await startOtlp(
    { endpoint: stub.url, intervalMs: 100 },
    { clock: systemClock, log, env: process.env, snapshot },
  );
  t.teardown(() => push.close());
  const { path, type, headers, body } = await arrived;
  t.equal(path, '/v1/metrics');
  t.match(type, 'application/json');
  t.equal(headers['x-tenant'], 'ml');
  const { resourceMetrics } = JSON.parse(body.toString()) as {
    resourceMetrics: [
      {
        resource: { attributes: { key: string; value: { stringValue?: string } }[] };
        scopeMetrics: [{ metrics: { name: string; unit: string; sum?: object; gauge?: object; histogram?: object }[] }];
      },
    ];
  };
  const [{ resource, scopeMetrics }] = resourceMetrics;
  const attributes = Object.fromEntries(resource.attributes.map(({ key, value }) => [key, value.stringValue]));
  t.match(attributes, {
    'service.name': 'mount-s3x',
    'mount_s3x.mount_point': '/mnt/data',
    'mount_s3x.source': 's3://bucket/',
    'deployment.environment': 'test',
  });
  const { metrics } = scopeMetrics[0];
  t.strictSame(
    metrics.map(({ name }) => name),
    METRICS.map(({ name }) => name),
  );
  for (const [at, row] of METRICS.entries()) {
    const kind = row.type === 'counter' ? 'sum' : row.type;
    t.ok(metrics[at]?.[kind], `${row.name} is a ${kind}`);
    t.equal(metrics[at]?.unit, row.unit);
  }
  t.match(metrics.find(({ name }) => name === 'mount_s3x_s3_requests_total')?.sum, {
    isMonotonic: true,
    aggregationTemporality: 2,
  });
  t.match(lines, [/^info: metrics are pushed/]);
});

t.test('protobuf is what is spoken unless something else is asked for; the last push comes at the end', async (t) => {
  const stub = await collector(t);
  const { log } = collecting();
  const push = await startOtlp({ endpoint: `${stub.url}/v1/metrics/` }, { clock: systemClock, log, env: {}, snapshot });
  const arrived = stub.next();
  await push.close();
  const { path, type, body } = await arrived;
  t.equal(path, '/v1/metrics');
  t.equal(type, 'application/x-protobuf');
  t.ok(body.includes('mount_s3x_read_bytes_total'));
});

t.test('a collector that refuses is a line a minute, and nothing piles up', async (t) => {
  const stub = await collector(t, (response) => response.writeHead(400).end('no'));
  const { log, lines } = collecting();
  const clock = new ManualClock();
  const push = await startOtlp({ endpoint: stub.url, intervalMs: 100 }, { clock, log, env: {}, snapshot });
  t.teardown(() => push.close());
  const warnings = (): string[] => lines.filter((line) => line.startsWith('warn'));
  while (stub.pushes.length < 3) await stub.next();
  t.equal(warnings().length, 1, `one line for ${stub.pushes.length} pushes: ${warnings().join('; ')}`);
  t.match(warnings()[0], /^warn: metrics could not be pushed/);
  clock.advance(60_000);
  await stub.next();
  await stub.next();
  t.equal(warnings().length, 2);
});

t.test('a collector that says nothing holds one push, not a queue of them', async (t) => {
  const held: ServerResponse[] = [];
  const stub = await collector(t, (response) => void held.push(response));
  const { log } = collecting();
  let gathered = 0;
  const push = await startOtlp(
    { endpoint: stub.url, intervalMs: 100 },
    {
      clock: systemClock,
      log,
      env: {},
      snapshot: () => {
        gathered++;
        return snapshot();
      },
    },
  );
  await stub.next();
  const open = (): number => stub.pushes.length;
  t.equal(open(), 1);
  t.ok(gathered <= 2);
  // It ends all the same.
  await push.close();
  t.ok(open() <= 2);
});

t.test('what the environment asks for', (t) => {
  const asks = (env: NodeJS.ProcessEnv): boolean => environmentAsksOtlp(env);
  t.notOk(asks({}));
  t.ok(asks({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }));
  t.ok(asks({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://c:4318/v1/metrics' }));
  t.notOk(asks({ OTEL_EXPORTER_OTLP_ENDPOINT: '' }));
  t.notOk(asks({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_SDK_DISABLED: 'true' }));
  t.notOk(asks({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_METRICS_EXPORTER: 'none' }));
  t.ok(asks({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c', OTEL_METRICS_EXPORTER: 'prometheus,otlp' }));
  t.end();
});

t.test('each row becomes data of its kind', (t) => {
  for (const row of METRICS) {
    const { dataPoints } = metricData(row, busySnapshot, [1, 0], [2, 0]);
    t.ok(dataPoints.length > 0, row.name);
  }
  t.end();
});
