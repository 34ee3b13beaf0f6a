/**
 * Turns an answer into one message to the kernel. Any thread may hold a Replier; all it needs is the descriptor, because
 * a reply names its request by the ticket, whichever thread read the request (kernel fact 1, docs/KERNEL.md).
 * Never throws for what the kernel says: a request that is gone is not an error, and neither is the end of the mount.
 * Refuses to decide what the answer is, and to answer a request twice (the second would find it gone).
 */
import { EINVAL, EIO, ENODEV, ENOENT, ENOTCONN, EPERM, errnoName } from '../base/errno.js';
import { ERRNO_MAX, OUT_HEADER_BYTES } from './abi.js';
import { DevFuseTransport } from './dev-fuse.js';
import { encodeOutHeader } from './encode.js';
import type { RequestTicket } from './handlers.js';
import type { ReplyWriter } from './transport.js';

/** What became of a reply: taken, or its request was gone, or the mount is, or the kernel refused it (we are wrong). */
export type ReplyOutcome = 'sent' | 'gone' | 'ended' | 'refused';

/** Room for every reply of fixed size, header included. */
const SCRATCH_BYTES = 512;

export class Replier {
  readonly #writer: ReplyWriter;
  readonly #onTrouble: (message: string) => void;
  readonly #header = new Uint8Array(OUT_HEADER_BYTES);
  readonly #headerView = new DataView(this.#header.buffer);
  readonly #scratch = new Uint8Array(SCRATCH_BYTES);
  /** Replies of fixed size are encoded here, from OUT_HEADER_BYTES on, and sent with `scratch`. */
  readonly scratchView = new DataView(this.#scratch.buffer);

  /** `onTrouble` gets a sentence when the kernel refuses a reply: that is a bug here, but no reason to end the mount. */
  constructor(writer: ReplyWriter, onTrouble: (message: string) => void = () => undefined) {
    this.#writer = writer;
    this.#onTrouble = onTrouble;
  }

  /** A reply of bytes, in order. `@borrows` parts, until return. */
  data(ticket: RequestTicket, parts: readonly Uint8Array[]): ReplyOutcome {
    let lengthBytes = OUT_HEADER_BYTES;
    for (const part of parts) lengthBytes += part.length;
    encodeOutHeader(this.#headerView, 0, lengthBytes, 0, ticket.lo, ticket.hi);
    const outcome = this.#write([this.#header, ...parts], lengthBytes - OUT_HEADER_BYTES);
    // The kernel kept the request: it must be answered, or its caller waits for ever.
    if (outcome === 'refused') this.error(ticket, EIO);
    return outcome;
  }

  /** Sends what was encoded into scratchView up to `endOffset`. */
  scratch(ticket: RequestTicket, endOffset: number): ReplyOutcome {
    encodeOutHeader(this.scratchView, 0, endOffset, 0, ticket.lo, ticket.hi);
    const outcome = this.#write([this.#scratch.subarray(0, endOffset)], endOffset - OUT_HEADER_BYTES);
    if (outcome === 'refused') this.error(ticket, EIO);
    return outcome;
  }

  /** Success without a body. */
  ok(ticket: RequestTicket): ReplyOutcome {
    encodeOutHeader(this.#headerView, 0, OUT_HEADER_BYTES, 0, ticket.lo, ticket.hi);
    return this.#write([this.#header], 0);
  }

  /** Failure; a number that the kernel would not take becomes EIO. */
  error(ticket: RequestTicket, errno: number): ReplyOutcome {
    const valid = Number.isInteger(errno) && errno > 0 && errno <= ERRNO_MAX;
    encodeOutHeader(this.#headerView, 0, OUT_HEADER_BYTES, -(valid ? errno : EIO), ticket.lo, ticket.hi);
    return this.#write([this.#header], 0);
  }

  #write(parts: readonly Uint8Array[], bodyBytes: number): ReplyOutcome {
    const errno = this.#writer.writev(parts);
    switch (errno) {
      case 0:
        return 'sent';
      case ENOENT:
        return 'gone';
      // EPERM: the descriptor is not connected (any more).
      case ENODEV:
      case ENOTCONN:
      case EPERM:
        return 'ended';
      default:
        this.#onTrouble(
          `the kernel refused a reply of ${bodyBytes} bytes with ${errnoName(errno)}` +
            (errno === EINVAL ? '; this is a bug in mount-s3x, please report it' : ''),
        );
        return 'refused';
    }
  }
}

/** A Replier for a thread that has nothing but the descriptor; structurally the engine's KernelReplier. */
export class DevFuseReplier extends Replier {
  constructor(fd: number, onTrouble?: (message: string) => void) {
    super(new DevFuseTransport(fd), onTrouble);
  }
}
