/**
 * A daemon has died and this one goes on with its mount: what it was writing goes on too where nothing is lost, and is an error
 * for good where something is. The records (file-records.ts) say what there was, journal and spool what is left of it.
 *
 * Of each file that was open for writing or not committed:
 * - CLEAN: the bucket has it. It goes on as if nothing had been.
 * - KNOWN: its bytes are in the base object, the spool and the parts of its upload, or there are none (it was only made). It
 *   goes on with the same spool file and upload.
 * - LOOSE: bytes that some program believes written were in the dead daemon's memory. Every handle of it answers EIO from now on,
 *   reads too, and nothing is ever completed from it; its name means what the bucket has. Parts and spool stay for `recover`.
 * - FAILED: as before, and as LOOSE.
 *
 * A commit that was under way. Its request may have reached the store or not, and its caller waits for an answer (the FLUSH or
 * fsync is sent again), so it must be found out before anything else happens to the file (`settle`):
 * - One PUT. Its bytes' CRC-32 was written down before it was sent. The object at the key is read (it has one part at most):
 *   if those are its bytes, the commit succeeded, whoever put them there. If the object is still the one from before, the PUT may
 *   yet be on its way in the store: it is looked at once more after a moment. Then it counts as not made: EIO. Should it
 *   land after all, the object is whole, and its writer was told of an error: nobody was told of a success that was none.
 * - The completion of an upload. All parts were in the store, and stand in the journal: the completion is simply asked for
 *   again. An upload that is still open becomes the object now, under the condition that it was to have; one that is gone is
 *   looked for by the engine, as when an answer is lost (lost-answers.ts). Anything else is EIO, and as the journal has all parts,
 *   `recover` can complete it.
 * A file that was KNOWN meanwhile and was not made goes on as it was: the FLUSH that comes again commits it.
 *
 * Thread: main. Bounds: LOOKS looks at an object, READ_BYTES at once. Refuses to answer the kernel's requests: those wait in the
 * file's turn until this is done.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { crc32 } from '@node-rs/crc32';
import { EIO, ENOENT, ESTALE, ErrnoError } from '../../base/errno.js';
import type { Log } from '../../base/log.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import { formatBytes } from '../../base/units.js';
import type { ObjectHead } from '../../engine/api.js';
import { StoreError } from '../../engine/store-error.js';
import type { ObjectWriter } from '../../engine/write-api.js';
import type { FileHandles } from '../file-handles.js';
import type { FileNode, InodeTable } from '../inode-table.js';
import type { BaseReader, BaseVersion } from './base-reader.js';
import { CLEAN, FAILED, KNOWN, type FileRecord, type FileRecords, type Survival } from './file-records.js';
import type { JournalComplete, JournalKept, JournalLine } from './journal.js';
import { leaveCrashed, leaveUnclaimed, readJournal, removeSpoolFiles } from './recovery.js';
import type { SpoolDirectory } from './spool.js';
import type { WriteOperations } from './write-operations.js';
import type { InheritedFile } from './written-file-api.js';
import type { WrittenEntry } from './written-entry.js';
import type { WrittenFiles } from './written-files.js';

/** Looks at an object that a PUT was to make, and the time between them (a PUT of 8 MiB that is in the store's hands takes less). */
const LOOKS = 3;
const LOOK_AGAIN_MS = 400;

export interface TakeOverDeps {
  readonly records: FileRecords;
  readonly files: WrittenFiles;
  readonly operations: WriteOperations;
  readonly handles: FileHandles;
  readonly table: InodeTable;
  readonly spool: SpoolDirectory;
  readonly writer: ObjectWriter;
  readonly head: (key: string) => Promise<ObjectHead | undefined>;
  readonly openBase: (version: BaseVersion) => BaseReader;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
  readonly log: Log;
}

/** What was taken over, for the log. */
export interface TakenOver {
  readonly files: number;
  readonly handles: number;
  /** Files of which bytes are lost. */
  readonly lost: number;
}

interface Inherited {
  readonly entry: WrittenEntry;
  /** Of the files in the spool that the record named. */
  readonly spoolName: string;
  readonly isLost: boolean;
}

/**
 * Before the first request is served, and after the nodes that are known otherwise are there. Resolves when every handle is
 * known; commits that were under way may still be looked for. Never rejects.
 */
export async function takeOverFiles(deps: TakeOverDeps): Promise<TakenOver> {
  const { records, operations, handles, spool, wallMs, log } = deps;
  const found = await Promise.all(records.files().map((each) => inherit(deps, each.state, each.record)));
  let writers = 0;
  for (const { handle, writer } of records.writers()) {
    const node = operations.inherit(handle, writer);
    if (!node) {
      records.closed(handle);
      continue;
    }
    if (!handles.has(handle)) handles.open(handle, node, false);
    writers++;
  }
  // Those of which commits are still looked for, too.
  const taken = new Set(found.map(({ spoolName }) => spoolName));
  const { path, owner } = spool;
  await leaveUnclaimed(path, owner.keeper, (id) => taken.has(id), wallMs()).catch((error: unknown) =>
    log.warn({ directory: path, err: error }, `what the last daemon left in ${path} could not be looked at`),
  );
  for (const { entry } of found) if (entry.writers === 0) finish(deps, entry);
  return { files: found.length, handles: writers, lost: found.filter(({ isLost }) => isLost).length };
}

/**
 * Nobody would close it. A truncation without a handle is finished: whoever asked for it asks again, and finds it done. A file
 * whose CREATE was cut off before there was a handle goes: it is made when that comes again. So does one whose handles found
 * no room in the journal: nothing may be published that its program has not closed.
 */
function finish({ table, files, records }: TakeOverDeps, entry: WrittenEntry): void {
  const access = { isWriteOnly: true };
  const { node, file } = entry;
  if (file.isDirty && !file.failure && !file.settling && (!file.base || records.isIncomplete)) {
    files.drop(entry);
    return;
  }
  files.inherited(node.nodeId, access);
  table.opened(node);
  void files.close(entry, access).then(() => {
    table.closed(node);
    return files.nodeClosed(node);
  });
}

async function inherit(deps: TakeOverDeps, state: Survival, record: FileRecord): Promise<Inherited> {
  const { files, spool } = deps;
  const spoolName = record.spool;
  const lines = await readJournal(spool.path, record.spool);
  const data = await spool.has(record.spool);
  const kept = keptOf(state, record, lines);
  const node = nodeOf(deps, state, record);
  const isLoose = state !== CLEAN && kept === undefined;
  const inherited: InheritedFile = {
    // A file that only failed leaves its files to `recover`, and one that is clean has none.
    spool: isLoose || state === CLEAN ? spool.fresh() : { name: record.spool, data, journal: lines !== undefined },
    kept: isLoose ? { ranges: lostRange(record.sizeBytes), upload: undefined, parts: [] } : kept,
    isWritten: record.isWritten,
    state,
    shape: record.shape,
    intent: record.intent,
  };
  const entry = files.inherit(node, record, inherited);
  const { intent } = record;
  if (intent === undefined || state === FAILED) {
    if (isLoose) files.poison(entry, await lostError(deps, record, state));
    return { entry, spoolName, isLost: isLoose };
  }
  const complete = lines?.findLast((line) => line.type === 'complete');
  const look =
    intent.type === 'put'
      ? () => lookForPut(deps, record, intent)
      : () => (complete ? completeAgain(deps, complete) : Promise.resolve(undefined));
  const settled = files.settle(entry, look, async (error) =>
    isLoose ? lostError(deps, record, state, error) : undefined,
  );
  // Not before its record says that it is clean: a successor completes it from the journal.
  if (isLoose) void settled.then((isObject) => (isObject ? removeSpoolFiles(spool.path, spoolName) : undefined));
  return { entry, spoolName, isLost: false };
}

/** Where all bytes of it are; undefined when some are nowhere, or when it is not changed. */
function keptOf(
  state: Survival,
  { shape }: FileRecord,
  lines: readonly JournalLine[] | undefined,
): Omit<JournalKept, 'type'> | undefined {
  if (state !== KNOWN || shape === undefined) return undefined;
  if (shape !== 'journal') return { ranges: shape, upload: undefined, parts: [] };
  return lines?.findLast((line) => line.type === 'kept');
}

function lostRange(sizeBytes: number): JournalKept['ranges'] {
  return sizeBytes > 0 ? [{ from: 0, to: sizeBytes, kind: 'lost' }] : [];
}

/** The node under its old id; of a changed file it holds what the bucket does not. */
function nodeOf({ table, nowMs }: TakeOverDeps, state: Survival, record: FileRecord): FileNode {
  const { nodeId, key, etag, sizeBytes, lastModifiedMs, mtimeMs, storageClass } = record;
  const hasName = record.isCurrent && !record.isOrphaned;
  const head: ObjectHead = { key, etag, sizeBytes, lastModifiedMs, storageClass, restored: false };
  const node = table.inherited(nodeId, head, hasName, state === CLEAN ? nowMs() : Infinity);
  // A version that it replaced may be read still, and count as the current one because its node is younger.
  if (node.key !== key || (hasName && !node.current)) table.moveFile(node, key, undefined, nowMs());
  if (node.current && !hasName) table.retire(node);
  node.isInherited = true;
  node.lookups = Math.max(node.lookups, 1);
  node.etag = etag;
  node.sizeBytes = sizeBytes;
  node.mtimeMs = mtimeMs;
  return node;
}

/** What the handles of a file answer of which bytes are gone, once `recover` knows of what is left. */
async function lostError(
  { spool, log, wallMs }: TakeOverDeps,
  record: FileRecord,
  state: Survival,
  cause?: unknown,
): Promise<ErrnoError> {
  const { key, failure } = record;
  const isOld = state === FAILED && failure !== undefined;
  const message = isOld
    ? failure.message
    : `'${key}' was being written when the daemon died, and bytes that were only in its memory are lost`;
  let left = '';
  try {
    const what = await leaveCrashed(spool.path, record.spool, { key, message, atMs: wallMs() });
    if (what)
      left = `; ${formatBytes(what.sizeBytes)} of it are kept; mount-s3x recover lists, completes or drops them`;
  } catch (error) {
    left = `; what is kept of it could not be noted: ${String(error)}`;
  }
  if (!isOld) log.error({ key, ...(cause === undefined ? {} : { err: cause }) }, `${message}${left}`);
  const errno = isOld ? failure.errno : isReplaced(cause) ? ESTALE : EIO;
  return new ErrnoError(errno, message, { cause });
}

/** The object at the key is another than the one that the file was opened as: the store refused to replace it. */
function isReplaced(error: unknown): boolean {
  return error instanceof StoreError && (error.status === 412 || error.errno === ESTALE);
}

/** The object, if its bytes are those that a PUT was to make it of. Throws what keeps it from being looked at. */
async function lookForPut(
  { head, openBase }: TakeOverDeps,
  { key, base }: FileRecord,
  sent: { readonly sizeBytes: number; readonly crc32: number },
): Promise<ObjectHead | undefined> {
  for (let looks = 1; ; looks++) {
    const found = await head(key);
    if (found?.sizeBytes === sent.sizeBytes) {
      try {
        if ((await crc32Of(openBase(found), sent.sizeBytes)) === sent.crc32) return found;
      } catch (error) {
        // Replaced while it was read: looked at again.
        if (!(error instanceof ErrnoError) || (error.errno !== ESTALE && error.errno !== ENOENT)) throw error;
      }
    }
    const isFromBefore = found?.etag === base?.etag;
    if (!isFromBefore || looks === LOOKS) return undefined;
    await pause(LOOK_AGAIN_MS);
  }
}

async function crc32Of(reader: BaseReader, sizeBytes: number): Promise<number> {
  const into = Buffer.allocUnsafe(Math.min(sizeBytes, BLOCK_BYTES));
  let sum = 0;
  try {
    for (let at = 0; at < sizeBytes; at += BLOCK_BYTES) {
      const place = into.subarray(0, Math.min(BLOCK_BYTES, sizeBytes - at));
      await reader.read(at, place);
      sum = crc32(place, sum);
    }
  } finally {
    reader.close();
  }
  return sum;
}

async function completeAgain(
  { writer }: TakeOverDeps,
  { upload, parts, condition }: JournalComplete,
): Promise<ObjectHead> {
  return await writer.completeUpload(upload, parts, condition);
}
