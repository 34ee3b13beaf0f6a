/**
 * How one written file reaches the bucket: parts that are sent while it is still being written (a stream), and the commit that
 * sends or copies the rest and makes the object.
 *
 * A part goes out as soon as all of its bytes were written here and there are bytes after it, so a file of one part is one
 * PUT. What is written into a part after it was put together makes it dirty: it is sent again at the commit. After a few
 * such rewrites the file counts as one that is written in no order, and no more is sent before the commit.
 *
 * Thread: main. Bounds: SENDS_MAX and COPIES_MAX requests of one file at a time; their memory is WriteMemory's.
 * Refuses to choose conditions and to say what happens after a failure: that is the file's (written-file.ts).
 */
import { setMaxListeners } from 'node:events';
import { crc32 } from '@node-rs/crc32';
import { EFBIG, ErrnoError } from '../../base/errno.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import { formatBytes } from '../../base/units.js';
import type { ObjectHead } from '../../engine/api.js';
import type { ObjectProperties, ObjectWriter, Upload, UploadedPart, WriteCondition } from '../../engine/write-api.js';
import type { MaybePromise } from '../../fuse/handlers.js';
import { inParallel } from '../parallel.js';
import { makeBody, slotsOf, type Body, type ContentSource } from './body.js';
import type { JournalPart } from './journal.js';
import { planParts, streamPartBytes, type PartRules, type PlannedPart } from './part-plan.js';
import type { WriteMemory } from './write-memory.js';

/**
 * Parts of one file on their way at a time: as many as most of the memory for writing holds, within these bounds. How many of them
 * have a connection is the scheduler's to find; where a connection carries little (20-90 MB/s), so many make the link's worth.
 */
const SENDS_LEAST = 8;
const SENDS_MAX = 64;
const SENDS_MEMORY_SHARE = 0.75;
/** Copies inside the store cost us nothing but their requests. */
const COPIES_MAX = 16;
/** Sent parts that were changed afterwards, before the file counts as one that is written in no order. */
const REWRITES_MAX = 4;

/** Why requests end that nobody waits for any more; DOMException, which an abort makes for itself, takes a stack each time. */
const CANCELLED = Object.assign(new Error('the file is closed'), { name: 'AbortError' });

/** A part that was sent before the commit, or is being sent. */
export interface StreamedPart {
  readonly partNumber: number;
  readonly from: number;
  readonly to: number;
  /** Bytes in it have changed since they were taken for sending. */
  isDirty: boolean;
  /** Slots that come back when the store has it; 0 until its bytes are put together. */
  slotsOut: number;
  /** Undefined until the store has it. */
  uploaded: UploadedPart | undefined;
}

/** What is told of an upload as it goes on. */
export interface UploadWatch {
  /** An upload was begun. */
  readonly begun: (upload: Upload) => void;
  /** The store has the part; one of the stream, or, without `streamed`, one of a commit. */
  readonly sent: (part: Pick<StreamedPart, 'from' | 'to'>, uploaded: UploadedPart, streamed?: StreamedPart) => void;
  /** What the store has of the part is old from now on. */
  readonly dirtied: (part: StreamedPart) => void;
  /** A part of the stream could not be sent. */
  readonly failed: (error: unknown) => void;
  /** What was sent counts no more. */
  readonly restarted: () => void;
  /** One PUT of these bytes makes the object: it is sent when this returns. Absent: nobody wants to know. */
  readonly putting?: (sizeBytes: number, crc32: number) => void;
  /** The parts are there, and are the object when the store was asked for it: that is when this settles. */
  readonly completing?: (upload: Upload, parts: readonly UploadedPart[], condition: WriteCondition) => Promise<void>;
}

export interface FileUploadDeps {
  readonly writer: ObjectWriter;
  readonly memory: WriteMemory;
  readonly rules: () => PartRules;
  readonly properties: (signal: AbortSignal) => MaybePromise<ObjectProperties>;
  readonly watch: UploadWatch;
}

export class FileUpload {
  readonly #source: ContentSource;
  readonly #deps: FileUploadDeps;
  readonly #parts: StreamedPart[] = [];
  /** Made when the first request begins: most files are written with one. */
  #abort: AbortController | undefined;
  #isCancelled = false;
  /** Commits under way. */
  #commits = 0;
  #upload: Promise<Upload> | undefined;
  #begun: Upload | undefined;
  #sending = 0;
  #rewrites = 0;
  #isPaused = false;
  #progress: (() => void)[] = [];

  constructor(source: ContentSource, deps: FileUploadDeps) {
    this.#source = source;
    this.#deps = deps;
  }

  /** An upload that the process before this one had open. */
  inherit(upload: Upload | undefined, parts: readonly JournalPart[]): void {
    this.#begun = upload;
    this.#upload = upload && Promise.resolve(upload);
    if (upload) for (const { uploaded, ...part } of parts) this.#parts.push({ ...part, uploaded, slotsOut: 0 });
  }

  /** Parts that were sent or are being sent, from the beginning of the file on, without gaps. */
  get parts(): readonly StreamedPart[] {
    return this.#parts;
  }

  /** The upload that is open in the store, if there is one. */
  get open(): Upload | undefined {
    return this.#begun;
  }

  /** Parts on their way. */
  get sending(): number {
    return this.#sending;
  }

  /** Something was written over parts that had been sent. */
  get wasRewritten(): boolean {
    return this.#rewrites > 0;
  }

  /** Resolves when a part's fate is known, or nothing is on its way. */
  progress(): Promise<void> {
    if (this.#sending === 0) return Promise.resolve();
    return new Promise((resolve) => this.#progress.push(resolve));
  }

  /** Bytes [from, to) were changed. */
  changed(from: number, to: number): void {
    // Most writes come after all parts.
    const last = this.#parts[this.#parts.length - 1];
    if (!last || from >= last.to) return;
    for (const part of this.#parts) {
      if (part.to <= from || part.from >= to || part.isDirty) continue;
      part.isDirty = true;
      this.#rewrites++;
      if (part.uploaded) this.#deps.watch.dirtied(part);
    }
  }

  /** Sends what is full. */
  pump(): void {
    if (this.#isPaused || this.#rewrites > REWRITES_MAX || this.#isCancelled) return;
    const { extents } = this.#source;
    const rules = this.#rules();
    const sendsMax = this.#sendsMax(rules);
    while (this.#sending < sendsMax && this.#parts.length < rules.partsMax) {
      const from = this.#parts[this.#parts.length - 1]?.to ?? 0;
      const partNumber = this.#parts.length + 1;
      const to = from + streamPartBytes(partNumber, rules);
      if (extents.sizeBytes <= to || extents.writtenUpTo(from) < to) return;
      const part: StreamedPart = { partNumber, from, to, isDirty: false, slotsOut: 0, uploaded: undefined };
      this.#parts.push(part);
      this.#sending++;
      void this.#stream(part);
    }
  }

  #sendsMax({ partBytes }: PartRules): number {
    const parts = Math.floor((this.#deps.memory.slotsMax * BLOCK_BYTES * SENDS_MEMORY_SHARE) / partBytes);
    return Math.min(Math.max(parts, SENDS_LEAST), SENDS_MAX);
  }

  /** Nothing more is sent until `resume`; resolves when nothing is on its way. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    while (this.#sending > 0) await this.progress();
  }

  resume(): void {
    this.#isPaused = false;
    this.pump();
  }

  /** Makes the object of all of the file; paused before. Throws what the store said. */
  async commit(condition: WriteCondition): Promise<ObjectHead> {
    this.#commits++;
    try {
      return await this.#commit(condition);
    } finally {
      this.#commits--;
    }
  }

  async #commit(condition: WriteCondition): Promise<ObjectHead> {
    const { extents, key } = this.#source;
    const { writer, watch } = this.#deps;
    const rules = this.#rules();
    const { sizeBytes } = extents;
    const isKept = this.#parts.some(({ isDirty, to }) => !isDirty && to <= sizeBytes);
    if (sizeBytes <= rules.partBytes && !isKept) {
      await this.#abortOpen();
      const asked = this.#properties();
      const body = await this.#body({ from: 0, to: sizeBytes });
      try {
        const properties = asked instanceof Promise ? await asked : asked;
        const crc32 = watch.putting && this.#crc32Of(body);
        if (crc32 !== undefined) watch.putting?.(sizeBytes, crc32);
        return await writer.put(key, body.pieces, properties, condition, this.#signal);
      } finally {
        body.release();
      }
    }
    const ranges = extents.all().map(({ from, to, kind }) => ({ from, to, isBase: kind === 'base' }));
    const plan = planParts(sizeBytes, ranges, this.#parts, rules);
    if (!plan) {
      throw new ErrnoError(
        EFBIG,
        `'${key}' has ${formatBytes(sizeBytes)}: more than ${rules.partsMax} parts; a larger --write-part-size or --memory-target helps`,
      );
    }
    const upload = await this.#begin();
    const uploaded = new Map<number, UploadedPart>();
    for (const part of this.#parts) if (part.uploaded) uploaded.set(part.partNumber, part.uploaded);
    const work = plan.filter(({ how }) => how !== 'keep');
    const send = (part: PlannedPart): Promise<void> => this.#send(upload, part, uploaded);
    await Promise.all([
      inParallel(
        work.filter(({ how }) => how === 'copy'),
        COPIES_MAX,
        send,
      ),
      inParallel(
        work.filter(({ how }) => how === 'send'),
        this.#sendsMax(rules),
        send,
      ),
    ]);
    const parts = plan.flatMap(({ partNumber }) => uploaded.get(partNumber) ?? []);
    await watch.completing?.(upload, parts, condition);
    return writer.completeUpload(upload, parts, condition, this.#signal);
  }

  /** Of bodies that are in memory: 11 GB/s (measured), so a few microseconds of a small file. */
  #crc32Of({ pieces }: Body): number | undefined {
    let sum = 0;
    for (const piece of pieces) {
      const bytes = this.#deps.memory.view(piece);
      if (!bytes) return undefined;
      sum = crc32(bytes, sum);
    }
    return sum;
  }

  /** The object was made: the next one starts afresh. */
  done(): void {
    this.#parts.length = 0;
    this.#upload = undefined;
    this.#begun = undefined;
    this.#rewrites = 0;
  }

  /** Forgets what was sent and aborts the upload, if there is one. Paused before. Throws what the store said. */
  async restart(): Promise<void> {
    this.#deps.watch.restarted();
    await this.#abortOpen();
    this.done();
  }

  /** Ends all requests of this file now. */
  cancel(): void {
    this.#isCancelled = true;
    // An abort that nobody hears still costs 40 microseconds, 4 % of what a small file costs this thread (measured).
    if (this.#sending + this.#commits > 0) this.#abort?.abort(CANCELLED);
  }

  get #signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      // One listener for each request under way.
      setMaxListeners(0, this.#abort.signal);
    }
    if (this.#isCancelled) this.#abort.abort(CANCELLED);
    return this.#abort.signal;
  }

  async #abortOpen(): Promise<void> {
    const creating = this.#upload;
    // At once: from now on no part's bytes may leave memory.
    this.#parts.length = 0;
    this.#upload = undefined;
    this.#begun = undefined;
    const upload = await creating?.catch(() => undefined);
    if (upload) await this.#deps.writer.abortUpload(upload);
  }

  #begin(): Promise<Upload> {
    this.#upload ??= this.#create();
    return this.#upload;
  }

  async #create(): Promise<Upload> {
    const { writer, watch } = this.#deps;
    const mayCopy = this.#source.extents.all().some(({ kind }) => kind === 'base');
    const properties = await this.#properties();
    const upload = await writer.createUpload(this.#source.key, properties, this.#signal, mayCopy);
    this.#begun = upload;
    watch.begun(upload);
    return upload;
  }

  #properties(): MaybePromise<ObjectProperties> {
    const properties = this.#deps.properties(this.#signal);
    // Whoever wants them hears of it; somebody else's failure may come first.
    if (properties instanceof Promise) properties.catch(() => undefined);
    return properties;
  }

  /** What holds now; parts of one size keep that of the first, whatever memory allows later. */
  #rules(): PartRules {
    const rules = this.#deps.rules();
    const [first] = this.#parts;
    return rules.unequalParts || !first ? rules : { ...rules, partBytes: first.to - first.from };
  }

  #body(range: { readonly from: number; readonly to: number }): MaybePromise<Body> {
    const { memory, rules } = this.#deps;
    // The last of the parts that are changed may have nearly twice the size.
    return makeBody(this.#source, memory, range, 2 * rules().memoryPartBytesMax, this.#signal);
  }

  async #stream(part: StreamedPart): Promise<void> {
    try {
      const signal = this.#signal;
      // Created while the body is put together: most often it is there at once.
      const creating = this.#begin();
      creating.catch(() => undefined);
      const body = await this.#body(part);
      part.slotsOut = slotsOf(body);
      try {
        part.uploaded = await this.#deps.writer.uploadPart(await creating, part.partNumber, body.pieces, signal);
      } finally {
        body.release();
      }
      this.#deps.watch.sent(part, part.uploaded, part);
      // Changed while it was on its way.
      if (part.isDirty) this.#deps.watch.dirtied(part);
    } catch (error) {
      // Not sent: the commit sends it again, if there is one.
      part.isDirty = true;
      // Cancelled is not failed: nobody waits for it, and the file may be closed already.
      if (!this.#isCancelled) this.#deps.watch.failed(error);
    } finally {
      this.#sending--;
      const waiting = this.#progress;
      this.#progress = [];
      for (const resolve of waiting) resolve();
      this.pump();
    }
  }

  async #send(upload: Upload, part: PlannedPart, uploaded: Map<number, UploadedPart>): Promise<void> {
    const { writer } = this.#deps;
    const { partNumber, from, to } = part;
    const signal = this.#signal;
    const { base } = this.#source;
    if (part.how === 'copy' && base) {
      const { key, etag } = base.version;
      const source = { key, etag, startOffset: from, endOffset: to };
      const copied = await writer.copyPart(upload, partNumber, source, signal);
      uploaded.set(partNumber, copied);
      this.#deps.watch.sent(part, copied);
      return;
    }
    const body = await this.#body(part);
    try {
      const sent = await writer.uploadPart(upload, partNumber, body.pieces, signal);
      uploaded.set(partNumber, sent);
      this.#deps.watch.sent(part, sent);
      const streamed = this.#parts[partNumber - 1];
      // Should the commit fail later, this part is as good as any other.
      if (streamed?.from === from && streamed.to === to) {
        streamed.uploaded = sent;
        streamed.isDirty = false;
      }
    } finally {
      body.release();
    }
  }
}
