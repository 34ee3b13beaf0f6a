/**
 * Slots of the pool in the hands of writers: whole slots that hold bytes on their way to the bucket. They are no blocks: no
 * key, never live, never evicted; who takes one owns its payload until it is given back.
 * Types only: the pool's owner implements it (it must be able to evict blocks for a writer), tests fake it.
 *
 * Thread: main. Bound: `slotsMax`, a share of the pool, so that readers always keep theirs.
 */
export interface WriteSlots {
  /** So many may be taken at one time. */
  readonly slotsMax: number;
  /** Taken and not given back. */
  readonly used: number;
  /** A slot, its payload undefined; undefined when the share is used up or nothing can be evicted right now. */
  take(): number | undefined;
  /**
   * Resolves with a slot as soon as there is one, first come first served; rejects with ErrnoError(EINTR) when `signal`
   * aborts. Bounded: who waits is a WRITE of the kernel or a part of an upload.
   */
  wait(signal?: AbortSignal): Promise<number>;
  /** The payload is not looked at any more. */
  give(slot: number): void;
  /** Bytes [from, to) of the slot, to be written or read. */
  bytes(slot: number, from: number, to: number): Uint8Array;
}
