/**
 * --throughput: the largest of the first keys is read in parts over several connections, for a few seconds or a GiB, and thrown
 * away; what came is told beside what the hardware is good for. Simpler than a mount (one thread, the SDK's client), so a
 * machine whose network is faster than this thread is told so instead of blamed.
 * Bounds: WINDOW_MS, BYTES_MAX, STREAMS_MAX. Traffic is paid for where the bucket is not near: that is why it is not a default.
 */
import { performance } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { formatBytes, GIB, MIB } from '../../base/units.js';
import { failureFacts } from '../../engine/store/sdk-error.js';
import type { Check } from '../check.js';
import { finding, skipped } from '../finding.js';
import type { SampleObject, StoreExamination } from '../store/examination.js';

const WINDOW_MS = 5_000;
const BYTES_MAX = GIB;
const STREAMS_MAX = 32;
const PART_BYTES = 8 * MIB;
/** Of the target: less is worth a word. */
const GOOD_SHARE = 0.5;
/** Of a core: more means that this thread was the limit. */
const BUSY_SHARE = 0.85;
const BITS = 8e-9;

interface Measured {
  readonly bytes: number;
  readonly seconds: number;
  readonly coreShare: number;
  readonly failure: string | undefined;
}

export const throughputCheck: Check = {
  name: 'throughput',
  deadlineMs: 60_000,
  applies: ({ store, wish }) => store !== undefined && wish.measuresThroughput,
  async run({ store, sizing }, signal) {
    if (store === undefined) return skipped('no bucket');
    const sample = await store.sample().catch(() => undefined);
    if (sample === undefined) return skipped('the bucket cannot be listed');
    const { bucket, prefix } = store.options;
    const blanks = { bucket, prefix };
    const { large } = sample;
    if (large === undefined || large.sizeBytes < PART_BYTES) {
      const found = `the largest object looked at has ${formatBytes(large?.sizeBytes ?? 0)}`;
      return { summary: 'not measured', findings: [finding('throughput.nothing-to-read', found, blanks)] };
    }
    const { targetGbps, connectionsFirst } = await sizing();
    const streams = Math.min(STREAMS_MAX, connectionsFirst);
    const { bytes, seconds, coreShare, failure } = await measure(store, large, streams, signal);
    const gbps = (bytes * BITS) / seconds;
    const cpu = `${Math.round(coreShare * 100)} % of a core`;
    const summary =
      `${gbps.toFixed(2)} Gbit/s over ${streams} connections (${formatBytes(bytes)} in ${seconds.toFixed(1)} s, ` +
      `${cpu}); the hardware's target is ${targetGbps} Gbit/s`;
    if (failure !== undefined) {
      return {
        summary,
        findings: [finding('throughput.failed', `reading ${large.key}: ${failure}`, { code: failure })],
      };
    }
    return { summary, findings: judgeThroughput(gbps, targetGbps, coreShare, blanks) };
  },
};

/** Pure: what figures mean. */
export function judgeThroughput(
  gbps: number,
  targetGbps: number,
  coreShare: number,
  blanks: { readonly bucket: string; readonly prefix: string },
): ReturnType<typeof finding>[] {
  if (gbps >= GOOD_SHARE * targetGbps) return [];
  const found = `${gbps.toFixed(2)} of ${targetGbps} Gbit/s`;
  const isProbe = coreShare >= BUSY_SHARE;
  return [finding(isProbe ? 'throughput.probe-bound' : 'throughput.low', found, blanks)];
}

async function measure(
  store: StoreExamination,
  { key, sizeBytes }: SampleObject,
  streams: number,
  signal: AbortSignal,
): Promise<Measured> {
  const { GetObjectCommand } = await import('@aws-sdk/client-s3');
  const { bucket } = store.options;
  const connection = (await store.connection()).withAttempts(2);
  const parts = Math.floor(sizeBytes / PART_BYTES);
  const startMs = performance.now();
  const cpu = process.cpuUsage();
  let bytes = 0;
  let next = 0;
  let failure: string | undefined;
  const isOver = (): boolean =>
    failure !== undefined || bytes >= BYTES_MAX || performance.now() - startMs >= WINDOW_MS || signal.aborted;
  const stream = async (): Promise<void> => {
    while (!isOver()) {
      const from = (next++ % parts) * PART_BYTES;
      const range = `bytes=${from}-${from + PART_BYTES - 1}`;
      const ending = AbortSignal.any([signal, AbortSignal.timeout(2 * WINDOW_MS)]);
      const input = { Bucket: bucket, Key: key, Range: range, ...store.parameters() };
      const { Body } = await connection.client.send(new GetObjectCommand(input), { abortSignal: ending });
      if (!(Body instanceof Readable)) return;
      for await (const piece of Body) {
        bytes += (piece as Buffer).length;
        // Leaving the loop destroys the stream and its connection.
        if (isOver()) break;
      }
    }
  };
  await Promise.all(
    Array.from({ length: streams }, () =>
      stream().catch((error: unknown) => {
        if (isOver()) return;
        const { code, status, message } = failureFacts(error);
        failure = `${code} (${status}) ${message}`.trim();
      }),
    ),
  );
  const seconds = Math.max(0.001, (performance.now() - startMs) / 1000);
  const { user, system } = process.cpuUsage(cpu);
  return { bytes, seconds, coreShare: (user + system) / 1e6 / seconds, failure };
}
