/** A thread for pin-thread.test: pins itself to the CPUs in its data and says what came of it. */
import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { pinThisThread } from '../../../src/main/threads/pin-thread.js';

export interface PinReport {
  readonly why: string | undefined;
  readonly allowed: string;
}

/** The kernel's list for the calling thread. */
export function allowedHere(): string {
  return /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))?.[1] ?? '';
}

if (parentPort !== null) {
  const why = pinThisThread((workerData as { readonly cpus: readonly number[] }).cpus);
  parentPort.postMessage({ why, allowed: allowedHere() } satisfies PinReport);
}
