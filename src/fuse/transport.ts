/**
 * The one door to the kernel: messages in, messages out. The protocol core knows only this, so that its tests need no
 * mount; dev-fuse.ts is the real one and test/support has a fake kernel.
 * Refuses to interpret messages.
 */

/** `read` results that are not a length. */
export const READ_ENDED = -1;
export const READ_AGAIN = -2;

/** Where replies and notifications go. */
export interface ReplyWriter {
  /**
   * Writes one message as a whole: all of `parts`, in order, in one call. Returns 0 when the kernel took it, else the
   * errno it refused it with: ENOENT is a request (or inode) that is gone, ENODEV a file system that was unmounted.
   * Throws InvariantError when the kernel takes only a part, which it never does. `parts` are borrowed until return.
   */
  writev(parts: readonly Uint8Array[]): number;
}

export interface Transport extends ReplyWriter {
  /**
   * Waits for the next request and reads it into `into`. Returns its length, READ_AGAIN when there was none after all
   * (interrupted, or the request was withdrawn), READ_ENDED when the file system is unmounted or the connection was
   * aborted. Throws for anything else.
   */
  read(into: Uint8Array): number;
  /** As `read`, into several pieces of memory one after another: each is filled before the next is begun. */
  readv(into: readonly Uint8Array[]): number;
}
