/**
 * How the supervisor comes by the connection to the kernel: it opens /dev/fuse itself (root), or is sent the descriptor that
 * fusermount3 gave the first daemon. Refuses to mount: the daemon does, when everything else of it is up.
 */
import { closeSync, openSync } from 'node:fs';

/** A new connection, not mounted yet. Undefined when it cannot be opened: the daemon says why, and what to do. */
export function tryOpenDevice(): number | undefined {
  try {
    return openSync('/dev/fuse', 'r+');
  } catch {
    return undefined;
  }
}

export interface Handover {
  /** For the daemon. */
  readonly theirs: number;
  /** What it sends, once it is started; undefined when it ended before. */
  descriptor(): Promise<number | undefined>;
  /** Instead of `descriptor`: no daemon will send one. */
  close(): void;
}

/** Brings native code into this process, so only where there is no other way. */
export async function openHandover(): Promise<Handover> {
  const { receiveDescriptor, socketPair } = await import('../../fuse/libc.js');
  const [ours, theirs] = socketPair();
  return {
    theirs,
    descriptor: async () => {
      // The daemon's copy alone keeps the other end open: its end ends the wait.
      closeSync(theirs);
      const fd = await receiveDescriptor(ours);
      closeSync(ours);
      return fd;
    },
    close: () => {
      closeSync(theirs);
      closeSync(ours);
    },
  };
}
