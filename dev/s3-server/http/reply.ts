/**
 * An answer before it is on the wire, and the text of its head.
 *
 * Bodies are a buffer or a slice of an open file; the sender releases the file's lease whatever happens. Headers are
 * plain names and values in the order given; the sender adds Date, Server, Connection and the length.
 */
import { STATUS_CODES } from 'node:http';
import type { FileLease } from '../storage/open-files.js';

/** Bytes of a file, `[startOffset, endOffset)`. The sender owns and releases the lease. */
export interface FileSlice {
  readonly lease: FileLease;
  readonly startOffset: number;
  readonly endOffset: number;
}

/** An answer. */
export interface Reply {
  readonly status: number;
  /** Mutable until it is sent, so that common headers and faults can be added. */
  readonly headers: Record<string, string>;
  /** Null: no body; Content-Length is then the header's if one is given (HEAD), else 0. */
  readonly body: Buffer | FileSlice | null;
}

/** Length of a reply's body as it would be sent. */
export function bodyBytes(reply: Reply): number {
  if (reply.body === null) return 0;
  return Buffer.isBuffer(reply.body) ? reply.body.length : reply.body.endOffset - reply.body.startOffset;
}

/** Gives back a file that will not be sent. */
export function discardBody(reply: Reply): void {
  if (reply.body !== null && !Buffer.isBuffer(reply.body)) reply.body.lease.release();
}

let dateText = '';
let dateSecond = -1;

/** The Date header's value, made once a second. */
function httpDateNow(): string {
  const nowMs = Date.now();
  const second = Math.floor(nowMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(nowMs).toUTCString();
  }
  return dateText;
}

/** The head as it goes out (latin1). `contentBytes` null leaves Content-Length out. */
export function headText(reply: Reply, contentBytes: number | null, isKeepAlive: boolean): string {
  let text = `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? 'Unknown'}\r\n`;
  const { headers } = reply;
  for (const name in headers) text += `${name}: ${headers[name] ?? ''}\r\n`;
  if (contentBytes !== null) text += `Content-Length: ${contentBytes}\r\n`;
  text += `Date: ${httpDateNow()}\r\nServer: mount-s3x-test-server\r\n`;
  if (!isKeepAlive) text += 'Connection: close\r\n';
  return `${text}\r\n`;
}
