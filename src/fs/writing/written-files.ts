/**
 * All files that are being written: who has them open, when they are committed, and what the rest of the file system is told.
 * A file is whole, torn or left behind by the rules of docs/SEMANTICS.md; what leaves memory when is memory-relief.ts'.
 *
 * Thread: main. Owns: the WrittenFiles, one for each node that somebody has open for writing. Refuses to know handles:
 * write-operations.ts.
 */
import type { Clock, Timer } from '../../base/clock.js';
import { EEXIST, EIO, ErrnoError, ESTALE, errnoName } from '../../base/errno.js';
import { invariant } from '../../base/invariant.js';
import type { Log } from '../../base/log.js';
import type { WriteSlots } from '../../base/pool/write-slots.js';
import { MIB } from '../../base/units.js';
import type { ObjectHead } from '../../engine/api.js';
import { StoreError } from '../../engine/store-error.js';
import type { ObjectProperties, ObjectWriter, WriteCondition } from '../../engine/write-api.js';
import type { Prefetcher } from '../../prefetch/api.js';
import type { FaultLog } from '../fault-log.js';
import type { FileNode, InodeTable } from '../inode-table.js';
import type { UncommittedFile, UncommittedFiles, UncommittedHold } from '../namespace/written-files.js';
import { BaseReader, type BaseVersion } from './base-reader.js';
import { holdOf, type HoldHost } from './file-hold.js';
import { LOOSE, type FileRecord, type FileRecords } from './file-records.js';
import type { StreamedPart } from './file-upload.js';
import { MemoryRelief } from './memory-relief.js';
import type { PartRules } from './part-plan.js';
import { beginLine, SpoolFile, thisWriter, type SpoolDirectory } from './spool.js';
import { newEntry, type WrittenEntry, type WritingCounts } from './written-entry.js';
import { WrittenFile } from './written-file.js';
import { drainFiles, handOverFiles } from './written-files-end.js';
import type { FoundSpool, InheritedFile, WrittenFileDeps, WrittenFileWatch } from './written-file-api.js';
import { partRules, type WritingOptions } from './writing-options.js';

/** Of an object that is removed or replaced while it is open for writing, so much is kept in the spool for its open handles. */
const KEPT_BASE_BYTES_MAX = 256 * MIB;

export interface WrittenFilesDeps {
  readonly writer: ObjectWriter;
  readonly slots: WriteSlots;
  readonly spool: SpoolDirectory;
  readonly table: InodeTable;
  readonly prefetcher: Prefetcher;
  readonly clock: Clock;
  readonly log: Log;
  readonly faults: FaultLog;
  readonly propertiesOf: (node: FileNode) => ObjectProperties;
  /** The object is in the bucket since now; answers that moment. */
  readonly wrote: (head: ObjectHead) => number;
  /** The node is written from now on, or is a version of the bucket's again, another one. */
  readonly versionChanged: (node: FileNode, isWritten: boolean) => void;
  /** What was written is lost or set aside: the name means again what the bucket says. */
  readonly discarded: (node: FileNode) => void;
  /** The name means again what the bucket says; those who have the file open go on with what it is. */
  readonly unnamed: (node: FileNode) => void;
  /** What a successor of this process must know. */
  readonly records: FileRecords;
}

export class WrittenFiles implements UncommittedFiles {
  readonly #options: WritingOptions;
  readonly #deps: WrittenFilesDeps;
  readonly #entries = new Map<number, WrittenEntry>();
  readonly #entryOf = new Map<WrittenFile, WrittenEntry>();
  /** Those that have a name, by key. */
  readonly #byKey = new Map<string, WrittenEntry>();
  readonly #relief: MemoryRelief;
  readonly #records: FileRecords;
  readonly #holds: HoldHost;
  #rulesNow: { readonly slotsMax: number; readonly rules: PartRules } | undefined;
  #isHandedOver = false;
  #hasToldOfJournals = false;
  #interval: Timer | undefined;
  readonly #watch: WrittenFileWatch;

  constructor(options: WritingOptions, deps: WrittenFilesDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#records = deps.records;
    this.#holds = {
      isClosed: (entry) => this.#entryOf.get(entry.file) !== entry,
      leaveKey: (entry) => this.#leaveKey(entry),
      keepBase: (entry, signal) => this.#keepBase(entry, signal),
      renamed: (entry, key, base) => {
        this.#unname(entry);
        entry.file.moved(key, base && { key, etag: base.etag, sizeBytes: base.sizeBytes });
        this.#byKey.set(key, entry);
        this.#records.changed(entry);
      },
      orphaned: (entry) => {
        this.#unname(entry);
        // From now on its handles read what is kept here.
        entry.file.touch();
        this.#records.changed(entry);
        entry.keeping = this.#endUpload(entry.file, entry.keeping);
      },
    };
    this.#relief = new MemoryRelief({
      slots: deps.slots,
      log: deps.log,
      mayForget: (file, part) => {
        const entry = this.#entryOf.get(file);
        return entry !== undefined && this.#mayForget(entry, part);
      },
    });
    this.#watch = {
      becameDirty: (file) => this.#becameDirty(this.#entry(file)),
      changed: (file) => this.#changed(this.#entry(file)),
      partSent: (file, part) => this.#relief.partSent(file, part),
      committed: (file, head) => this.#committed(this.#entry(file), head),
      unreadable: (file, error) => deps.faults.report('read', file.key, error),
      failed: (file, error) => this.#failed(this.#entry(file), error),
      survivalChanged: (file) => this.#survivalChanged(file),
      slotsMax: () => this.#relief.fileSlotsMax(this.#rules().partBytes),
    };
  }

  /** Files that are open for writing or not committed. */
  get size(): number {
    return this.#entries.size;
  }

  /** Gauges for `stats`. */
  get counts(): WritingCounts {
    let [uploads, partsSending] = [0, 0];
    for (const { file } of this.#entries.values()) {
      if (file.upload.open) uploads++;
      partsSending += file.upload.sending;
    }
    const { memory, dirtyFiles } = this.#relief;
    return { files: this.#entries.size, dirtyFiles, uploads, partsSending, waiting: memory.waiting };
  }

  of(node: FileNode): WrittenEntry | undefined {
    return this.#entries.get(node.nodeId);
  }

  /** The content of the node, if it is another than the bucket's, or at hand here. */
  content(nodeId: number): WrittenFile | undefined {
    const file = this.#entries.get(nodeId)?.file;
    return file && (file.isDirty || file.holdsAll) ? file : undefined;
  }

  /** The file of a node that somebody opens for writing; one more writer. `close` must follow. */
  open(node: FileNode, access: { readonly isWriteOnly: boolean }): WrittenEntry {
    const entry = this.#entries.get(node.nodeId) ?? this.#begin(node);
    // Its bytes would not be put away any more.
    if (this.#isHandedOver) void entry.file.turns.take();
    entry.writers++;
    if (access.isWriteOnly) entry.writeOnly++;
    return entry;
  }

  /**
   * A writer goes. The last one commits what is left, whoever it is: a handle, a rename or a truncation without a handle;
   * what goes wrong is kept by the file (`failure`). Never rejects.
   */
  async close(entry: WrittenEntry, access: { readonly isWriteOnly: boolean }): Promise<void> {
    const { file } = entry;
    // Somebody may open, write and close it meanwhile: this is then still the last. Claims only wait for others.
    while (
      entry.writers - entry.claims === 1 &&
      file.isDirty &&
      !file.failure &&
      !entry.isOrphaned &&
      !entry.isAbandoned
    ) {
      await this.commit(entry).catch(() => undefined);
    }
    // No turn of the event loop lies between the look above and this.
    invariant(entry.writers > 0, 'a writer closes once');
    entry.writers--;
    if (access.isWriteOnly) entry.writeOnly--;
    if (entry.writers > 0) return;
    const { node } = entry;
    await entry.keeping;
    // Somebody may have opened it meanwhile.
    if (entry.writers > 0) return;
    // What has no name any more is nowhere but here: it stays for those who only read it (nodeClosed).
    if (entry.isOrphaned && node.opens > 0) return;
    await this.#end(entry);
  }

  /** A handle of the node was closed, and the table knows. */
  nodeClosed(node: FileNode): Promise<void> | undefined {
    const entry = this.#entries.get(node.nodeId);
    if (entry?.isOrphaned !== true || entry.writers > 0 || node.opens > 0) return undefined;
    return this.#end(entry);
  }

  async #end(entry: WrittenEntry): Promise<void> {
    const { file, node } = entry;
    if (this.#entryOf.get(file) !== entry) return;
    const isLost = file.isDirty && !entry.isOrphaned;
    this.#entries.delete(node.nodeId);
    this.#entryOf.delete(file);
    this.#unname(entry);
    this.#relief.closed(file);
    this.#records.gone(node.nodeId);
    if (this.#entries.size === 0) {
      this.#interval?.cancel();
      this.#interval = undefined;
    }
    if (isLost) {
      invariant(file.failure !== undefined, 'the last writer commits');
      this.#deps.discarded(node);
    }
    await file.close(isLost);
  }

  /**
   * Makes the object of what was written so far, in turn; nothing when that is done. Throws what went wrong, as it shall
   * reach the application.
   */
  async commit(entry: WrittenEntry): Promise<void> {
    const { file } = entry;
    try {
      await file.turns.run(() => this.#commitInTurn(entry));
    } catch (error) {
      // Not in the turn: what a killed writer leaves is kept in one of the next.
      await entry.keeping;
      throw file.failure ?? error;
    }
  }

  /**
   * Its writer was killed by a signal: what was written so far is torn. It is left for `recover`, and the closes that follow
   * publish nothing; of a file that is committed by the clock any moment is as good, and the last close commits it.
   */
  abandon(entry: WrittenEntry): void {
    const { file } = entry;
    if (!file.isDirty || entry.isOrphaned || entry.isAbandoned || file.failure) return;
    if (this.#options.commitIntervalMs !== null) return;
    entry.isAbandoned = true;
    const message = `the process that wrote '${file.key}' was killed before it had closed it`;
    file.failure = new ErrnoError(EIO, message);
    this.#records.changed(entry);
    entry.keeping = file.turns.run(async () => {
      const where = await file.leave('killed', message, this.#deps.clock.wallMs());
      this.#deps.log.warn(
        { key: file.key, spool: file.spool.path },
        `${message}; the object stays as it was; ${where}`,
      );
    });
  }

  /**
   * The mount ends. Files that are whole are committed, those that are still written wait for their writers until `timeoutMs` is
   * over, or not at all when `writersAreGone`: what then is not in the bucket is left for `recover`. A file is whole when
   * nothing was written since somebody closed a descriptor of it. Never rejects; what is left stands in the log.
   */
  async drain(timeoutMs: number, writersAreGone: boolean): Promise<void> {
    this.#interval?.cancel();
    const { clock, log } = this.#deps;
    await drainFiles(
      [...this.#entries.values()],
      { timeoutMs, writersAreGone, isClocked: this.#options.commitIntervalMs !== null },
      { clock, log, commit: (entry) => this.commit(entry) },
    );
  }

  /**
   * Another process goes on with all files, this one is killed next: what is in memory only goes to the spool, the uploads stay
   * open. What is not put away when `timeoutMs` are over is lost. From now on nothing is changed any more: whoever asks for
   * that waits, and is answered by the other process.
   */
  async handOver(timeoutMs: number): Promise<void> {
    const { clock, log } = this.#deps;
    this.#isHandedOver = true;
    this.#interval?.cancel();
    const files = [...this.#entries.values()].map(({ file }) => file);
    await handOverFiles(files, timeoutMs, { clock, log });
  }

  /** One more writer of a file that was inherited. */
  inherited(nodeId: number, access: { readonly isWriteOnly: boolean }): WrittenEntry | undefined {
    const entry = this.#entries.get(nodeId);
    return entry && this.open(entry.node, access);
  }

  /** A file that the process before this one had open. Its writers come by `inherited`. */
  inherit(node: FileNode, record: FileRecord, inherited: InheritedFile): WrittenEntry {
    const entry = this.#add(node, record.key, record.base ?? undefined, inherited);
    const { isExclusive, isOrphaned, replaces, covers } = record;
    Object.assign(entry, { isExclusive, isOrphaned, replaces, covers });
    if (isOrphaned) this.#unname(entry);
    if (entry.file.isDirty) this.#becameDirty(entry);
    this.#records.changed(entry);
    return entry;
  }

  /** A file that was inherited and that nobody has open: as if it had never been made. */
  drop(entry: WrittenEntry): void {
    this.#unname(entry);
    entry.isOrphaned = true;
    this.#deps.unnamed(entry.node);
    void this.#end(entry);
  }

  /**
   * Bytes of it died with the process before this one: its handles get this error for good, and its name means from now on what the
   * bucket has.
   */
  poison(entry: WrittenEntry, failure: ErrnoError): void {
    const { file, node } = entry;
    entry.isAbandoned = true;
    file.poison(failure);
    node.lost = failure;
    this.#relief.closed(file);
    this.#unname(entry);
    this.#records.changed(entry);
    this.#deps.versionChanged(node, true);
    this.#deps.unnamed(node);
  }

  /**
   * The process before this one was about to make the object. `look` finds it, or says that there is none; then the file goes on as
   * it is, or is poisoned, as `otherwise` says. Whoever asks for anything of the file waits. Resolves to whether it is the object.
   */
  settle(
    entry: WrittenEntry,
    look: () => Promise<ObjectHead | undefined>,
    otherwise: (error: unknown) => Promise<ErrnoError | undefined>,
  ): Promise<boolean> {
    const { file } = entry;
    const settled = file.turns.run(async () => {
      let error: unknown;
      const head = await look().catch((reason: unknown) => void (error = reason));
      const failure = head ? undefined : await otherwise(error);
      if (failure) this.poison(entry, failure);
      else file.settled(head ?? undefined);
      return head !== undefined;
    });
    file.settling = settled.then(() => undefined);
    return settled;
  }

  find(key: string): UncommittedFile | undefined {
    const entry = this.#byKey.get(key);
    return entry && this.#asUncommitted(entry);
  }

  *below(prefix: string): Iterable<UncommittedFile> {
    for (const [key, entry] of this.#byKey) if (key.startsWith(prefix)) yield this.#asUncommitted(entry);
  }

  /** `--commit-interval`: every dirty file is committed when so much time has passed since the first of them became so. */
  #startClock(): void {
    const { commitIntervalMs } = this.#options;
    if (commitIntervalMs === null || this.#interval) return;
    this.#interval = this.#deps.clock.after(commitIntervalMs, () => {
      this.#interval = undefined;
      const dirty = [...this.#entries.values()].filter(
        ({ file, isOrphaned }) => file.isDirty && !isOrphaned && !file.failure,
      );
      // What fails is told by the file's own write, fsync or close.
      void Promise.all(dirty.map((entry) => this.commit(entry).catch(() => undefined))).then(() => {
        if (this.#relief.dirtyFiles > 0) this.#startClock();
      });
    });
  }

  async claim(node: FileNode, signal: AbortSignal): Promise<UncommittedHold> {
    const access = { isWriteOnly: true };
    const entry = this.open(node, access);
    entry.claims++;
    this.#deps.table.opened(node);
    const close = (): void => {
      entry.claims--;
      void this.close(entry, access).finally(() => {
        this.#deps.table.closed(node);
        return this.nodeClosed(node);
      });
    };
    try {
      return await this.#hold(entry, signal, close);
    } catch (error) {
      close();
      throw error;
    }
  }

  #begin(node: FileNode): WrittenEntry {
    const { key, etag, sizeBytes } = node;
    // An object that has no ETag is there all the same.
    const base = this.#deps.table.isLocal(node) ? undefined : { key, etag, sizeBytes };
    const entry = this.#add(node, key, base, undefined);
    this.#records.changed(entry);
    return entry;
  }

  #add(node: FileNode, key: string, base: BaseVersion | undefined, inherited: InheritedFile | undefined): WrittenEntry {
    const { writer, prefetcher, table, propertiesOf } = this.#deps;
    const deps: WrittenFileDeps = {
      memory: this.#relief.memory,
      writer,
      rules: () => this.#rules(),
      properties: () => propertiesOf(node),
      openBase: (version) => new BaseReader(version, { prefetcher, privateId: () => table.privateId() }),
      newSpool: (written, was) => this.#newSpool(written, was),
      survives: this.#records.isKept,
      watch: this.#watch,
    };
    const file = new WrittenFile(key, base, deps, inherited);
    const entry = newEntry(node, file);
    this.#entries.set(node.nodeId, entry);
    this.#entryOf.set(file, entry);
    // A node that is not current any more (somebody replaced the object) has no name that could be found.
    if (node.current) this.#byKey.set(key, entry);
    return entry;
  }

  #newSpool(file: WrittenFile, was?: FoundSpool): SpoolFile {
    const { spool, clock, log } = this.#deps;
    const journal = {
      begin: () => beginLine(spool.owner, file.key, file.base?.version ?? null, clock.wallMs()),
      failed: (error: unknown) => {
        if (this.#hasToldOfJournals) return;
        this.#hasToldOfJournals = true;
        log.warn(
          { directory: spool.path, err: error },
          `the spool directory ${spool.path} cannot be written: uploads that a crash leaves behind are found in the bucket only; ` +
            'give another with --spool-dir',
        );
      },
    };
    const made = new SpoolFile(spool, was?.name ?? spool.nextName(), journal, was);
    if (was?.journal === true) made.journal.note({ type: 'taken', ...thisWriter() });
    return made;
  }

  #entry(file: WrittenFile): WrittenEntry {
    const entry = this.#entryOf.get(file);
    invariant(entry !== undefined, 'a file that is written has an entry');
    return entry;
  }

  /** Asked for several times by each WRITE, and other ones only when memory changes. */
  #rules(): PartRules {
    const { slotsMax } = this.#relief.memory;
    if (this.#rulesNow?.slotsMax !== slotsMax) {
      this.#rulesNow = { slotsMax, rules: partRules(this.#options, slotsMax, this.#deps.writer.capabilities) };
    }
    return this.#rulesNow.rules;
  }

  #becameDirty(entry: WrittenEntry): void {
    const { node, file } = entry;
    this.#deps.table.hold(node);
    this.#relief.wrote(file);
    this.#startClock();
    this.#deps.versionChanged(node, true);
  }

  #changed(entry: WrittenEntry): void {
    const { node, file } = entry;
    entry.isFlushed = false;
    node.sizeBytes = file.sizeBytes;
    node.mtimeMs = this.#deps.clock.wallMs();
    if (file.isDirty) this.#relief.wrote(file);
  }

  /** Another file may have the name by now. */
  #unname(entry: WrittenEntry): void {
    if (this.#byKey.get(entry.file.key) === entry) this.#byKey.delete(entry.file.key);
  }

  async #commitInTurn(entry: WrittenEntry): Promise<void> {
    const { file, node } = entry;
    if (entry.isOrphaned) return;
    // READs that began before the file was written ask for a version that is about to be replaced.
    await this.#deps.prefetcher.settled(node.nodeId);
    await file.commitInTurn(() => this.#condition(entry));
  }

  #committed(entry: WrittenEntry, head: ObjectHead): void {
    const { file, node } = entry;
    entry.isExclusive = false;
    entry.replaces = false;
    entry.covers = false;
    entry.changedBy.clear();
    this.#relief.committed(file);
    this.#deps.table.becomes(node, head, this.#deps.wrote(head));
    this.#records.changed(entry);
    this.#deps.versionChanged(node, false);
  }

  /** The state alone is the usual case: the first bytes after a commit. */
  #survivalChanged(file: WrittenFile): void {
    const entry = this.#entryOf.get(file);
    if (!entry) return;
    const { state, intent } = file.survival;
    if (state === LOOSE && intent === undefined) this.#records.stateChanged(entry);
    else this.#records.changed(entry);
  }

  #condition({ file, isExclusive, replaces }: WrittenEntry): WriteCondition {
    if (isExclusive) return { ifNoneMatch: true };
    if (this.#options.conflict === 'last-writer' || replaces) return {};
    return file.base ? { ifMatch: file.base.version.etag } : { ifNoneMatch: true };
  }

  /** Says which errno it is, and keeps the bytes. */
  #failed(entry: WrittenEntry, error: unknown): void {
    const { file } = entry;
    const { key } = file;
    const isRefused = error instanceof StoreError && (error.status === 412 || error.code === 'NoSuchKey');
    // Its own reads of bytes that it did not change say so, too.
    if (isRefused || file.failure?.errno === ESTALE) {
      const isEdit = this.#options.conflict === 'last-writer';
      const why = isEdit ? ', and unchanged bytes of it, which the new version needs, went with it' : '';
      const what = `'${key}' was replaced or deleted by somebody else since it was opened${why}`;
      file.failure =
        entry.isExclusive && isRefused
          ? new ErrnoError(EEXIST, `'${key}' exists: somebody else made it meanwhile`, { cause: error })
          : new ErrnoError(ESTALE, what, { cause: error });
    }
    this.#records.changed(entry);
    entry.keeping = this.#keepFailed(entry);
  }

  async #keepFailed({ file }: WrittenEntry): Promise<void> {
    const { log, clock } = this.#deps;
    const errno = errnoName(file.failure?.errno ?? EIO);
    const message = file.failure?.message ?? '';
    const remedy = file.failure instanceof StoreError ? file.failure.remedy : undefined;
    const where = await file.leave('failed', message, clock.wallMs());
    if (!file.hasLost && file.upload.open) await this.#abortUpload(file);
    log.error(
      { key: file.key, errno, spool: file.spool.path },
      `'${file.key}' could not be written (${errno}): ${message}; ${remedy ? `${remedy}; ` : ''}${where}`,
    );
  }

  /** It will never be an object: nothing more is sent, and its upload goes at once, for its handles may live for days. */
  async #endUpload(file: WrittenFile, before: Promise<void> | undefined): Promise<void> {
    file.upload.cancel();
    await before;
    await file.upload.pause();
    if (file.upload.open) await this.#abortUpload(file);
  }

  /** All bytes that anybody will ask for are here, so the upload is of no use. */
  async #abortUpload(file: WrittenFile): Promise<void> {
    const { uploadId = '' } = file.upload.open ?? {};
    try {
      await file.upload.restart();
      file.spool.journal.note({ type: 'aborted', uploadId });
    } catch (error) {
      this.#deps.log.warn(
        { key: file.key, uploadId, err: error },
        `the upload of '${file.key}' could not be aborted and stays in the bucket; mount-s3x recover drops it`,
      );
    }
  }

  #asUncommitted(entry: WrittenEntry): UncommittedFile {
    const { node, file } = entry;
    return {
      node,
      isUncommitted: file.isDirty,
      key: file.key,
      hold: (signal) => this.#hold(entry, signal),
    };
  }

  /** `released` is called when the hold ends. */
  async #hold(entry: WrittenEntry, signal: AbortSignal, released = (): void => undefined): Promise<UncommittedHold> {
    const end = await entry.file.turns.take(signal);
    return holdOf(entry, this.#holds, end, released);
  }

  /**
   * An upload belongs to a key and can only become an object there. So it begins anew under the next one, or, where memory has
   * not all of its bytes any more, what is written so far becomes the object of the old name, which then is moved like any other.
   */
  async #leaveKey(entry: WrittenEntry): Promise<void> {
    const { file } = entry;
    await file.upload.pause();
    if (file.failure || !file.upload.open) return;
    if (file.hasLost) await this.#commitInTurn(entry);
    else await this.#abortUpload(file);
  }

  /** The base version is about to go: what of it may still be read goes to the spool. */
  async #keepBase({ file }: WrittenEntry, signal: AbortSignal): Promise<void> {
    try {
      await file.keepBase(KEPT_BASE_BYTES_MAX, signal);
    } catch (error) {
      this.#deps.log.warn(
        { key: file.key, err: error },
        `'${file.key}' goes while it is open: not all of it can be read any more`,
      );
    }
  }

  /** Nobody can read it, and a writer that goes on in order does not change it. The first part often gets a header at the end. */
  #mayForget({ node, file, writeOnly }: WrittenEntry, part: StreamedPart): boolean {
    return part.partNumber > 1 && !part.isDirty && !file.upload.wasRewritten && node.opens === writeOnly;
  }
}
