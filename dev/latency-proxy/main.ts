#!/usr/bin/env node
/**
 * Puts a network distance in front of a local server, for benchmarks and demonstrations of latency-bound work:
 *
 *   node dist/dev/latency-proxy/main.js --listen 127.0.0.1:9200 --to 127.0.0.1:9100 [--latency 20ms] [--jitter 5ms]
 *        [--rate 90] [--total 400] [--tail 2:1000ms]
 *
 * Bytes from the server leave at most at --rate MB/s a connection and --total MB/s of all (0: no cap) and arrive --latency
 * later, in order; a response after an idle moment gets up to --jitter more, and with --tail P:TIME in P of 100 cases TIME. Requests pass at once. With port 0 a free one is taken; the line
 * it prints says which. Counts go to standard error at the end. Refuses loss, reordering and addresses without a port.
 */
import { createServer, type AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { DelayLine, Link, type DistanceModel } from './delay-line.js';
import { carried, openTunnel } from './tunnel.js';

const { values } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:9200' },
    to: { type: 'string', default: '127.0.0.1:9100' },
    latency: { type: 'string', default: '20ms' },
    jitter: { type: 'string', default: '5ms' },
    rate: { type: 'string', default: '90' },
    total: { type: 'string', default: '0' },
    tail: { type: 'string', default: '0:0ms' },
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

/** MB/s as bytes a millisecond. */
function rate(flag: string, text: string): number {
  const megabytes = Number(text);
  if (!(megabytes >= 0)) fail(`--${flag} wants MB/s, not ${text}`);
  return megabytes === 0 ? Infinity : megabytes * 1000;
}

function tail(text: string): { probability: number; ms: number } {
  const [, percent = '', time = ''] = /^(\d+(?:\.\d+)?):(.+)$/.exec(text) ?? [];
  if (percent === '') fail(`--tail wants PERCENT:TIME such as 2:1000ms, not ${text}`);
  return { probability: Number(percent) / 100, ms: milliseconds('tail', time) };
}

const model: DistanceModel = {
  latencyMs: milliseconds('latency', values.latency),
  jitterMs: milliseconds('jitter', values.jitter),
  bytesPerMs: rate('rate', values.rate),
  tail: tail(values.tail),
};
const link = new Link(rate('total', values.total));
const to = address('to', values.to);
const listener = createServer({ allowHalfOpen: true }, (client) =>
  openTunnel(client, to, { line: new DelayLine(model, Math.random), link }),
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
