/**
 * A net thread's rehearsal while the mount comes up: some ranged GETs, LISTs, HEADs and small PUTs against a server on the
 * loopback interface, in the same thread, through the very code that talks to the store.
 *
 * Why: V8 compiles a function when it first runs, and it runs slowly until it has been seen a few times. Without a rehearsal
 * that is paid by the first reader, who has just started a job: the first listing of a thousand keys alone took 40 ms of a
 * new thread (docs/BENCHMARKS.md has the figures). It runs beside the start, never before it, and stops when the first
 * real command comes.
 * Bounded by requests, by time, and by `stop`. Refuses to fail anything: what goes wrong is a sentence for the debug log.
 *
 * Thread: a net thread. Owns: the server, and a NetThread with a pool of its own; both are gone at the end.
 */
import { closeSync, openSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { BlockTable } from '../../base/pool/block-table.js';
import { allocatePool } from '../../base/pool/layout.js';
import { PoolView } from '../../base/pool/pool-view.js';
import { systemClock } from '../../base/clock.js';
import type { CallCommand, DataTarget, NetEvent } from '../../engine/api.js';
import { NetThread } from '../../engine/net/net-thread.js';
import { systemNetwork } from '../../engine/net/network.js';
import { LateReplier } from '../late-replier.js';

const LOOPBACK = '127.0.0.1';
const POOL_SLOTS = 4;
const FILE_BYTES = 40_000;
const ETAG = '"0123456789abcdef0123456789abcdef"';
const CONNECTIONS = 4;
/** A small file that is written: head and body are one packet to the server, which reads requests and not bodies. */
const WRITTEN_BYTES = 1000;
/** Keys of a listing's page. */
const KEYS = 1000;

const FIRST_OF_HEAD = 'H'.charCodeAt(0);
const FIRST_OF_PUT = 'P'.charCodeAt(0);

export interface RehearsalBounds {
  readonly fetches: number;
  readonly lists: number;
  /** Half of them HEADs, half PUTs. */
  readonly calls: number;
  readonly budgetMs: number;
}

export interface RehearsalReport {
  readonly fetches: number;
  readonly lists: number;
  readonly calls: number;
  readonly ms: number;
  readonly trouble?: string;
}

/** Rehearses until it is done, its time is up or `stop` aborts. Never rejects. */
export async function rehearseNet(bounds: RehearsalBounds, stop: AbortSignal): Promise<RehearsalReport> {
  const startedMs = systemClock.nowMs();
  const done = { fetches: 0, lists: 0, calls: 0 };
  let server: Server | undefined;
  let stage: Stage | undefined;
  let device = -1;
  let trouble: string | undefined;
  try {
    // Replies are written for real, where nobody reads them.
    device = openSync('/dev/null', 'r+');
    server = await listen();
    const { port } = server.address() as AddressInfo;
    stage = new Stage(port, device);
    const over = (): boolean => stop.aborted || systemClock.nowMs() - startedMs >= bounds.budgetMs;
    while (done.lists < bounds.lists && !over()) {
      await stage.list();
      done.lists++;
    }
    while (done.calls < bounds.calls && !over()) {
      await stage.call(done.calls % 2 === 0 ? 'HEAD' : 'PUT');
      done.calls++;
    }
    while (done.fetches < bounds.fetches && !over()) {
      await stage.fetch();
      done.fetches++;
    }
  } catch (error) {
    trouble = String(error);
  } finally {
    stage?.close();
    server?.close();
    if (device >= 0) closeSync(device);
  }
  const ms = Math.round(systemClock.nowMs() - startedMs);
  return { ...done, ms, ...(trouble === undefined ? {} : { trouble }) };
}

/** A net thread with one slot, one file and one listing. */
class Stage {
  readonly #thread: NetThread;
  readonly #pool: PoolView;
  readonly #slot: number;
  #nextId = 1;
  #settle: (event: NetEvent) => void = () => undefined;

  constructor(port: number, device: number) {
    const memory = allocatePool(POOL_SLOTS);
    this.#pool = new PoolView(memory);
    this.#slot = new BlockTable(this.#pool).insert({ nodeId: 2, blockIndex: 0 }, 0, FILE_BYTES);
    const replier = new LateReplier(() => undefined);
    replier.bind(device);
    this.#thread = new NetThread(
      { target: targetAt(port), pool: memory, connectionsMax: CONNECTIONS, hedge: false },
      {
        post: (event) => this.#settle(event),
        replier,
        clock: systemClock,
        random: () => 0,
        network: systemNetwork,
      },
    );
    this.#thread.handle({
      type: 'credentials',
      credentials: { accessKeyId: 'rehearsal', secretAccessKey: 'rehearsal' },
    });
  }

  /** One small file, with a READ that waits for it. */
  fetch(): Promise<void> {
    const fetchId = this.#nextId++;
    const slot = this.#slot;
    const ended = this.#until('fetchDone', 'fetchFailed');
    this.#pool.publishArrived(slot, 0);
    this.#pool.pin(slot);
    const key = `rehearsal/${String(fetchId).padStart(5, '0')}`;
    const range = { startOffset: 0, endOffset: FILE_BYTES, firstBlock: 0, slots: [slot], priority: 0 };
    this.#thread.handle({ type: 'fetch', fetch: { fetchId, key, etag: ETAG, objectBytes: FILE_BYTES, ...range } });
    const spans = [{ slot, from: 0, to: FILE_BYTES, fetchId }];
    this.#thread.handle({ type: 'park', read: { readId: fetchId, ticket: { lo: fetchId, hi: 0 }, spans } });
    return ended;
  }

  /** One page of a directory. */
  list(): Promise<void> {
    const listId = this.#nextId++;
    const ended = this.#until('listed', 'listFailed');
    const request = { prefix: 'rehearsal/', delimiter: '/' as const, keysMax: KEYS };
    this.#thread.handle({ type: 'list', list: { listId, request, asksRestore: false } });
    return ended;
  }

  /** A question about a file that is not there, or a small file that is written. */
  call(method: 'HEAD' | 'PUT'): Promise<void> {
    const callId = this.#nextId++;
    const ended = this.#until('called', 'callFailed');
    const body = method === 'PUT' ? [{ slot: this.#slot, from: 0, to: WRITTEN_BYTES }] : [];
    const call: CallCommand = {
      callId,
      method,
      key: `rehearsal/${String(callId).padStart(5, '0')}`,
      query: '',
      headers: [],
      body,
      ...(method === 'PUT' ? { checksum: 'CRC32' as const } : {}),
      wantsMd5: false,
      answerHeaders: ['etag', 'last-modified', 'x-amz-meta-*'],
      accepts: [404],
      looksForError: false,
      answerBytesMax: 1024,
      answerMs: 1000,
      deadlineMs: 1000,
      priority: 0,
    };
    this.#thread.handle({ type: 'call', call });
    return ended;
  }

  close(): void {
    this.#thread.handle({ type: 'close' });
  }

  #until(good: NetEvent['type'], bad: NetEvent['type']): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = (event) => {
        // In a turn of its own, as the main thread's next command would come.
        if (event.type === good) setImmediate(resolve);
        else if (event.type === bad) reject(new Error(`${event.type} ${'message' in event ? event.message : ''}`));
      };
    });
  }
}

function targetAt(port: number): DataTarget {
  return {
    tls: false,
    hostname: LOOPBACK,
    port,
    hostHeader: `${LOOPBACK}:${port}`,
    basePath: '/bucket',
    signingRegion: 'us-east-1',
    signingService: 's3',
    headers: {},
    userAgent: 'mount-s3x',
    maxAttempts: 1,
    localAddresses: [],
  };
}

/** A server that knows one object and one listing. One request at a time comes on a connection, in one piece. */
function listen(): Promise<Server> {
  const object = answer(
    '206 Partial Content',
    `Content-Range: bytes 0-${FILE_BYTES - 1}/${FILE_BYTES}\r\n`,
    Buffer.alloc(FILE_BYTES),
  );
  const listing = answer('200 OK', 'Content-Type: application/xml\r\n', Buffer.from(listingText()));
  const missing = answer('404 Not Found', '', Buffer.alloc(0));
  const written = answer('200 OK', '', Buffer.alloc(0));
  const server = createServer((socket: Socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (request) => {
      if (request.includes('list-type=2')) socket.write(listing);
      else if (request[0] === FIRST_OF_HEAD) socket.write(missing);
      else socket.write(request[0] === FIRST_OF_PUT ? written : object);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, LOOPBACK, () => resolve(server));
  });
}

function answer(status: string, headers: string, body: Buffer): Buffer {
  const head =
    `HTTP/1.1 ${status}\r\nx-amz-id-2: rehearsal\r\nx-amz-request-id: rehearsal\r\n` +
    'Date: Sun, 22 Nov 2026 00:00:00 GMT\r\nLast-Modified: Sun, 22 Nov 2026 00:00:00 GMT\r\n' +
    `ETag: ${ETAG}\r\nAccept-Ranges: bytes\r\n${headers}Content-Length: ${body.length}\r\nServer: rehearsal\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

function listingText(): string {
  let contents = '';
  for (let at = 0; at < KEYS; at++) {
    contents +=
      `<Contents><Key>rehearsal/${String(at).padStart(5, '0')}</Key><LastModified>2026-11-22T00:00:00.000Z</LastModified>` +
      `<ETag>&quot;${ETAG.slice(1, -1)}&quot;</ETag><Size>${FILE_BYTES}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
  }
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
    `<Name>bucket</Name><Prefix>rehearsal/</Prefix><KeyCount>${KEYS}</KeyCount><MaxKeys>${KEYS}</MaxKeys>` +
    `<Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>${contents}</ListBucketResult>`
  );
}
