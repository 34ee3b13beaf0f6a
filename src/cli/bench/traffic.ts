/**
 * Asks a daemon of ours what it has exchanged with the store so far, over its control socket. An older daemon, or one of another
 * user, does not say: then nothing is told of requests and over-fetch. Refuses to fail a benchmark for that.
 */
import { askControl } from '../../main/control-socket.js';
import type { Traffic } from './results.js';

export async function askTraffic(socket: string | undefined): Promise<Traffic | undefined> {
  if (socket === undefined) return undefined;
  try {
    const said = (await askControl(socket, { command: 'traffic' })) as Partial<Traffic> | null;
    const { requests, bytesIn, bytesOut } = said ?? {};
    if (typeof requests !== 'number' || typeof bytesIn !== 'number' || typeof bytesOut !== 'number') return undefined;
    return { requests, bytesIn, bytesOut };
  } catch {
    return undefined;
  }
}

export function trafficBetween(before: Traffic | undefined, after: Traffic | undefined): Traffic | undefined {
  if (!before || !after) return undefined;
  return {
    requests: after.requests - before.requests,
    bytesIn: after.bytesIn - before.bytesIn,
    bytesOut: after.bytesOut - before.bytesOut,
  };
}
