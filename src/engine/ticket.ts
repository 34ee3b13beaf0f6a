/**
 * The engine's own shape for "the kernel request that this answers": two unsigned halves, echoed, never computed with.
 * It repeats src/fuse's RequestTicket so that the engine needs nothing of the kernel protocol; structural typing
 * makes the two one. Who turns a ticket into bytes on /dev/fuse is given to the net thread as a KernelReplier.
 */

export interface RequestTicketParts {
  readonly lo: number;
  readonly hi: number;
}

/** Answers parked READs; any thread may hold one. Never throws: a request that is gone (ENOENT) is not an error. */
export interface KernelReplier {
  data(ticket: RequestTicketParts, parts: readonly Uint8Array[]): void;
  error(ticket: RequestTicketParts, errno: number): void;
}
