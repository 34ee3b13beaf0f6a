/**
 * A net thread that a rehearsal talks to: it answers every command of the main thread as a store would that has the same
 * small files in every directory, and takes whatever it is given. No socket, no byte of payload.
 * Each answer comes in a turn of its own, as a message of a thread would. Refuses nothing, and to remember what was written.
 */
import type { PoolView } from '../../base/pool/pool-view.js';
import type { CallCommand, FetchCommand, ListPage, NetCommand, NetEvent, ParkedRead } from '../../engine/api.js';
import type { NetPort } from '../../engine/data-plane.js';
import { packPage } from '../../engine/listing/row-collector.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';

export const REHEARSED_ETAG = '"0123456789abcdef0123456789abcdef"';
export const REHEARSED_BYTES = 40_000;
const MODIFIED = 'Sun, 22 Nov 2026 00:00:00 GMT';
/** Files of each directory. */
const FILES = 64;
/** Directories of the root. */
const DIRECTORIES = 16;
const DIRECTORY = 'directory-';
const LISTED = 'listed-';

export function listedName(at: number): string {
  return `${LISTED}${String(at % FILES).padStart(3, '0')}`;
}

export function listedDirectory(at: number): string {
  return `${DIRECTORY}${String(at % DIRECTORIES).padStart(3, '0')}`;
}

const CREATED = '<InitiateMultipartUploadResult><UploadId>rehearsal</UploadId></InitiateMultipartUploadResult>';
const COMPLETED = `<CompleteMultipartUploadResult><ETag>${REHEARSED_ETAG}</ETag></CompleteMultipartUploadResult>`;

export class PretendStore implements NetPort {
  readonly #pool: PoolView;
  readonly #answer: (event: NetEvent) => void;
  readonly #readDone: (uniqueLo: number) => void;

  /** `readDone`: a READ that waited for bytes was answered, as a net thread does by itself. */
  constructor(pool: PoolView, answer: (event: NetEvent) => void, readDone: (uniqueLo: number) => void) {
    this.#pool = pool;
    this.#answer = answer;
    this.#readDone = readDone;
  }

  post(command: NetCommand): void {
    setImmediate(() => this.#serve(command));
  }

  #serve(command: NetCommand): void {
    switch (command.type) {
      case 'fetch':
        this.#fetch(command.fetch);
        break;
      case 'park':
        this.#read(command.read);
        break;
      case 'list':
        this.#answer({
          type: 'listed',
          listId: command.list.listId,
          columns: packPage(pageOf(command.list.request.prefix), command.list.request.prefix),
        });
        break;
      case 'call':
        this.#answer({ type: 'called', callId: command.call.callId, answer: answerTo(command.call) });
        break;
      default:
    }
  }

  #read({ readId, ticket, spans }: ParkedRead): void {
    if (ticket) {
      for (const span of spans) this.#pool.unpin(span.slot);
      this.#readDone(ticket.lo);
    }
    this.#answer({ type: 'readsOver', reads: [{ readId, errno: 0 }] });
  }

  /** The bytes are whatever the pool holds: nobody gets to see them. */
  #fetch({ fetchId, slots, firstBlock, endOffset }: FetchCommand): void {
    for (const [at, slot] of slots.entries()) {
      const arrived = Math.min(BLOCK_BYTES, endOffset - (firstBlock + at) * BLOCK_BYTES);
      this.#pool.publishArrived(slot, arrived);
    }
    this.#answer({ type: 'fetchDone', fetchId, firstByteMs: 1, totalMs: 1 });
  }
}

function answerTo({ method, key, query, checksum }: CallCommand): Extract<NetEvent, { type: 'called' }>['answer'] {
  const isMissing = method === 'HEAD' && !key.includes(LISTED);
  const body = method !== 'POST' ? '' : query.startsWith('uploads') ? CREATED : COMPLETED;
  return {
    status: isMissing ? 404 : 200,
    headers: isMissing
      ? {}
      : { etag: REHEARSED_ETAG, date: MODIFIED, 'last-modified': MODIFIED, 'content-length': String(REHEARSED_BYTES) },
    body,
    lostAnswers: 0,
    ...(checksum === undefined ? {} : { checksum: 'AAAAAA==' }),
  };
}

function isDirectory(prefix: string): boolean {
  return prefix === '' || (prefix.startsWith(DIRECTORY) && prefix.indexOf('/') === prefix.length - 1);
}

function pageOf(prefix: string): ListPage {
  const objects = Array.from({ length: isDirectory(prefix) ? FILES : 0 }, (_none, at) => ({
    key: `${prefix}${listedName(at)}`,
    etag: REHEARSED_ETAG,
    sizeBytes: REHEARSED_BYTES,
    lastModifiedMs: Date.parse(MODIFIED),
    storageClass: '',
    restored: false,
  }));
  const commonPrefixes =
    prefix === '' ? Array.from({ length: DIRECTORIES }, (_none, at) => `${listedDirectory(at)}/`) : [];
  return { objects, commonPrefixes, nextToken: undefined };
}
