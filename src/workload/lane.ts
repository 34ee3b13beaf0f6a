/**
 * Does a lane's steps with blocking system calls, in whatever thread it is called: open, read or write in a loop, close, as a
 * plain program does. The loops allocate nothing per call but a number, so that what is measured is the file system
 * (measured on tmpfs: 1 MiB reads at 9 GB/s of one lane, a read of 4 KiB in 1.5 us).
 * Stops at the first failure and says which call and file it was. Refuses short files: a benchmark that reads less than it
 * thinks is wrong.
 */
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { assertNever } from '../base/invariant.js';
import { codeOf } from '../base/thrown.js';
import { alignedMemory } from './aligned-memory.js';
import type { Content } from './content.js';
import { LATENCIES_MAX, type FileRef, type Lane, type LaneResult, type Step, type StepFailure } from './steps.js';

export interface LaneDeps {
  /** Absent when no step writes or verifies. */
  readonly content?: Content;
  /** For repeated lanes: true when the others have ended. */
  readonly isOver: () => boolean;
}

/** The monotonic clock, the same in every thread. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** A failed step: what the child reports instead of a stack. */
export class StepError extends Error {
  override readonly name = 'StepError';
  readonly failure: StepFailure;
  constructor(failure: StepFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** `error` of a system call, or any other, as it travels. */
export function failureOf(error: unknown, path = ''): StepFailure {
  if (error instanceof StepError) return error.failure;
  const { code, path: named, message } = error as NodeJS.ErrnoException;
  return { code: code ?? '', path: named ?? path, message: message };
}

/** Largest call that a step of the lane makes, for its one buffer. */
function bufferBytes(lane: Lane): number {
  return Math.max(1, ...lane.steps.map((step) => ('blockBytes' in step ? step.blockBytes : 1)));
}

/** A lane ready to run: its memory is there and touched, so that run() begins with the first system call. */
export class LaneRunner {
  readonly #lane: Lane;
  readonly #deps: LaneDeps;
  readonly #buffer: Buffer;
  readonly #latenciesMs: number[] = [];
  #bytes = 0;
  #operations = 0;
  /** The file at hand, for failures of calls that name none (read, write). */
  #path = '';

  constructor(lane: Lane, deps: LaneDeps) {
    this.#lane = lane;
    this.#deps = deps;
    this.#buffer = alignedMemory(bufferBytes(lane)).fill(1);
  }

  /** Does it. Never throws. */
  run(): LaneResult {
    const startMs = monotonicMs();
    let failure: StepFailure | undefined;
    try {
      do {
        for (const step of this.#lane.steps) {
          this.#do(step);
          if (this.#isOver()) break;
        }
      } while (this.#lane.isRepeated === true && !this.#isOver());
    } catch (error) {
      failure = failureOf(error, this.#path);
    }
    return {
      group: this.#lane.group,
      startMs,
      endMs: monotonicMs(),
      bytes: this.#bytes,
      operations: this.#operations,
      latenciesMs: this.#latenciesMs,
      ...(failure && { failure }),
    };
  }

  #isOver(): boolean {
    return this.#lane.isRepeated === true && this.#deps.isOver();
  }

  #do(step: Step): void {
    switch (step.op) {
      case 'read':
        for (const file of step.files) {
          this.#timed(file.path, () => this.#read(file, step.blockBytes, step.isDirect, step.isVerified === true));
          if (this.#isOver()) return;
        }
        return;
      case 'read-at':
        return this.#readAt(step.file, step.offsets, step.blockBytes, step.isDirect);
      case 'first-byte':
        for (const file of step.files) this.#timed(file.path, () => this.#firstByte(file.path));
        return;
      case 'list':
        return this.#list(step.path);
      case 'write':
        for (const file of step.files) this.#timed(file.path, () => this.#write(file, step.blockBytes, step.isSynced));
        return;
      case 'remove':
        for (const path of step.files) this.#timed(path, () => removeFile(path));
        return;
      default:
        return assertNever(step);
    }
  }

  #timed(path: string, work: () => void): void {
    this.#path = path;
    const start = performance.now();
    work();
    if (this.#latenciesMs.length < LATENCIES_MAX) this.#latenciesMs.push(performance.now() - start);
    this.#operations++;
  }

  #read(file: FileRef, blockBytes: number, isDirect: boolean, isVerified: boolean): void {
    const fd = openSync(file.path, isDirect ? constants.O_RDONLY | constants.O_DIRECT : 'r');
    try {
      for (let offset = 0; offset < file.bytes;) {
        // O_DIRECT wants whole blocks, also at the end of the file.
        const wanted = isDirect ? blockBytes : Math.min(blockBytes, file.bytes - offset);
        const count = Math.min(readSync(fd, this.#buffer, 0, wanted, null), file.bytes - offset);
        if (count === 0) throw shortFile(file, offset);
        if (isVerified) this.#verify(file, offset, count);
        offset += count;
        this.#bytes += count;
        if (this.#isOver()) return;
      }
    } finally {
      closeSync(fd);
    }
  }

  #verify(file: FileRef, offset: number, count: number): void {
    const wrong = this.#deps.content?.firstDifference(file.contentId, offset, this.#buffer.subarray(0, count));
    if (wrong === undefined) return;
    const message = `WRONG BYTES: ${file.path} differs from what was written, first at byte ${wrong}`;
    throw new StepError({ code: '', path: file.path, message });
  }

  #readAt(file: FileRef, offsets: readonly number[], blockBytes: number, isDirect: boolean): void {
    this.#path = file.path;
    const fd = openSync(file.path, isDirect ? constants.O_RDONLY | constants.O_DIRECT : 'r');
    try {
      for (const offset of offsets) {
        this.#timed(file.path, () => {
          const count = readSync(fd, this.#buffer, 0, blockBytes, offset);
          if (count === 0) throw shortFile(file, offset);
          this.#bytes += count;
        });
        if (this.#isOver()) return;
      }
    } finally {
      closeSync(fd);
    }
  }

  #firstByte(path: string): void {
    const fd = openSync(path, 'r');
    try {
      this.#bytes += readSync(fd, this.#buffer, 0, 1, 0);
    } finally {
      closeSync(fd);
    }
  }

  #list(path: string): void {
    this.#path = path;
    for (const name of readdirSync(path)) {
      lstatSync(join(path, name));
      this.#operations++;
    }
  }

  #write(file: FileRef, blockBytes: number, isSynced: boolean): void {
    const { content } = this.#deps;
    if (!content)
      throw new StepError({ code: '', path: file.path, message: 'a lane that writes was given no content' });
    const fd = openSync(file.path, 'w');
    let isOpen = true;
    try {
      for (let offset = 0; offset < file.bytes;) {
        const block = content.view(file.contentId, offset, Math.min(blockBytes, file.bytes - offset));
        const count = writeSync(fd, block);
        offset += count;
        this.#bytes += count;
      }
      if (isSynced) fsyncSync(fd);
      isOpen = false;
      // On a mount this is where the object is made, and where its failure is told.
      closeSync(fd);
    } finally {
      if (isOpen) closeQuietly(fd);
    }
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The failure that led here says more.
  }
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function shortFile(file: FileRef, offset: number): StepError {
  const message = `${file.path} ends at byte ${offset}, before the ${file.bytes} that it is meant to have`;
  return new StepError({ code: '', path: file.path, message });
}
