/**
 * How many requests of the kernel a daemon has served, by kind, from the lines of --log-metrics. A count is taken once two
 * lines have come since the question, so that everything before it is in.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Mount } from '../../support/mount.js';

export const METRICS_FLAG = '--log-metrics';

/** METRICS_MS of the daemon is 5 s. */
const LINES_WAIT_MS = 30_000;

export interface RequestCounts {
  /** Requests that reached the main thread, by the opcode's name. */
  readonly main: Readonly<Record<string, number>>;
  /** READs that reader threads answered. */
  readonly hits: number;
}

export async function requestCounts(mount: Mount): Promise<RequestCounts> {
  const before = metricsLines(mount).length;
  const deadlineMs = Date.now() + LINES_WAIT_MS;
  while (Date.now() < deadlineMs) {
    const lines = metricsLines(mount);
    const last = lines.at(-1);
    if (lines.length >= before + 2 && last !== undefined) {
      const { requests, readers } = JSON.parse(last) as {
        requests: { requestsByName: Record<string, number> };
        readers: { hits: number };
      };
      return { main: requests.requestsByName, hits: readers.hits };
    }
    await sleep(100);
  }
  throw new Error(`no metrics within ${LINES_WAIT_MS / 1000} s: ${mount.log().slice(-2000)}`);
}

function metricsLines(mount: Mount): string[] {
  return mount
    .log()
    .split('\n')
    .filter((line) => line.endsWith('}') && line.includes('"msg":"metrics"'));
}
