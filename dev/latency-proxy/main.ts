#!/usr/bin/env node
/**
 * Puts a network distance in front of a local server, for benchmarks and demonstrations of latency-bound work:
 *
 *   node dist/dev/latency-proxy/main.js --listen 127.0.0.1:9200 --to 127.0.0.1:9100 [--latency 20ms] [--jitter 5ms]
 *        [--rate 90]
 *
 * Bytes from the server leave at most at --rate MB/s a connection (0: no cap) and arrive --latency later, in order; a
 * response after an idle moment gets up to --jitter more. Requests pass at once. With port 0 a free one is taken; the line
 * it prints says which. Counts go to standard error at the end. Refuses loss, reordering and addresses without a port.
 */
import { createServer, type AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { DelayLine, type DistanceModel } from './delay-line.js';
import { carried, openTunnel } from './tunnel.js';

const { values } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:9200' },
    to: { type: 'string', default: '127.0.0.1:9100' },
    latency: { type: 'string', default: '20ms' },
    jitter: { type: 'string', default: '5ms' },
    rate: { type: 'string', default: '90' },
  },
});

function address(flag: string, text: string): { host: string; port: number } {
  const [, host, port] = /^(.+):(\d+)$/.exec(text) ?? [];
  if (host === undefined || port === undefined) fail(`--${flag} wants HOST:PORT, not ${text}`);
  return { host, port: Number(port) };
}

function milliseconds(flag: string, text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(us|ms|s)$/.exec(text) ?? [];
  if (number === undefined) fail(`--${flag} wants a time such as 20ms or 0.5s, not ${text}`);
  return Number(number) * (unit === 's' ? 1000 : unit === 'us' ? 0.001 : 1);
}

function fail(message: string): never {
  console.error(`latency-proxy: ${message}`);
  process.exit(2);
}

const rate = Number(values.rate);
if (!(rate >= 0)) fail(`--rate wants MB/s, not ${values.rate}`);
const model: DistanceModel = {
  latencyMs: milliseconds('latency', values.latency),
  jitterMs: milliseconds('jitter', values.jitter),
  bytesPerMs: rate === 0 ? Infinity : rate * 1000,
};
const to = address('to', values.to);
const listener = createServer({ allowHalfOpen: true }, (client) =>
  openTunnel(client, to, new DelayLine(model, Math.random)),
);
listener.on('error', (error) => fail(error.message));
listener.listen(address('listen', values.listen), () => {
  const { address: host, port } = listener.address() as AddressInfo;
  console.log(`latency-proxy ready at ${host}:${port}`);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    const { user, system } = process.cpuUsage();
    console.error(
      `connections ${carried.connections}, down ${carried.downBytes} bytes, up ${carried.upBytes} bytes, ` +
        `CPU ${((user + system) / 1e6).toFixed(2)} s`,
    );
    process.exit(0);
  });
}
