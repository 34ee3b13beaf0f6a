/**
 * `--posix-metadata`: mode, owner, time and symbolic links kept with the objects, in the keys that s3fs and rclone use:
 * x-amz-meta-mode (decimal st_mode, as s3fs writes it; octal, as rclone does, is read too), -uid, -gid and -mtime (seconds
 * with a fraction; RFC 3339 is read too). A HEAD for each entry that is looked at, several at once for a directory, and none
 * for a version that was seen before (RememberedAttributes). Changes travel with the PUT of a file that is being written,
 * else the object is copied onto itself; a directory's go to its marker.
 * Refuses metadata that makes no sense: it counts as none.
 */
import { EEXIST, EINVAL, EIO, ErrnoError, errnoName, ESTALE } from '../../base/errno.js';
import { fileTimeMs, nanosecondsOf } from '../../base/file-time.js';
import { invariant } from '../../base/invariant.js';
import type { ObjectHead } from '../../engine/api.js';
import type { ObjectWriter } from '../../engine/write-api.js';
import type { Attributes, Entry, RequestContext } from '../../fuse/handlers.js';
import { isVersion } from '../file-node.js';
import type { FileNode, Node } from '../inode-table.js';
import { SingleFlight } from '../single-flight.js';
import type { Prefetcher } from '../../prefetch/api.js';
import type { NamespaceDeps } from './deps.js';
import { isPrecondition, MARKER_TYPE } from './markers.js';
import { inParallel } from '../parallel.js';
import { checkNewName } from './present.js';
import { NOTHING_LEARNED, type Learned } from './remembered-attributes.js';

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
/** PATH_MAX: a longer target is none. */
const TARGET_BYTES_MAX = 4095;
/** HEADs at once for one reader of a directory. */
const HEADS_MAX = 64;

export type PosixMetadataDeps = Pick<
  NamespaceDeps,
  | 'store'
  | 'names'
  | 'changes'
  | 'table'
  | 'entries'
  | 'attributes'
  | 'remembered'
  | 'freshness'
  | 'faults'
  | 'policy'
  | 'uncommitted'
  | 'repeated'
> & {
  readonly prefetcher: Prefetcher;
  /** Undefined where nothing is written: then nothing is asked of it. */
  readonly writer: ObjectWriter | undefined;
  readonly wallMs: () => number;
};

export class PosixMetadata {
  readonly #deps: PosixMetadataDeps;
  readonly #flights = new SingleFlight<void>();

  constructor(deps: PosixMetadataDeps) {
    this.#deps = deps;
  }

  /** Must the store be asked before the node's attributes can be shown? */
  needs(node: Node): boolean {
    if (node.learned) return false;
    if (node.kind === 'file' && (node.etag === '' || node.validatedAtMs === Infinity)) return false;
    return !this.#deps.remembered.knows(node.key, node.kind === 'file' ? node.etag : undefined);
  }

  /** Asks for what is kept with the node's object. Throws StoreError, EINTR. */
  async load(node: Node, signal: AbortSignal): Promise<void> {
    if (node === this.#deps.table.root) {
      this.#deps.remembered.learn(node.key, undefined, NOTHING_LEARNED);
      return;
    }
    const etag = node.kind === 'file' ? node.etag : undefined;
    await this.#flights.join(node.key, this.#deps.freshness.nowMs(), signal, (abort) =>
      this.#ask(node.key, etag, abort),
    );
  }

  /** The same for rows of a directory, several at once; a failure is left to who looks at the entry itself. */
  async loadAll(
    entries: readonly { readonly key: string; readonly etag: string | undefined }[],
    signal: AbortSignal,
  ): Promise<void> {
    const { remembered } = this.#deps;
    const unknown = entries.filter(({ key, etag }) => !remembered.knows(key, etag));
    await inParallel(unknown, HEADS_MAX, async ({ key, etag }) => {
      await this.#ask(key, etag, signal).catch(() => undefined);
    });
  }

  /** What a PUT of the node carries. */
  metadataOf(node: Node): Readonly<Record<string, string>> {
    return encode(this.#deps.attributes.of(node));
  }

  /** chmod, chown or utimens changed what is remembered: the object gets it too, unless a commit will bring it. */
  async persist(node: Node, signal: AbortSignal): Promise<void> {
    const { uncommitted, faults } = this.#deps;
    const writer = this.#writer;
    try {
      if (node === this.#deps.table.root) return;
      if (node.kind === 'directory') {
        await writer.put(node.key, [], { contentType: MARKER_TYPE, userMetadata: this.metadataOf(node) }, {}, signal);
        return;
      }
      const hold = await uncommitted.claim(node, signal);
      try {
        if (!hold.isUncommitted && hold.base)
          await this.#replaceMetadata(node, signal, (head) => hold.moved(node.key, head));
      } finally {
        hold.release();
      }
    } catch (error) {
      faults.report('setattr', node.key, error);
      throw error;
    }
  }

  /** Throws EEXIST, EINVAL, ENAMETOOLONG, StoreError. */
  async symlink(context: RequestContext, directoryKey: string, name: string, target: string): Promise<Entry> {
    const entry = await this.#deps.repeated.once(context, true, ({ mayHaveRun }) =>
      this.#symlink(context, directoryKey, name, target, mayHaveRun),
    );
    invariant(entry !== undefined, 'what makes something answers it');
    return entry;
  }

  async #symlink(
    { uid, gid, signal }: RequestContext,
    directoryKey: string,
    name: string,
    target: string,
    mayHaveRun: boolean,
  ): Promise<Entry> {
    const { policy, names, changes, table, entries, remembered, wallMs } = this.#deps;
    policy.mayWrite('symlink');
    const writer = this.#writer;
    checkNewName(directoryKey, name, false);
    const key = directoryKey + name;
    const body = Buffer.from(target);
    if (body.length === 0 || body.length > TARGET_BYTES_MAX)
      throw new ErrnoError(EINVAL, 'a target of 1 to 4,095 bytes');
    const learned: Learned = { type: S_IFLNK, mode: 0o777, uid, gid, mtimeMs: wallMs() };
    const userMetadata = encodeLearned(learned);
    let head: ObjectHead;
    try {
      head = await writer.put(key, [body], { userMetadata }, { ifNoneMatch: true }, signal);
    } catch (error) {
      names.distrust(key);
      if (!isPrecondition(error)) throw error;
      // The daemon before this one may have made it.
      const found = mayHaveRun ? await this.#deps.store.head(key, signal) : undefined;
      if (!found || !isLinkTo(found, body)) throw new ErrnoError(EEXIST, `'${key}' exists`, { cause: error });
      head = found;
    }
    remembered.learn(key, head.etag, learned);
    const atMs = changes.wrote(head);
    const node = table.fileOf(head, atMs);
    table.remember(node);
    return entries.entry(node, atMs);
  }

  /** Throws EINVAL for what is no link. */
  async readlink(node: FileNode, signal: AbortSignal): Promise<string> {
    if (this.needs(node)) await this.load(node, signal);
    const { attributes, prefetcher } = this.#deps;
    if ((attributes.of(node).mode & S_IFMT) !== S_IFLNK)
      throw new ErrnoError(EINVAL, `'${node.key}' is no symbolic link`);
    const reader = prefetcher.open(node);
    try {
      return await new Promise<string>((resolve, reject) => {
        reader.read(0, node.sizeBytes, {
          ticket: undefined,
          data: (parts) => resolve(Buffer.concat(parts).toString()),
          error: (errno) => reject(new ErrnoError(errno, `the target of '${node.key}': ${errnoName(errno)}`)),
          handedOver: () => ({ finished: () => undefined }),
        });
      });
    } finally {
      reader.close();
    }
  }

  get #writer(): ObjectWriter {
    const { writer } = this.#deps;
    invariant(writer !== undefined, 'the policy lets nobody write without a writer');
    return writer;
  }

  async #ask(key: string, etag: string | undefined, signal: AbortSignal): Promise<void> {
    const { store, remembered } = this.#deps;
    const head = await store.head(key, signal);
    // Replaced meanwhile: this version's is not to be had any more.
    if (etag !== undefined && head?.etag !== etag) return remembered.learn(key, etag, NOTHING_LEARNED);
    remembered.learn(key, etag, head ? decode(head, key.endsWith('/')) : NOTHING_LEARNED);
  }

  async #replaceMetadata(node: FileNode, signal: AbortSignal, moved: (head: ObjectHead) => unknown): Promise<void> {
    const { table, changes, remembered } = this.#deps;
    const writer = this.#writer;
    const found = await writer.describe(node.key, signal);
    if (!found || !isVersion(node, found.head)) {
      throw new ErrnoError(ESTALE, `'${node.key}' is not this version any more`);
    }
    const { key, etag, sizeBytes } = found.head;
    const userMetadata = { ...found.properties.userMetadata, ...this.metadataOf(node) };
    const properties = { ...found.properties, userMetadata };
    const head = await writer.copy({ key, etag, sizeBytes }, key, { properties });
    if (head.sizeBytes !== sizeBytes) throw new ErrnoError(EIO, `the copy of '${key}' onto itself has another size`);
    remembered.committed(head);
    table.becomes(node, head, changes.wrote(head));
    await moved(head);
  }
}

function encode({ mode, uid, gid, mtimeMs }: Attributes): Readonly<Record<string, string>> {
  return { mode: String(mode), uid: String(uid), gid: String(gid), mtime: seconds(mtimeMs) };
}

/** Is it a symbolic link with so long a target? Two of one length made in the same moment are not told apart. */
function isLinkTo(head: ObjectHead, target: Uint8Array): boolean {
  return head.sizeBytes === target.length && decode(head, false).type === S_IFLNK;
}

/** The metadata of what is made just now. */
export function encodeLearned({ type, mode, uid, gid, mtimeMs }: Learned): Readonly<Record<string, string>> {
  return {
    mode: String((type ?? S_IFREG) | (mode ?? 0)),
    uid: String(uid),
    gid: String(gid),
    mtime: seconds(mtimeMs ?? 0),
  };
}

/** As s3fs and rclone write it; whole seconds without a fraction. */
function seconds(timeMs: number): string {
  if (timeMs % 1000 === 0) return String(timeMs / 1000);
  if (timeMs < 0) return (timeMs / 1000).toFixed(9);
  const whole = Math.floor(timeMs / 1000);
  return `${whole}.${String(nanosecondsOf(timeMs, whole)).padStart(9, '0')}`;
}

/** What an object's metadata says. */
export function decode(head: ObjectHead, isDirectory: boolean): Learned {
  const { mode, uid, gid, mtime } = head.userMetadata ?? {};
  const wanted = isDirectory ? [S_IFDIR] : [S_IFREG, S_IFLNK];
  const bits = mode === undefined ? undefined : modeOf(mode, wanted);
  const type = bits === undefined ? 0 : bits & S_IFMT;
  return {
    type: type === S_IFLNK && head.sizeBytes > 0 && head.sizeBytes <= TARGET_BYTES_MAX ? S_IFLNK : undefined,
    mode: bits === undefined ? undefined : bits & 0o7777,
    uid: idOf(uid),
    gid: idOf(gid),
    mtimeMs: mtime === undefined ? undefined : timeOf(mtime),
  };
}

function modeOf(text: string, types: readonly number[]): number | undefined {
  const fits = (bits: number): boolean => bits <= 0o177777 && types.includes(bits & S_IFMT);
  const decimal = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  const octal = /^0?[0-7]{1,6}$/.test(text) ? parseInt(text, 8) : NaN;
  // Octal 100644, read as decimal, has more bits than a mode.
  if (fits(decimal)) return decimal;
  if (fits(octal)) return octal;
  // Only permissions: s3fs writes 420 for 0644.
  return decimal <= 0o7777 ? decimal : undefined;
}

function idOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 ? Number(text) : undefined;
}

function timeOf(text: string): number | undefined {
  const [, whole, fraction] = /^(\d+)\.(\d+)$/.exec(text) ?? [];
  if (whole !== undefined && fraction !== undefined) {
    return fileTimeMs(Number(whole), Number(fraction.slice(0, 9).padEnd(9, '0')));
  }
  const timeMs = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  return Number.isFinite(timeMs) ? timeMs : undefined;
}
