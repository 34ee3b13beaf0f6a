/**
 * A MemoryFs that keeps the slots in which WRITEs come, answers, and looks at their bytes only later, as a file system does
 * that uploads them; or that drops the bytes, to see what the way there costs.
 */
import type { MaybePromise, RequestContext, WriteLoan } from '../../src/fuse/handlers.js';
import { MemoryFs } from './memory-fs.js';
import type { ListWriteSlots } from './list-write-slots.js';

const KEPT_MS = 5;

export class KeepingFs extends MemoryFs {
  /** Slots that were kept. */
  kept = 0;
  readonly #slots: ListWriteSlots;
  readonly #isSink: boolean;

  constructor(slots: ListWriteSlots, isSink: boolean) {
    super();
    this.#slots = slots;
    this.#isSink = isSink;
  }

  override write(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    data: Uint8Array,
    _flags: number,
    loan?: WriteLoan,
  ): MaybePromise<number> {
    if (!loan) return this.#isSink ? data.length : super.write(context, nodeId, handle, offset, data);
    const slot = loan.adopt();
    this.kept++;
    if (this.#isSink) {
      this.#slots.give(slot);
      return data.length;
    }
    // The size at once, the bytes later.
    void super.write(context, nodeId, handle, offset + data.length - 1, data.subarray(data.length - 1));
    setTimeout(() => {
      // The handle may be closed by now.
      this.nodes.get(nodeId)?.data.set(this.#slots.bytes(slot, 0, data.length), offset);
      this.#slots.give(slot);
    }, KEPT_MS);
    return data.length;
  }
}
