/**
 * Is a node's version still what the bucket holds? Asked before an open when what is known is too old, and found out by reads
 * that fail. A version that is no longer there makes its name mean nothing until it is looked up again, here and in the
 * kernel. What our own commits and renames learned meanwhile is younger than any question that was sent before.
 * Refuses to fetch bytes.
 */
import { EIO, ErrnoError, ESTALE } from '../base/errno.js';
import type { ObjectStore } from '../engine/api.js';
import { isStrongEtag, isWeakEtag } from '../engine/etag.js';
import { ARCHIVE_CLASSES } from './attributes.js';
import type { FaultLog } from './fault-log.js';
import type { Freshness } from './freshness.js';
import { isVersion } from './file-node.js';
import type { FileNode, InodeTable } from './inode-table.js';
import type { KnownNames } from './known-names.js';
import { baseName, parentDirectoryKey } from './keymap.js';
import { SingleFlight } from './single-flight.js';

export interface VersionsDeps {
  readonly store: ObjectStore;
  readonly table: InodeTable;
  readonly names: KnownNames;
  readonly freshness: Freshness;
  readonly faults: FaultLog;
  /** A name that the kernel may remember is out of date. */
  readonly nameChanged: (parentNodeId: number, name: string) => void;
}

export class Versions {
  readonly #isImmutable: boolean;
  readonly #deps: VersionsDeps;
  readonly #flights = new SingleFlight<void>();
  /** Opens and reads that found their version replaced. */
  stale = 0;

  constructor(options: { readonly isImmutable: boolean }, deps: VersionsDeps) {
    this.#isImmutable = options.isImmutable;
    this.#deps = deps;
  }

  /** Asks the store. Throws ESTALE when the version is gone: the kernel looks the path up again. */
  async revalidate(node: FileNode, signal: AbortSignal): Promise<void> {
    const { store, table, freshness, faults } = this.#deps;
    const flightKey = `${node.nodeId}`;
    const startedAtMs = this.#flights.startedAtMs(flightKey);
    const joinable = startedAtMs !== undefined && freshness.isFresh(startedAtMs);
    const check = async (abort: AbortSignal): Promise<void> => {
      const sentAtMs = freshness.nowMs();
      try {
        const head = await store.head(node.key, abort);
        // Written or moved by us since the question was sent.
        if (node.validatedAtMs > sentAtMs) return;
        if (head && isVersion(node, head)) table.confirm(node, head, sentAtMs);
        else this.found(node, 'open');
      } catch (error) {
        faults.report('open', node.key, error);
        throw error;
      }
    };
    await this.#flights.join(flightKey, freshness.nowMs(), signal, check, joinable);
    if (!node.current) throw this.error(node);
  }

  /** The version turned out to be replaced or deleted. */
  found(node: FileNode, operation: 'open' | 'read'): void {
    if (!node.current) return;
    this.stale++;
    this.forget(node);
    node.isOutdated = true;
    // A name that was replaced between lookup and open is an everyday thing; a reader that loses its file is not.
    if (operation !== 'read') return;
    this.#deps.faults.problem('stale', { key: node.key, etag: node.etag }, [
      this.#isImmutable
        ? `'${node.key}' was replaced or deleted although the mount is --immutable; its readers get ESTALE`
        : `'${node.key}' was replaced or deleted while it was open; its readers get ESTALE`,
      this.#isImmutable
        ? 'open it again to read what is there now; mount without --immutable where objects change'
        : 'open it again to read what is there now',
    ]);
  }

  /** The name means again what the bucket says, whatever the node held. */
  forget(node: FileNode): void {
    const { table, names } = this.#deps;
    if (node.current) table.retire(node);
    names.distrust(node.key);
    // With a long time to live the kernel would answer stat(2) with the old version until the name expires.
    this.tellKernel(parentDirectoryKey(node.key), baseName(node.key));
  }

  /** Has the kernel look the name up again. */
  tellKernel(directoryKey: string, name: string): void {
    const parent = this.#deps.table.knownDirectory(directoryKey);
    if (parent) this.#deps.nameChanged(parent.nodeId, name);
  }

  error(node: FileNode): ErrnoError {
    return new ErrnoError(ESTALE, `'${node.key}' is not this version any more`);
  }

  /** Throws ESTALE where the kernel would write at the end of the version before (`FileNode.shown`): the name gets another node. */
  refuseOldEnd(node: FileNode): void {
    if (!node.shown) return;
    this.found(node, 'open');
    throw this.error(node);
  }

  /**
   * Whether an open has to ask whatever is known: of an object that is perhaps archived, as a restore may have come or run out since
   * the listing; and of one whose ETag is not known, or weak, where a HEAD may have a strong one.
   */
  mustAsk(node: FileNode): boolean {
    return ARCHIVE_CLASSES.has(node.storageClass) || !this.#isPinned(node);
  }

  /** Before bytes are read or changed: the version's ETag is found out where it is not known; undefined when it is. */
  pin(node: FileNode, signal: AbortSignal): Promise<void> | undefined {
    if (this.#isPinned(node)) return undefined;
    return this.revalidate(node, signal).then(() => this.#refuseUnpinned(node, 'writing'));
  }

  /** Throws EIO for what cannot be read now: archived objects, and those of which no version can be told from another. */
  refuse(node: FileNode, operation: 'open' | 'read', does: 'read' | 'write' | 'truncate'): void {
    if (does !== 'truncate') this.#refuseArchived(node, operation);
    // An empty one is read without a request.
    if (node.sizeBytes > 0 || does !== 'read') this.#refuseUnpinned(node, operation);
  }

  /** The bytes that it means can be asked for: nobody else's come for them. */
  #isPinned(node: FileNode): boolean {
    return isStrongEtag(node.etag) || this.#deps.table.isHeld(node);
  }

  #refuseUnpinned(node: FileNode, operation: string): void {
    const { key, etag } = node;
    if (this.#isPinned(node)) return;
    const isWeak = isWeakEtag(etag);
    const what = isWeak
      ? `only the weak ETag ${etag}, for which no If-Match holds (RFC 9110)`
      : 'no ETag, in listings and in HEAD';
    this.#deps.faults.problem('no-etag', { key, etag }, [
      `${operation} of '${key}' is refused with EIO: the store gives it ${what}, so its bytes could not be told from another version's`,
      isWeak
        ? 'have what stands before the store (a proxy or CDN that packs or changes answers) pass its answers on as they are'
        : 'read it through a server that sends ETags, as S3 does',
    ]);
    throw new ErrnoError(EIO, `${key} has no ETag that its bytes could be asked for by`);
  }

  /** Throws EIO for an archived object without a restored copy. */
  #refuseArchived(node: FileNode, operation: string): void {
    if (!ARCHIVE_CLASSES.has(node.storageClass) || node.restored) return;
    this.#deps.faults.problem('archived', { key: node.key, storageClass: node.storageClass }, [
      `${operation} of '${node.key}' is refused with EIO: the object is archived (${node.storageClass})`,
      'restore it first (aws s3api restore-object) and wait until the restored copy is there',
    ]);
    throw new ErrnoError(EIO, `${node.key} is archived in ${node.storageClass}`);
  }

  abortAll(): void {
    this.#flights.abortAll();
  }
}
