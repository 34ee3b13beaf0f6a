/** Metrics of a real mount: what is scraped and pushed is what was read and what the server counted. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { serverEnvironment, shell, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';

t.setTimeout(120_000);
const noMount = whyNoMount();
if (noMount) {
  t.pass('metrics of a mount', { skip: noMount });
  process.exit();
}

const FILE_BYTES = 20 * 1024 * 1024 + 321;
const work = mkdtempSync(join(tmpdir(), 'mount-s3x-metrics-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const dataDir = join(work, 'buckets');
mkdirSync(join(dataDir, 'bucket'), { recursive: true });
writeFileSync(join(dataDir, 'bucket', 'file'), randomBytes(FILE_BYTES));
const server = await startBuiltinProcess({ dataDir });
t.teardown(() => server.stop());
const runtime = join(work, 'run');
mkdirSync(runtime, { mode: 0o700 });
const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: runtime };

/** Sockets of metrics in the runtime directory. */
function sockets(): string[] {
  const directory = join(runtime, 'mount-s3x');
  return existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith('.metrics.sock')) : [];
}

/** The text at the mount's socket, as name{labels} to value. */
function scrape(): Promise<Map<string, number>> {
  const socketPath = join(runtime, 'mount-s3x', sockets()[0] ?? 'none');
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/metrics', agent: false }, (response) => {
      let text = '';
      response.on('data', (piece: Buffer) => (text += piece.toString()));
      response.on('end', () => {
        const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
        resolve(new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))])));
      });
    });
    asked.on('error', reject);
    asked.end();
  });
}

await t.test('what is told is what happened', async (t) => {
  const bodies: Buffer[] = [];
  let arrived: () => void = () => undefined;
  const collector = createServer((asked, response) => {
    const pieces: Buffer[] = [];
    asked.on('data', (piece: Buffer) => pieces.push(piece));
    asked.on('end', () => {
      bodies.push(Buffer.concat(pieces));
      arrived();
      response.end('{}');
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => collector.once('listening', resolve));
  t.teardown(() => {
    collector.closeAllConnections();
    collector.close();
  });
  const { port } = collector.address() as AddressInfo;
  const mount = await startMount(server, {
    bucket: 'bucket',
    env: { ...env, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' },
    flags: ['--metrics-address', 'unix:', '--otlp-endpoint', `http://127.0.0.1:${port}`, '--otlp-export-interval', '1'],
  });
  t.teardown(() => mount.stop());
  // The socket comes right after the mount answers.
  await until('there is a socket', () => sockets().length > 0);
  t.equal(statSync(join(runtime, 'mount-s3x', sockets()[0] ?? '')).mode & 0o777, 0o600);
  const read = await shell(
    mount,
    `cmp "$M/file" "${join(dataDir, 'bucket', 'file')}" && ls "$M" && echo new > "$M/new"`,
  );
  t.equal(read.code, 0, read.stderr);
  let metrics = await scrape();
  const value = (name: string): number => metrics.get(name) ?? -1;
  // What net threads moved they say ten times a second.
  await until('all bytes are counted', async () => {
    metrics = await scrape();
    return value('mount_s3x_s3_received_bytes_total') >= FILE_BYTES;
  });
  const info = [...metrics.keys()].find((name) => name.startsWith('mount_s3x_info'));
  t.match(info, `mount_point="${mount.path}",source="s3://bucket/"`);
  t.ok(value('mount_s3x_s3_received_bytes_total') >= FILE_BYTES);
  const readBytes =
    value('mount_s3x_read_bytes_total{tier="memory"}') + value('mount_s3x_read_bytes_total{tier="store"}');
  t.ok(readBytes >= FILE_BYTES && readBytes < FILE_BYTES + 2 * 1024 * 1024, `${readBytes} bytes read`);
  t.equal(value('mount_s3x_write_bytes_total'), 4);
  const counted = (await (await fetch(`${server.endpoint}/-/stats`)).json()) as {
    operations: Record<string, { requests: number } | undefined>;
  };
  const gets = value('mount_s3x_s3_requests_total{operation="get",outcome="ok"}');
  t.equal(gets, counted.operations['GetObject']?.requests, 'each GET that the server saw');
  t.equal(value('mount_s3x_s3_requests_total{operation="put",outcome="ok"}'), 1);
  t.equal(value('mount_s3x_s3_request_duration_seconds_count{operation="get"}'), gets);
  t.ok(value('mount_s3x_kernel_request_duration_seconds_count{kind="lookup"}') > 0);
  t.ok(value('mount_s3x_s3_request_cost_total{currency="USD"}') > 0);
  t.equal(value('mount_s3x_waiting{for="read_bytes"}'), 0);

  const before = bodies.length;
  while (bodies.length < before + 1) await new Promise<void>((resolve) => (arrived = resolve));
  const last = bodies.at(-1)?.toString() ?? '';
  t.match(last, '"name":"mount_s3x_read_bytes_total"');
  t.match(last, `"stringValue":"${mount.path}"`);
  await mount.stop();
  t.strictSame(sockets(), [], 'the socket goes with the mount');
  t.match(mount.log(), 'metrics are served at unix:');
});

await t.test('an address that is taken is no reason not to mount', async (t) => {
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  t.teardown(() => holder.close());
  const { port } = holder.address() as AddressInfo;
  const mount = await startMount(server, { bucket: 'bucket', env, flags: ['--metrics-address', `127.0.0.1:${port}`] });
  t.equal((await shell(mount, 'ls "$M"')).code, 0);
  await mount.stop();
  t.match(mount.log(), /metrics cannot be served \(the address is in use/);
});
