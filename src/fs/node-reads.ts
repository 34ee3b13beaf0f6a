/**
 * READs without opens (`--immutable`): by node instead of handle. The first READ of a node that is perhaps archived, or whose ETag is not
 * known, asks what an OPEN would have asked, and one of a node that an earlier daemon told the kernel of finds out what it is (restore/known-files.ts).
 * Refuses to read: inode-readers.ts.
 */
import { EIO, ErrnoError } from '../base/errno.js';
import type { ReadReply, RequestContext } from '../fuse/handlers.js';
import type { InodeReaders } from './inode-readers.js';
import type { InodeTable } from './inode-table.js';
import type { Lister } from './lister.js';
import type { KnownFiles } from './restore/known-files.js';
import type { Versions } from './versions.js';

export interface NodeReadsDeps {
  readonly readers: InodeReaders;
  readonly table: InodeTable;
  readonly versions: Versions;
  readonly lister: Lister;
  readonly known: KnownFiles;
  /** The kernel shall look all names up again: what it knows of one is nothing to us. */
  readonly namesLost: () => void;
}

export class NodeReads {
  readonly #deps: NodeReadsDeps;

  constructor(deps: NodeReadsDeps) {
    this.#deps = deps;
  }

  /** Resolves when the node is there, if it ever will be; undefined when there is nothing to wait for. Never rejects. */
  revived(nodeId: number): Promise<void> | undefined {
    const { table, known, lister, namesLost } = this.#deps;
    if (table.find(nodeId)) return undefined;
    if (!known.canRevive(nodeId)) {
      namesLost();
      return undefined;
    }
    return known.revive(nodeId, lister).then(
      (found) => {
        if (!found) {
          namesLost();
          return;
        }
        const { page, row } = found;
        // The kernel knows it; how often it was told is not known exactly.
        const node = table.inherited(nodeId, page.head(row), true, page.sentAtMs);
        node.lookups = Math.max(1, node.lookups);
      },
      // The lister has said why, and the request is answered ESTALE.
      () => undefined,
    );
  }

  read({ signal }: RequestContext, nodeId: number, offset: number, sizeBytes: number, reply: ReadReply): void {
    const { readers, versions, table } = this.#deps;
    const node = table.file(nodeId);
    if (!versions.mustAsk(node) || readers.has(node)) {
      readers.read(node, offset, sizeBytes, reply);
      return;
    }
    void versions
      .revalidate(node, signal)
      .then(() => versions.refuse(node, 'read', 'read'))
      .then(
        () => readers.read(node, offset, sizeBytes, reply),
        (error: unknown) => reply.error(error instanceof ErrnoError ? error.errno : EIO),
      );
  }
}
