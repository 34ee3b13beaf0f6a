/**
 * What a daemon waits for, for the report of one that does not answer: its oldest requests by operation and key, and what the
 * store was asked for. Bounds: REQUESTS_MAX. Refuses to tell more of a request than `top` does: no bytes, no values.
 */
import type { CallPlane } from '../../engine/calls/call-plane.js';
import type { DataPlane } from '../../engine/data-plane.js';
import type { KernelSide } from '../kernel-side.js';
import type { Waiting, WaitingRequest } from '../supervisor/api.js';
import type { Descriptions } from './descriptions.js';

export const REQUESTS_MAX = 32;

export interface WaitingSources {
  readonly kernel: Pick<KernelSide, 'unanswered'>;
  readonly fileSystem: { pathOf(nodeId: number): string | undefined };
  readonly plane: Pick<DataPlane, 'counts'>;
  readonly calls: Pick<CallPlane, 'size'>;
  readonly descriptions: Pick<Descriptions, 'ask'>;
  /** Of the mount. */
  readonly prefix: string;
}

export async function describeWaiting(sources: WaitingSources): Promise<Waiting> {
  const { kernel, fileSystem, plane, calls, descriptions, prefix } = sources;
  const requests: WaitingRequest[] = [];
  for (const { operation, nodeId, ageMs, pid, id, isResent, isHandedOver } of kernel.unanswered()) {
    if (requests.length >= REQUESTS_MAX) break;
    const path = fileSystem.pathOf(nodeId);
    const waitsFor = isHandedOver
      ? 'bytes of the object, which a net thread fetches'
      : 'the file system on the main thread: an answer of the store, memory, or another request';
    const key = path === undefined ? {} : { key: prefix + path };
    requests.push({ operation, nodeId, ...key, ageMs: Math.round(ageMs), pid, id, wasSentAgain: isResent, waitsFor });
  }
  const { fetches, reads } = plane.counts;
  const said = await descriptions.ask();
  const threads = said.map((thread) =>
    thread === undefined
      ? 'did not answer'
      : { fetches: thread.fetches, lists: thread.lists, calls: thread.calls, parkedReads: thread.parkedReads },
  );
  return { requests, store: { fetches, readsParked: reads, calls: calls.size, threads } };
}
