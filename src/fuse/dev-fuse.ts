/**
 * The kernel's /dev/fuse as a Transport: blocking reads, vectored writes, plain node:fs. One descriptor serves all
 * threads; there are no clones, because a request can be answered only through the clone that read it, and a clone that
 * is closed ends its requests (kernel fact 1, docs/KERNEL.md). A thread gets only the descriptor's number.
 * Refuses to own the descriptor: who opened or adopted it closes it.
 *
 * Thread: any, each with its own DevFuseTransport. Owns: nothing. Shared words: none.
 * Blocks? `read` waits for a request, and cannot be woken but by a request or the end of the mount: while a worker
 * sits in it, process.exit, an uncaught exception and worker.terminate never finish (kernel fact 2). `writev` of a reply
 * does not wait; that of a notification may (kernel fact 8), so notifications have a thread of their own.
 */
import { openSync, readSync, readvSync, writevSync } from 'node:fs';
import { EAGAIN, ECONNABORTED, EINTR, EIO, ENODEV, ENOENT } from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import { READ_AGAIN, READ_ENDED, type Transport } from './transport.js';

export const DEV_FUSE_PATH = '/dev/fuse';

/** Sleep after EAGAIN, which only a descriptor in non-blocking mode answers: adopted from someone who set it so. */
const NONBLOCKING_WAIT_MS = 1;

const napWords = new Int32Array(new SharedArrayBuffer(4));

/** A new connection, not mounted yet. Throws the file system's error (ENOENT, EACCES, ENODEV without the module). */
export function openDevFuse(): number {
  return openSync(DEV_FUSE_PATH, 'r+');
}

/** The positive errno of a failed system call; EIO for anything else that was thrown. */
export function errnoOf(error: unknown): number {
  const value = (error as { errno?: unknown } | null)?.errno;
  return typeof value === 'number' && value !== 0 ? Math.abs(value) : EIO;
}

export class DevFuseTransport implements Transport {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(into: Uint8Array): number {
    try {
      return readSync(this.#fd, into, 0, into.length, null);
    } catch (error) {
      return readFailure(error);
    }
  }

  readv(into: readonly Uint8Array[]): number {
    try {
      return readvSync(this.#fd, into);
    } catch (error) {
      return readFailure(error);
    }
  }

  writev(parts: readonly Uint8Array[]): number {
    let totalBytes = 0;
    for (const part of parts) totalBytes += part.length;
    let written: number;
    try {
      written = writevSync(this.#fd, parts);
    } catch (error) {
      return errnoOf(error);
    }
    invariant(written === totalBytes, `the kernel took ${written} of ${totalBytes} bytes of a message`);
    return 0;
  }
}

function readFailure(error: unknown): number {
  switch (errnoOf(error)) {
    // ENOENT: the request was interrupted between being chosen and being copied to us.
    case EINTR:
    case ENOENT:
      return READ_AGAIN;
    case EAGAIN:
      Atomics.wait(napWords, 0, 0, NONBLOCKING_WAIT_MS);
      return READ_AGAIN;
    // ECONNABORTED: only with FUSE_ABORT_ERROR, which we do not ask for; an adopted session may have.
    case ENODEV:
    case ECONNABORTED:
      return READ_ENDED;
    default:
      throw error;
  }
}
