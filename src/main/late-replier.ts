/**
 * A KernelReplier that exists before the mount does: mounting is the last step of a start, and whoever may have to answer
 * READs is built earlier. READs come only through the mount, so that each answer finds a device.
 *
 * Thread: one each. Owns: nothing; the descriptor is the daemon's. Blocks? Only in writev to /dev/fuse.
 */
import { invariant } from '../base/invariant.js';
import type { KernelReplier, RequestTicketParts } from '../engine/ticket.js';
import { DevFuseReplier } from '../fuse/reply.js';

export class LateReplier implements KernelReplier {
  readonly #onTrouble: (message: string) => void;
  #device: DevFuseReplier | undefined;

  /** `onTrouble` gets a sentence when the kernel refuses an answer. */
  constructor(onTrouble: (message: string) => void) {
    this.#onTrouble = onTrouble;
  }

  bind(fd: number): void {
    this.#device = new DevFuseReplier(fd, this.#onTrouble);
  }

  data(ticket: RequestTicketParts, parts: readonly Uint8Array[]): void {
    this.#bound().data(ticket, parts);
  }

  error(ticket: RequestTicketParts, errno: number): void {
    this.#bound().error(ticket, errno);
  }

  #bound(): DevFuseReplier {
    invariant(this.#device !== undefined, 'a READ is answered after the mount is there');
    return this.#device;
  }
}
