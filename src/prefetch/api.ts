/**
 * What reading offers to the file system: an open object version, and reads of it that are answered whole or with an error.
 * The file system says which version (pinned ETag); the prefetcher decides what is fetched when, and who answers.
 */

/**
 * One version of one object: the node id is the version's own (KERNEL fact 11), so it keys shared blocks. What is given may
 * change its key and ETag while it is read, as the object does when it is renamed: each request takes what stands there then.
 */
export interface ObjectVersion {
  readonly nodeId: number;
  /** Full S3 key. */
  readonly key: string;
  readonly etag: string;
  readonly sizeBytes: number;
}

/** How one READ is answered; structurally src/fuse's ReadReply. */
export interface ReadSink {
  readonly ticket: { readonly lo: number; readonly hi: number } | undefined;
  data(parts: readonly Uint8Array[]): void;
  error(errno: number): void;
  /** Only with a ticket: another thread answers, or this one later by an errno. */
  handedOver(onInterrupt: () => void): { finished(): void };
}

/** Reads of one handle. The prefetcher learns the access pattern from these calls. */
export interface ObjectReader {
  /** Answers `sink` exactly once: all bytes of [offset, offset + sizeBytes) up to the object's end, or an errno. */
  read(offset: number, sizeBytes: number, sink: ReadSink): void;
  /** A reader thread answered this range by itself from resident blocks: move windows. */
  accessed(offset: number, sizeBytes: number): void;
  /** No more reads come; what was fetched ahead only for this handle may be dropped. */
  close(): void;
}

/** Fetching of files that nobody has opened yet, because the file system expects that somebody will. */
export interface Speculator {
  /** Payload bytes of the pool. */
  readonly poolBytes: number;
  /**
   * Fetches a version of one block whole, after everything else and only into spare room. False when there is no such
   * room, too much of the kind under way, or the version is not to be had now; true also when its bytes are there.
   */
  speculate(version: ObjectVersion): boolean;
  /** Are bytes of the version there or on their way? */
  holds(nodeId: number): boolean;
}

export interface Prefetcher {
  open(version: ObjectVersion): ObjectReader;
  /** The kernel forgot the version: its blocks may go. */
  forgetVersion(nodeId: number): void;
  /** Resolves when the requests that are under way now for the version are over; those that start later do not count. */
  settled(nodeId: number): Promise<void>;
  /**
   * Resolves when no request for the object of this key is under way, and none begins until the function that it gives is
   * called: READs that need one wait, and then ask for what their version's key is by then.
   */
  hold(key: string): Promise<() => void>;
  /**
   * The node is about to be written: no READ that comes from now on is answered from its blocks, and what fetches under way
   * still bring is seen only by the READs that wait for it. Its readers are to be closed. Until `share`.
   */
  seclude(nodeId: number): void;
  /** The node is a version again, another one: readers that are opened from now on share their blocks. */
  share(nodeId: number): void;
}
