/** A MemoryFs that asks at each FLUSH who flushes, as a file system that commits at close does. */
import type { Entry, MaybePromise, OpenReply, RequestContext } from '../../src/fuse/handlers.js';
import { Processes } from '../../src/fuse/processes.js';
import { MemoryFs } from './memory-fs.js';

/** One FLUSH; `bytes` are those written to the handle before it. */
export interface Witnessed {
  readonly by: string;
  readonly bytes: number;
  /** The opener is known, and the thread that flushes is its main one. */
  readonly isMainThread: boolean;
}

export class WitnessedFs extends MemoryFs {
  readonly flushes: Witnessed[] = [];
  readonly #processes = new Processes();
  readonly #open = new Map<number, { readonly opener: number; bytes: number }>();

  override create(
    context: RequestContext,
    parent: number,
    name: string,
    mode: number,
  ): MaybePromise<{ entry: Entry; open: OpenReply }> {
    const opener = this.#processes.openerOf(context.pid);
    const made = super.create(context, parent, name, mode);
    if (made instanceof Promise) throw new Error('a WitnessedFs answers at once');
    this.#open.set(made.open.handle, { opener, bytes: 0 });
    return made;
  }

  override write(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    data: Uint8Array,
  ): MaybePromise<number> {
    const open = this.#open.get(handle);
    if (open) open.bytes += data.length;
    return super.write(context, nodeId, handle, offset, data);
  }

  override flush(context: RequestContext, nodeId: number, handle: number): MaybePromise<void> {
    const open = this.#open.get(handle);
    if (open) {
      this.flushes.push({
        by: this.#processes.flushedBy(context.pid, open.opener),
        bytes: open.bytes,
        isMainThread: context.pid === open.opener,
      });
    }
    return super.flush(context, nodeId, handle);
  }
}
