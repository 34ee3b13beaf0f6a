/**
 * A socket as something to pull bytes from and to await writes on, and the pool of body buffers.
 *
 * Input is bounded by pausing the socket; output is bounded because the sender awaits each write before it reuses the
 * buffer. Raw sockets instead of node:http because a response then is one read(2) and one write(2) of half a mebibyte,
 * which is what makes a gigabyte a second on one core possible.
 */
import type { Socket } from 'node:net';
import { BODY_CHUNK_BYTES, BODY_CHUNKS_KEPT_MAX, INPUT_BYTES_MAX } from '../limits.js';
import type { ByteInput } from './request-reader.js';

/** Bytes of a socket, in order. After an error or the end, `next` resolves with null. */
export class SocketInput implements ByteInput {
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #heldBytes = 0;
  #hasEnded = false;
  #waiter: ((chunk: Buffer | null) => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      const waiter = this.#waiter;
      if (waiter !== null) {
        this.#waiter = null;
        waiter(chunk);
        return;
      }
      this.#chunks.push(chunk);
      this.#heldBytes += chunk.length;
      if (this.#heldBytes > INPUT_BYTES_MAX) socket.pause();
    });
    const end = (): void => {
      this.#hasEnded = true;
      this.#waiter?.(null);
      this.#waiter = null;
    };
    socket.on('end', end);
    socket.on('close', end);
  }

  next(): Promise<Buffer | null> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#heldBytes -= chunk.length;
      if (this.#heldBytes <= INPUT_BYTES_MAX && this.#socket.isPaused()) this.#socket.resume();
      return Promise.resolve(chunk);
    }
    if (this.#hasEnded) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }
}

/** Resolves when the bytes are with the kernel; rejects when the connection is gone. */
export function writeAll(socket: Socket, bytes: Buffer | string): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    };
    if (typeof bytes === 'string') socket.write(bytes, 'latin1', done);
    else socket.write(bytes, done);
  });
}

const chunks: Buffer[] = [];

/** A buffer of BODY_CHUNK_BYTES; give it back with `releaseChunk`. */
export function acquireChunk(): Buffer {
  return chunks.pop() ?? Buffer.allocUnsafeSlow(BODY_CHUNK_BYTES);
}

export function releaseChunk(chunk: Buffer): void {
  if (chunks.length < BODY_CHUNKS_KEPT_MAX) chunks.push(chunk);
}

/** A pause that an ending connection cuts short. Resolves false when the socket is gone. */
export function sleepOnSocket(socket: Socket, waitMs: number): Promise<boolean> {
  if (socket.destroyed) return Promise.resolve(false);
  if (waitMs <= 0) return Promise.resolve(true);
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish(true), waitMs);
    const onClose = (): void => finish(false);
    const finish = (isAlive: boolean): void => {
      clearTimeout(timer);
      socket.off('close', onClose);
      resolve(isAlive);
    };
    socket.once('close', onClose);
  });
}
