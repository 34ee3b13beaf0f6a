/**
 * What an operation gets, and the small helpers every operation uses to answer.
 */
import type { Identity } from '../auth/authenticate.js';
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import type { Exchange } from '../http/connection.js';
import type { SessionBook } from '../auth/sessions.js';
import type { ReceiveThreads } from '../receive/receive-threads.js';
import type { Bucket } from '../storage/bucket.js';
import type { ObjectEntry } from '../storage/object-record.js';
import type { Store } from '../storage/store.js';
import { documentXml } from '../xml.js';
import type { Payload } from './payload.js';

/** Parts of the server that operations use. */
export interface ServerContext {
  readonly store: Store;
  readonly receivers: ReceiveThreads;
  readonly region: string;
  readonly bucketRegions: Readonly<Record<string, string>>;
  readonly minPartBytes: number;
  readonly sessions: SessionBook;
}

/** One request, routed and authenticated. */
export interface OpContext {
  readonly server: ServerContext;
  readonly exchange: Exchange;
  readonly identity: Identity;
  /** Empty when the request names none. */
  readonly bucketName: string;
  /** Empty when the request names none. */
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
  readonly payload: Payload;
}

/** An operation. Throws S3Error for S3's own failures. */
export type Operation = (context: OpContext) => Reply | Promise<Reply>;

/** The request's bucket. Throws NoSuchBucket. */
export function bucketOf(context: OpContext): Bucket {
  return bucketNamed(context, context.bucketName);
}

/** Another bucket, for copies. Throws NoSuchBucket. */
export function bucketNamed(context: OpContext, name: string): Bucket {
  const bucket = context.server.store.bucket(name);
  if (bucket === undefined) throw new S3Error('NoSuchBucket', { elements: { BucketName: name } });
  return bucket;
}

/** The request's object. Throws NoSuchKey. */
export function objectOf(context: OpContext): { bucket: Bucket; entry: ObjectEntry } {
  const bucket = bucketOf(context);
  const entry = bucket.lookup(context.key);
  if (entry === undefined) throw new S3Error('NoSuchKey', { elements: { Key: context.key } });
  return { bucket, entry };
}

/** An answer without a body. */
export function emptyReply(status: number, headers: Record<string, string> = {}): Reply {
  return { status, headers, body: null };
}

/** A 200 with a document; `inner` is XML. */
export function xmlReply(root: string, inner: string, headers: Record<string, string> = {}): Reply {
  return { status: 200, headers: { ...headers, 'Content-Type': 'application/xml' }, body: documentXml(root, inner) };
}

/** The form of times in XML: whole seconds, as S3's own. */
export function isoTime(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  // Neighbours in a listing were often written in the same second, and formatting is a third of a page's cost.
  if (second !== lastSecond) {
    lastSecond = second;
    lastText = new Date(second * 1000).toISOString();
  }
  return lastText;
}

let lastSecond = -1;
let lastText = '';

/** A whole number from a query parameter. Throws InvalidArgument. */
export function queryInteger(context: OpContext, name: string, otherwise: number, max: number): number {
  const text = context.query.get(name);
  if (text === undefined || text === '') return otherwise;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 2_147_483_647) {
    throw new S3Error('InvalidArgument', {
      message: `Provided ${name} not an integer or within integer range`,
      elements: { ArgumentName: name, ArgumentValue: text },
    });
  }
  return Math.min(value, max);
}
