/**
 * A kernel made of two arrays: requests that tests queue, and messages that the code under test wrote. It refuses what
 * the real one refuses: a second reply to a request, a reply to one that was never sent, wrong lengths. Single-threaded:
 * `read` with nothing queued is the end of the mount.
 */
import { ENODEV, ENOENT } from '../../src/base/errno.js';
import { READ_ENDED, type Transport } from '../../src/fuse/transport.js';
import type { Negotiated } from '../../src/fuse/negotiate.js';
import { decodeReply, decodeStruct, type Reply } from './fake-kernel-codec.js';

export class FakeKernel implements Transport {
  /** Messages that reader threads will get. A number is what `read` answers instead (READ_AGAIN). */
  readonly queue: (Buffer | number)[] = [];
  readonly replies: Reply[] = [];
  /** Notifications, as they came. */
  readonly notifications: Buffer[] = [];
  /** Replies to requests that the kernel does not know (any more). */
  unknown = 0;
  unmounted = false;
  /** What the next writev answers instead of taking the message. */
  refuseNext = 0;
  /** Called in the middle of a writev, with the parts still borrowed. */
  onWrite: (() => void) | undefined;
  readonly #waiting = new Set<bigint>();

  /** Registers a request as sent, for tests that give it to the dispatcher themselves. */
  sent(message: Buffer): Buffer {
    if (message.length >= 16) this.#waiting.add(message.readBigUInt64LE(8));
    return message;
  }

  /** The request is gone: a reply to it is ENOENT. */
  withdraw(unique: bigint): void {
    this.#waiting.delete(unique);
  }

  /** Requests that nobody has answered. */
  get waiting(): number {
    return this.#waiting.size;
  }

  read(into: Uint8Array): number {
    const next = this.queue.shift();
    if (next === undefined) return READ_ENDED;
    if (typeof next === 'number') return next;
    into.set(next);
    this.sent(next);
    return next.length;
  }

  readv(into: readonly Uint8Array[]): number {
    const whole = Buffer.alloc(into.reduce((sum, part) => sum + part.length, 0));
    const lengthBytes = this.read(whole);
    let at = 0;
    for (const part of into) {
      part.set(whole.subarray(at, Math.min(at + part.length, Math.max(at, lengthBytes))));
      at += part.length;
    }
    return lengthBytes;
  }

  writev(parts: readonly Uint8Array[]): number {
    this.onWrite?.();
    if (this.unmounted) return ENODEV;
    if (this.refuseNext !== 0) {
      const errno = this.refuseNext;
      this.refuseNext = 0;
      return errno;
    }
    const message = Buffer.concat(parts);
    if (decodeStruct('out_header', message)['unique'] === 0n) {
      this.notifications.push(message);
      return 0;
    }
    const reply = decodeReply(message);
    if (!this.#waiting.delete(reply.unique)) {
      this.unknown++;
      return ENOENT;
    }
    this.replies.push(reply);
    return 0;
  }
}

/** What a current kernel and we agree on. */
export const NEGOTIATED: Negotiated = {
  minor: 45,
  maxWriteBytes: 1 << 20,
  maxReadBytes: 1 << 20,
  maxBackground: 256,
  requestBufferBytes: (1 << 20) + 4096,
  flags: 0,
  flags2: 0,
  hasReaddirPlus: true,
  hasParallelDirops: true,
  hasAtomicTruncate: true,
  hasExplicitInvalidation: true,
  hasSetxattrExt: true,
  hasZeroMessageOpen: true,
  hasZeroMessageOpendir: true,
  hasPassthrough: true,
  hasDirectIoMmap: true,
  hasResend: true,
  hasExpireOnly: true,
  hasIncrementEpoch: true,
};
