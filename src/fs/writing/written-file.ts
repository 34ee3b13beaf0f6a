/**
 * The content of a file that is being written, shared by all its handles: which bytes are where (Extents), WRITEs and READs of
 * them, and the commit that makes an object of them.
 *
 * Whoever changes the file as a whole takes a turn (Turns); a WRITE for which there is memory happens at once. New bytes
 * overwrite those that are in memory already in place, except while a request or the spool is reading them: then they go
 * elsewhere, so nothing ever waits for a request but memory itself and commits.
 * After a failure the file repeats it: to every later write, fsync and close, until its last handle is closed.
 *
 * Thread: main. Owns: its chunks, its spool file, its upload. Bound: `slotsMax` slots while parts of it are on their way (fairness
 * between writers); all memory by WriteMemory. Refuses to know handles, names and who may publish: write-operations.ts.
 */
import { EFBIG, EINTR, EIO, ErrnoError } from '../../base/errno.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import { formatBytes, GIB, KIB, MIB } from '../../base/units.js';
import type { ObjectHead } from '../../engine/api.js';
import type { WriteCondition } from '../../engine/write-api.js';
import type { MaybePromise, WriteLoan } from '../../fuse/handlers.js';
import type { ReadSink } from '../../prefetch/api.js';
import type { BaseReader, BaseVersion } from './base-reader.js';
import { lostError, readContent, type ContentSource } from './body.js';
import type { Chunk } from './chunk.js';
import { Extents, type Extent } from './extents.js';
import { asErrnoError, bytesOf, isChangeable, runsOf } from './file-bytes.js';
import { KNOWN } from './file-records.js';
import { FileSurvival, rangesOf } from './file-survival.js';
import { FileUpload } from './file-upload.js';
import type { LeftBecause } from './journal.js';
import { KeptProperties } from './kept-properties.js';
import { OBJECT_BYTES_MAX, streamBytesMax } from './part-plan.js';
import type { SpoolFile } from './spool.js';
import { Turns, unlessAborted } from './turns.js';
import type { ChunkOwner } from './write-memory.js';
import type { InheritedFile, WrittenFileDeps } from './written-file-api.js';

/** A WRITE of so much keeps the slot that it came in; a smaller one would leave most of it empty and is copied. */
const ADOPT_BYTES_MIN = 512 * KIB;

/** A file begins on the heap when its first write is smaller. */
const HEAP_WRITE_BYTES_MAX = 32 * KIB;

/** 10,000 parts of S3's least size hold more. */
const SURELY_FITS_BYTES = 32 * GIB;

/** Bytes that one step of `spill` takes to the spool. */
const SPILL_BYTES = 16 * MIB;

export class WrittenFile implements ContentSource, ChunkOwner {
  key: string;
  readonly extents: Extents<Chunk>;
  readonly owner: ChunkOwner = this;
  spool: SpoolFile;
  base: BaseReader | undefined;
  slots = 0;
  readonly turns = new Turns();
  readonly upload: FileUpload;
  /** The bucket does not hold this content. */
  isDirty = false;
  /** The bucket holds it, and memory all of it too. */
  holdsAll = false;
  /** Bytes were written, or the size was set, since the last commit. */
  isWritten = false;
  /** What every later change, fsync and close answers. */
  failure: ErrnoError | undefined;
  /** The failure is that its bytes are gone: READs answer it, too. */
  isPoisoned = false;
  /** Goes up when what the bytes were read from is replaced: a read that failed meanwhile is to be tried again. */
  generation = 0;
  /** What becomes of it when this process dies now. */
  readonly survival: FileSurvival;
  /** The process before this one was about to make the object: settles when it is known whether it did. READs wait for it. */
  settling: Promise<void> | undefined;
  /** Another process goes on with the file: its bytes stay where they are. */
  #isHandedOver = false;
  readonly #properties: KeptProperties;
  readonly #deps: WrittenFileDeps;
  /** The chunk that takes the next bytes. */
  #tail: Chunk | undefined;
  #spilling: Promise<number> | undefined;
  /** Spool files of earlier commits that are on their way out. */
  #removing: Promise<unknown> | undefined;

  /** `base`: the object that the file was opened as; undefined for a new one. */
  constructor(key: string, base: BaseVersion | undefined, deps: WrittenFileDeps, inherited?: InheritedFile) {
    this.key = key;
    this.base = base && deps.openBase(base);
    this.spool = deps.newSpool(this, inherited?.spool);
    this.#deps = deps;
    this.extents = new Extents<Chunk>(inherited?.kept ? 0 : (base?.sizeBytes ?? 0), 'base');
    const { memory, writer, rules, properties, watch } = deps;
    this.#properties = new KeptProperties(writer, properties);
    this.survival = new FileSurvival(deps.survives, () => watch.survivalChanged(this));
    this.upload = new FileUpload(this, {
      writer,
      memory,
      rules,
      properties: (signal) => this.#properties.now(this.base?.version.key, signal),
      watch: {
        begun: (begun) => this.spool.journal.note({ type: 'upload', ...begun }),
        sent: ({ from, to }, uploaded, streamed) => {
          this.spool.journal.note({ type: 'part', from, to, part: uploaded });
          if (streamed) watch.partSent(this, streamed);
        },
        dirtied: ({ from, to }) => this.spool.journal.note({ type: 'dirty', from, to }),
        failed: (error) => this.#fail(error),
        restarted: () => this.survival.loosen(this),
        ...(deps.survives && {
          putting: (sizeBytes, crc32) => this.survival.intends({ type: 'put', sizeBytes, crc32 }),
          completing: async (upload, parts, condition) => {
            this.spool.journal.note({ type: 'complete', upload, parts, condition });
            if (await this.spool.journal.settled(false)) this.survival.intends({ type: 'complete' });
          },
        }),
      },
    });
    if (inherited) this.#inherit(inherited);
  }

  get sizeBytes(): number {
    return this.extents.sizeBytes;
  }

  /**
   * Takes the bytes, now or as soon as there is room; says how many. `data` and `loan` are borrowed until then. The signal is
   * asked for only when there is something to wait for: making one costs as much as all the rest (measured).
   */
  write(
    offset: number,
    data: Uint8Array,
    loan?: WriteLoan,
    asker?: { readonly signal: AbortSignal },
  ): MaybePromise<number> {
    this.#mayChange(offset + data.length);
    let done = 0;
    if (this.turns.isFree && !this.#mustPause()) {
      this.#touch();
      done = this.#put(offset, data, loan);
      if (done === data.length) return done;
    }
    const signal = asker?.signal;
    return this.turns.run(() => this.#writeSlowly(offset, data, { done, loan }, signal), signal);
  }

  /** Cuts the file or lengthens it by zeros. */
  resize(sizeBytes: number, signal?: AbortSignal): MaybePromise<void> {
    this.#mayChange(sizeBytes);
    if (this.turns.isFree) return this.#resize(sizeBytes);
    return this.turns.run(() => this.#resize(sizeBytes), signal);
  }

  /** Bytes [from, to) are zeros; past the end only with `grows`. */
  zero(from: number, to: number, grows: boolean, signal?: AbortSignal): MaybePromise<void> {
    this.#mayChange(to);
    const work = (): void => {
      const end = grows ? to : Math.min(to, this.sizeBytes);
      if (end > this.sizeBytes) this.#resize(end);
      if (from >= end) return;
      this.#touch();
      this.extents.set(from, end, 'hole');
      this.survival.reshaped(this);
      this.#wrote(from, end);
    };
    return this.turns.isFree ? work() : this.turns.run(work, signal);
  }

  /** Answers a READ: all bytes asked for up to the file's end, or an errno; see `generation`. Always from this thread. */
  read(offset: number, sizeBytes: number, reply: ReadSink): void {
    if (this.settling) {
      const { settling } = this;
      // What it is then is for the asker to find out: the generation is another one.
      void settling.then(() => reply.error(EIO));
      return;
    }
    if (this.isPoisoned && this.failure) throw this.failure;
    const end = Math.min(offset + sizeBytes, this.sizeBytes);
    if (offset >= end) {
      reply.data([]);
      return;
    }
    const slice = this.extents.slice(offset, end);
    const [only] = slice;
    if (slice.length === 1 && only?.kind === 'base' && this.base) {
      this.base.answer(offset, end - offset, reply);
      return;
    }
    if (slice.every(({ kind }) => kind === 'memory' || kind === 'hole')) {
      reply.data(slice.map(bytesOf));
      return;
    }
    const lost = slice.find(({ kind }) => kind === 'lost');
    if (lost) throw lostError(this.key, lost.from, lost.to);
    const into = Buffer.allocUnsafe(end - offset);
    const { generation } = this;
    readContent(this, offset, into).then(
      () => reply.data([into]),
      (error: unknown) => {
        const failure = asErrnoError(error);
        if (this.generation === generation) this.#deps.watch.unreadable(this, failure);
        reply.error(failure.errno);
      },
    );
  }

  /** Takes the file as one that differs from what the bucket has (it was created, or truncated when it was opened). */
  touch(): void {
    this.#touch();
    this.survival.reshaped(this);
  }

  /**
   * The process that had its bytes is dead: everything asked of the file from now on fails, reads too. Nothing that there is of
   * it in store and spool is touched.
   */
  poison(failure: ErrnoError): void {
    this.failure = failure;
    this.isPoisoned = true;
    this.isDirty = true;
    this.survival.failed();
    this.settling = undefined;
    this.generation++;
    void this.upload.pause();
  }

  /** What was to be made of it by the process before this one is this object, or was not made. In its turn. */
  settled(head: ObjectHead | undefined): void {
    this.settling = undefined;
    this.generation++;
    if (head) this.#isObject(head);
    else this.survival.notMade();
  }

  /**
   * Makes the object of what was written so far, in the caller's turn; nothing when it is there already. A failure is kept and
   * thrown. `condition` is asked when everything is there but the object.
   */
  async commitInTurn(condition: () => WriteCondition): Promise<void> {
    if (this.failure) throw this.failure;
    if (!this.isDirty) return;
    await this.upload.pause();
    // A part of the stream may have failed meanwhile.
    this.#throwFailure();
    try {
      const head = await this.upload.commit(condition());
      this.#isObject(head);
    } catch (error) {
      this.#fail(error);
      throw error;
    } finally {
      if (!this.failure) this.upload.resume();
    }
  }

  /** The object was moved in the bucket, or there is none at the new key (`base` undefined). In a hold's turn; nothing is sent. */
  moved(key: string, base: BaseVersion | undefined): void {
    this.key = key;
    this.generation++;
    this.base?.close();
    this.base = base && this.#deps.openBase(base);
  }

  /** Takes bytes of the base, up to so many, into the spool: its version is about to go. In a hold's turn. */
  async keepBase(bytesMax: number, signal: AbortSignal): Promise<void> {
    const { base, extents } = this;
    if (!base) return;
    let left = bytesMax;
    const into = Buffer.allocUnsafe(BLOCK_BYTES);
    for (const { kind, from, to } of [...extents.all()]) {
      if (kind !== 'base') continue;
      for (let at = from; at < to && left > 0; at += BLOCK_BYTES) {
        const place = into.subarray(0, Math.min(BLOCK_BYTES, to - at));
        await base.read(at, place);
        await this.spool.write(at, [place]);
        if (this.isDirty) this.survival.loosen(this);
        extents.set(at, at + place.length, 'spool');
        left -= place.length;
        if (signal.aborted) return;
      }
    }
  }

  /** What memory holds of a file that is in the bucket is not needed any more. */
  forgetAll(): void {
    this.holdsAll = false;
    this.extents.set(0, this.sizeBytes, 'base');
    this.#tail = undefined;
  }

  /** Bytes of a part that was sent need not be kept: nobody reads them. */
  forget(from: number, to: number): void {
    if (this.#isHandedOver) return;
    this.survival.loosen(this);
    for (const { kind, from: start, to: end } of this.extents.slice(from, to)) {
      if (kind === 'spool') void this.spool.discard(start, end);
      if (kind === 'memory' || kind === 'spool') this.extents.set(start, end, 'lost');
    }
  }

  /** Were bytes sent and not kept? They are in the store's upload only. */
  get hasLost(): boolean {
    return this.extents.all().some(({ kind }) => kind === 'lost');
  }

  /**
   * Moves bytes from memory to the spool, some or all; says how many. Bytes that are changed meanwhile stay. Throws the
   * spool's error.
   */
  spill(what: 'some' | 'all'): Promise<number> {
    this.#spilling ??= this.#spill(what).finally(() => (this.#spilling = undefined));
    return this.#spilling;
  }

  /**
   * Another process goes on with the file: all that memory holds goes to the spool, and what there is is written down. In its
   * turn, which is never given back: nothing is changed any more. False when that could not be done; never throws.
   */
  async handOver(): Promise<boolean> {
    this.#isHandedOver = true;
    if (!this.isDirty || this.failure || this.survival.state === KNOWN) return true;
    try {
      await this.upload.pause();
      await this.#spilling?.catch(() => undefined);
      while ((await this.spill('all')) > 0);
      return !this.#isInMemory && (await this.survival.keepInJournal(this));
    } catch {
      return false;
    }
  }

  /**
   * Leaves the file as it is, for `recover`: what memory holds goes to the spool, and the journal says what there is. Nothing is
   * sent any more. Never throws; says in a sentence what is where.
   */
  async leave(because: LeftBecause, message: string, atMs: number): Promise<string> {
    await this.upload.pause();
    let trouble = '';
    try {
      await this.#spilling?.catch(() => undefined);
      while ((await this.spill('all')) > 0);
      await this.spool.sync();
    } catch (error) {
      trouble = asErrnoError(error).message;
    }
    const { spool, upload } = this;
    const ranges = rangesOf(this.extents.all());
    const dirtyParts = upload.parts
      .filter(({ isDirty, uploaded }) => isDirty || !uploaded)
      .map((part) => part.partNumber);
    const { key, sizeBytes } = this;
    spool.journal.note({ type: 'left', because, message, key, sizeBytes, ranges, dirtyParts, atMs });
    const isNoted = await spool.journal.settled(true);
    if (trouble !== '') return `not all of it could be kept: ${trouble}`;
    if (!isNoted) return `it is in ${spool.path}, but ${spool.journal.path} could not be written`;
    const writtenBytes = this.extents
      .all()
      .reduce((sum, { kind, from, to }) => sum + (kind === 'base' ? 0 : to - from), 0);
    const part = writtenBytes < sizeBytes ? `${formatBytes(writtenBytes)} of ` : '';
    return `what was written (${part}${formatBytes(sizeBytes)}) is kept in ${spool.path}; mount-s3x recover lists, completes or drops it`;
  }

  /** Nobody needs the content any more: memory goes back, the spool file is removed unless it is kept. */
  async close(keepSpool: boolean): Promise<void> {
    this.upload.cancel();
    await this.upload.pause();
    await this.#spilling?.catch(() => undefined);
    this.generation++;
    this.extents.resize(0);
    this.#tail = undefined;
    this.base?.close();
    this.base = undefined;
    if (keepSpool) await this.spool.close();
    else await this.spool.remove();
    await this.#removing;
  }

  async #writeSlowly(
    offset: number,
    data: Uint8Array,
    begun: { readonly done: number; readonly loan: WriteLoan | undefined },
    signal?: AbortSignal,
  ): Promise<number> {
    let { done } = begun;
    // What is left of a WRITE that was taken in part does not begin where its slot does.
    let loan = done === 0 ? begun.loan : undefined;
    try {
      for (;;) {
        this.#throwFailure();
        while (this.#mustPause()) await unlessAborted(this.upload.progress(), signal);
        this.#throwFailure();
        this.#touch();
        done += this.#put(offset + done, data.subarray(done), loan);
        if (done === data.length) return done;
        if (done > 0) loan = undefined;
        const chunk = await this.#deps.memory.wait(this, signal);
        // Held until something is in it: what it was for may be overwritten in place by now.
        chunk.beginRead();
        this.#tail = chunk;
        done += this.#put(offset + done, data.subarray(done));
        chunk.endRead();
        if (done === data.length) return done;
      }
    } catch (error) {
      // As write(2) does: what was taken was taken.
      if (done > 0 && error instanceof ErrnoError && error.errno === EINTR) return done;
      throw error;
    }
  }

  /** Nothing more is taken, and nothing more is sent. */
  #fail(error: unknown): void {
    if (this.failure) return;
    this.failure = asErrnoError(error);
    this.survival.failed();
    void this.upload.pause();
    this.#deps.watch.failed(this, error);
  }

  #mustPause(): boolean {
    return this.upload.sending > 0 && this.slots >= this.#deps.watch.slotsMax();
  }

  /** Puts bytes where they belong, as many as there is memory for; says how many. */
  #put(offset: number, data: Uint8Array, loan?: WriteLoan): number {
    const done = this.#place(offset, data, loan);
    if (done === 0) return 0;
    // Before they are acknowledged; once between two commits.
    this.survival.loosen(this);
    // Told at once: what is in the file may be sent before the rest of this WRITE is in it.
    this.#wrote(offset, offset + done);
    return done;
  }

  get #isInMemory(): boolean {
    return this.extents.all().some(({ memory }) => memory !== undefined);
  }

  #inherit(inherited: InheritedFile): void {
    const { kept, isWritten } = inherited;
    this.survival.inherited(inherited);
    if (!kept) return;
    for (const { from, to, kind } of kept.ranges) this.extents.set(from, to, kind === 'missing' ? 'lost' : kind);
    this.isDirty = true;
    this.isWritten = isWritten;
    // Whether it was cut is not written down; this is the same but for a file of which every byte was overwritten.
    if (kept.ranges.every(({ kind }) => kind !== 'base')) this.#properties.cut();
    this.upload.inherit(kept.upload, kept.parts);
  }

  #place(offset: number, data: Uint8Array, loan?: WriteLoan): number {
    const { extents } = this;
    const end = offset + data.length;
    if (loan && data.length >= ADOPT_BYTES_MIN && !extents.slice(offset, end).some(isChangeable)) {
      const chunk = this.#deps.memory.adopt(loan.adopt(), this);
      chunk.fill(data.length);
      if (offset > this.sizeBytes) extents.resize(offset);
      extents.setMemory(offset, end, chunk, 0);
      this.#tail = chunk;
      return data.length;
    }
    let at = offset;
    while (at < end) {
      const extent = extents.at(at);
      const stop = extent ? Math.min(extent.to, end) : end;
      if (extent?.memory && isChangeable(extent)) {
        extent.memory.overwrite(extent.at + at - extent.from, data.subarray(at - offset, stop - offset));
        at = stop;
        continue;
      }
      const chunk = this.#room(stop - at);
      if (!chunk) break;
      if (at > this.sizeBytes) extents.resize(at);
      const placedAt = chunk.usedBytes;
      const bytes = chunk.append(data.subarray(at - offset, stop - offset));
      extents.setMemory(at, at + bytes, chunk, placedAt);
      at += bytes;
    }
    return at - offset;
  }

  /** A chunk with room for some of so many bytes. */
  #room(bytes: number): Chunk | undefined {
    const tail = this.#tail;
    if (tail && !tail.isGone && tail.usedBytes < tail.capacityBytes) return tail;
    const { memory } = this.#deps;
    const isSmall = !tail && bytes <= HEAP_WRITE_BYTES_MAX;
    this.#tail = (isSmall ? memory.heap(this) : undefined) ?? memory.take(this);
    return this.#tail;
  }

  #resize(sizeBytes: number): void {
    const before = this.sizeBytes;
    this.#touch();
    this.extents.resize(sizeBytes);
    if (sizeBytes === 0) this.#properties.cut();
    this.survival.reshaped(this);
    this.#wrote(Math.min(before, sizeBytes), Math.max(before, sizeBytes));
  }

  #mayChange(endOffset: number): void {
    this.#throwFailure();
    if (endOffset <= SURELY_FITS_BYTES) return;
    // Bytes of a base can be copied in parts of 5 GiB; of a stream nobody knows how long it gets when its first parts are sent.
    const bytesMax = this.base ? OBJECT_BYTES_MAX : streamBytesMax(this.#deps.rules());
    if (endOffset > bytesMax)
      throw new ErrnoError(
        EFBIG,
        `'${this.key}' would have more than ${formatBytes(bytesMax)}, the most that fits into 10,000 parts here; a larger --write-part-size allows more`,
      );
  }

  #throwFailure(): void {
    if (this.failure) throw this.failure;
  }

  #touch(): void {
    if (this.isDirty) return;
    this.isDirty = true;
    this.holdsAll = false;
    this.#deps.watch.becameDirty(this);
  }

  /** Bytes [from, to) have changed. */
  #wrote(from: number, to: number): void {
    this.isWritten = true;
    this.upload.changed(from, to);
    this.#deps.watch.changed(this);
    this.upload.pump();
  }

  /** All bytes are those of this object now. */
  #isObject(head: ObjectHead): void {
    const sizeBytes = this.extents.sizeBytes;
    this.upload.done();
    // A small file that stays open is most often changed again (logs, databases): its bytes need not be fetched for that.
    const isSmall = sizeBytes <= this.#deps.rules().partBytes;
    this.holdsAll = isSmall && this.extents.all().every(({ kind }) => kind === 'memory' || kind === 'hole');
    if (!this.holdsAll) this.forgetAll();
    this.base?.close();
    this.base = this.#deps.openBase({ key: head.key, etag: head.etag, sizeBytes });
    const { spool } = this;
    this.spool = this.#deps.newSpool(this);
    this.#removing = Promise.all([this.#removing, spool.remove()]);
    this.isDirty = false;
    this.isWritten = false;
    this.survival.committed();
    this.generation++;
    this.#deps.watch.committed(this, head);
  }

  async #spill(what: 'some' | 'all'): Promise<number> {
    const picked: Extent<Chunk>[] = [];
    let bytes = 0;
    for (const extent of this.extents.all()) {
      if (!extent.memory || (what === 'some' && (extent.memory.isRead || extent.memory.slot === undefined))) continue;
      // A request sends what was there before.
      if (this.spool.isSent(extent.from, extent.to)) continue;
      picked.push(extent);
      bytes += extent.to - extent.from;
      if (bytes >= SPILL_BYTES) break;
    }
    if (picked.length === 0) return 0;
    for (const { memory } of picked) memory?.beginRead();
    const { spool } = this;
    const release = spool.hold();
    try {
      for (const { from, to, buffers } of runsOf(picked)) {
        await spool.write(from, buffers);
        spool.journal.note({ type: 'spool', from, to });
      }
      // Committed meanwhile: the bytes are in the spool of a version that is gone, and the file's are in memory or the bucket.
      if (this.spool !== spool) return bytes;
      for (const { memory, from, to, at } of picked) {
        for (const now of this.extents.slice(from, to)) {
          if (now.memory !== memory || now.at - now.from !== at - from) continue;
          this.extents.set(now.from, now.to, 'spool');
        }
      }
    } finally {
      release();
      for (const { memory } of picked) memory?.endRead();
    }
    if (this.survival.isKept && what === 'some' && !this.#isInMemory) void this.survival.keepInJournal(this);
    return bytes;
  }
}
