/**
 * Logs that somebody else appends to, and that programs follow through a descriptor (`tail -f`, a reader that polls at the file's
 * end). An open file stays with its version, so it would never grow. When a program asks for the attributes of a file that it
 * has open, again and again, the object is looked at, and when its new version provably begins with all bytes of the one
 * that is open, the open file becomes that version: nothing that was read is not in it, so versions are not mixed.
 *
 * The proof is the ETag of the version that is open, where it is the MD5 of its bytes (one PUT), or of the MD5s of equal parts
 * (multipart uploads): the new object's first bytes are read and must have it. What has no such ETag (SSE-KMS, SSE-C,
 * directory buckets, parts of several sizes), is larger than FOLLOW_BYTES_MAX, or was rewritten, stays what it was.
 * Source: "Object" (ETag) in the S3 API reference.
 *
 * The kernel has the page at the old end with zeros behind it. So the new size is shown (`FileNode.shown`) only when it has
 * dropped that page; until then nobody may open the file for writing: it would be written at the old end.
 *
 * Thread: main. Bounds: WATCHED_MAX files, PROOFS_MAX proofs at once, one look at an object a time to live and no more often
 * than LOOK_MS. Nobody waits for any of it. Refuses files that are open for writing here, and those that we removed or replaced ourselves.
 */
import { createHash, type Hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Log } from '../base/log.js';
import { PAGE_BYTES } from '../base/pool/layout.js';
import { MIB } from '../base/units.js';
import type { ObjectHead, ObjectStore } from '../engine/api.js';
import type { Prefetcher } from '../prefetch/api.js';
import type { Freshness } from './freshness.js';
import type { FileNode, InodeTable } from './inode-table.js';
import { BaseReader } from './writing/base-reader.js';

/** Files whose attributes were asked for while they were open and known for long. */
const WATCHED_MAX = 4096;
const PROOFS_MAX = 4;
const LOOK_MS = 1_000;
/** Each look at a version that grew reads all that was there before. */
const FOLLOW_BYTES_MAX = 64 * MIB;
const PIECE_BYTES = MIB;
/** How long the next look waits, beside how long the last proof took: who follows a large log far away does not fill the link. */
const REST = 4;
/** What clients cut uploads into; ours 8 MiB. */
const PART_MIBS = [5, 8, 10, 15, 16, 25, 32, 50, 64];

export interface GrowingFilesDeps {
  readonly store: Pick<ObjectStore, 'head'>;
  readonly table: InodeTable;
  readonly prefetcher: Prefetcher;
  readonly freshness: Freshness;
  readonly log: Log;
  /** It is open for writing here: its writer has the version that it opened. */
  readonly isWritten: (node: FileNode) => boolean;
  /** The node is another version from now on. */
  readonly versionChanged: (node: FileNode) => void;
  /** The kernel drops what it has of the file from there on; rejects when it could not be told. */
  readonly bytesChanged: (nodeId: number, offset: number) => Promise<void>;
}

interface Watched {
  /** When it was asked for first, or looked at last. */
  sinceMs: number;
  /** Not to be looked at before. */
  restMs: number;
  isBusy: boolean;
  /** A version that does not begin with the one that is open. */
  otherEtag: string | undefined;
}

export class GrowingFiles {
  readonly #deps: GrowingFilesDeps;
  readonly #watched = new LRUCache<number, Watched>({ max: WATCHED_MAX });
  readonly #end = new AbortController();
  #proofs = 0;
  /** Versions that open files went on with. */
  grown = 0;

  constructor(deps: GrowingFilesDeps) {
    this.#deps = deps;
  }

  /** Somebody asked for the attributes of a file that is open. */
  polled(node: FileNode): void {
    const { freshness } = this.#deps;
    if (freshness.endless || !this.#mayGrow(node)) return;
    const nowMs = freshness.nowMs();
    const watched = this.#watched.get(node.nodeId);
    if (!watched) {
      // Who asks once, as everybody does who opens a file, does not follow it.
      if (!freshness.isFresh(node.validatedAtMs)) this.#watch(node, nowMs);
      return;
    }
    if (watched.isBusy || nowMs < watched.restMs || this.#proofs >= PROOFS_MAX) return;
    if (freshness.isFresh(watched.sinceMs) && !node.shown) return;
    watched.isBusy = true;
    watched.restMs = nowMs + LOOK_MS;
    this.#proofs++;
    void this.#look(node, watched)
      .catch((error: unknown) => this.#deps.log.debug({ key: node.key, err: error }, 'could not see whether it grew'))
      .finally(() => {
        watched.isBusy = false;
        this.#proofs--;
      });
  }

  abortAll(): void {
    this.#end.abort();
  }

  #watch(node: FileNode, nowMs: number): void {
    this.#watched.set(node.nodeId, { sinceMs: nowMs, restMs: nowMs, isBusy: false, otherEtag: undefined });
  }

  /** Open, in the bucket, and not changed by ourselves. */
  #mayGrow(node: FileNode): boolean {
    if (node.opens === 0 || node.etag === '' || this.#deps.isWritten(node)) return false;
    return (node.current || node.isOutdated === true) && !this.#deps.table.isHeld(node);
  }

  async #look(node: FileNode, watched: Watched): Promise<void> {
    const { store, table, freshness } = this.#deps;
    if (node.shown) return this.#show(node, node.shown.sizeBytes);
    const { key, etag, sizeBytes } = node;
    const sentAtMs = freshness.nowMs();
    const head = await store.head(key, this.#end.signal);
    watched.sinceMs = sentAtMs;
    if (!head || head.etag === etag || head.etag === watched.otherEtag || head.sizeBytes <= sizeBytes) return;
    const provedMs = freshness.nowMs();
    const isGrown = await this.#begins(head, { etag, sizeBytes });
    watched.restMs += REST * (freshness.nowMs() - provedMs);
    if (!isGrown) {
      watched.otherEtag = head.etag;
      return;
    }
    // Closed, renamed, or written here meanwhile.
    if (!this.#mayGrow(node) || node.key !== key || node.etag !== etag) return;
    table.grew(node, head, sentAtMs);
    this.#deps.versionChanged(node);
    this.grown++;
    await this.#show(node, sizeBytes);
  }

  /** The kernel may see the new size once it has forgotten the old end. */
  async #show(node: FileNode, oldBytes: number): Promise<void> {
    try {
      await this.#deps.bytesChanged(node.nodeId, oldBytes - (oldBytes % PAGE_BYTES));
    } catch (error) {
      // The name gets another node, with the size that is true; this one is tried again when somebody asks.
      if (node.current) this.#deps.table.outdate(node);
      throw error;
    }
    this.#deps.table.shown(node);
  }

  /** Are the first bytes of the object all bytes of the version `before`? */
  async #begins(head: ObjectHead, before: { readonly etag: string; readonly sizeBytes: number }): Promise<boolean> {
    const { sizeBytes } = before;
    if (sizeBytes === 0) return true;
    const sums = sizeBytes <= FOLLOW_BYTES_MAX ? sumsFor(before) : [];
    if (sums.length === 0) return false;
    const { prefetcher, table } = this.#deps;
    const reader = new BaseReader(head, { prefetcher, privateId: () => table.privateId() });
    try {
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, sizeBytes));
      for (let at = 0; at < sizeBytes; at += piece.length) {
        this.#end.signal.throwIfAborted();
        const bytes = piece.subarray(0, Math.min(piece.length, sizeBytes - at));
        await reader.read(at, bytes);
        for (const sum of sums) sum.add(bytes);
      }
    } finally {
      reader.close();
    }
    return sums.some((sum) => sum.matches());
  }
}

interface Sum {
  add(bytes: Uint8Array): void;
  matches(): boolean;
}

/** What the version's ETag may be the sum of; none when it is of no kind that is known. */
export function sumsFor({ etag, sizeBytes }: { readonly etag: string; readonly sizeBytes: number }): Sum[] {
  const found = /^"?([0-9a-f]{32})(?:-(\d+))?"?$/.exec(etag);
  if (!found) return [];
  const [, hex = '', parts] = found;
  if (parts === undefined) {
    const hash = createHash('md5');
    return [{ add: (bytes) => void hash.update(bytes), matches: () => hash.digest('hex') === hex }];
  }
  const count = Number(parts);
  if (count === 1) return [new PartSum(sizeBytes, hex)];
  return PART_MIBS.map((mebibytes) => mebibytes * MIB)
    .filter((partBytes) => Math.ceil(sizeBytes / partBytes) === count)
    .map((partBytes) => new PartSum(partBytes, hex));
}

/** The MD5 of the MD5s of parts. */
class PartSum implements Sum {
  readonly #partBytes: number;
  readonly #hex: string;
  readonly #whole = createHash('md5');
  #part: Hash = createHash('md5');
  #leftBytes: number;

  constructor(partBytes: number, hex: string) {
    this.#partBytes = partBytes;
    this.#leftBytes = partBytes;
    this.#hex = hex;
  }

  add(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#leftBytes === 0) this.#endPart();
      const now = Math.min(this.#leftBytes, bytes.length - at);
      this.#part.update(bytes.subarray(at, at + now));
      this.#leftBytes -= now;
      at += now;
    }
  }

  matches(): boolean {
    this.#endPart();
    return this.#whole.digest('hex') === this.#hex;
  }

  #endPart(): void {
    this.#whole.update(this.#part.digest());
    this.#part = createHash('md5');
    this.#leftBytes = this.#partBytes;
  }
}
