/**
 * How other processes of the same user ask a running mount for something that no system call says: a Unix socket beside the
 * run file, which names it. One JSON line asks (`{"command": "remove-tree", ...}`), JSON lines answer: any number of
 * `{"progress": ...}`, then one `{"result": ...}` or `{"error": {...}}`. Who hangs up gives up: the command is aborted.
 *
 * Who may ask: the user whose process this is, and root. The directory is the user's alone (0700, see state-directory.ts),
 * the socket 0600, and the kernel says who connected (SO_PEERCRED): anybody else gets one line and is hung up on, and so is
 * everybody where the kernel cannot be asked.
 * Bounds: CLIENTS_MAX at once, LINE_BYTES_MAX for a question. Refuses to know what commands do.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { EIO, EINVAL, EPERM, ErrnoError } from '../base/errno.js';
import type { Log } from '../base/log.js';
import { messageOf } from '../base/thrown.js';
import { within } from '../base/waits.js';
import { StoreError } from '../engine/store-error.js';
import { CommandError } from './command-error.js';
import { peerCredentials, type PeerCredentials } from './peer-credentials.js';

const CLIENTS_MAX = 16;
const LINE_BYTES_MAX = 64 * 1024;
/** Who may not ask is hung up on after this long, if it did not hang up itself. */
const STRANGER_WAIT_MS = 1000;
/** sizeof(sun_path) less its closing zero (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;

export type ControlRequest = Readonly<Record<string, unknown>> & { readonly command: string };

/** Answers with what JSON can say. Throws ErrnoError; `signal` aborts when the client hangs up. */
export type ControlHandler = (
  request: ControlRequest,
  progress: (state: unknown) => void,
  signal: AbortSignal,
) => Promise<unknown>;

export type ControlHandlers = Readonly<Record<string, ControlHandler>>;

/** What a command failed with, as it travels. */
export interface ControlFailure {
  readonly errno: number;
  readonly message: string;
  readonly remedy?: string;
}

type Answer = { readonly progress: unknown } | { readonly result: unknown } | { readonly error: ControlFailure };

export interface ControlSocketOptions {
  /** Who is at the other end; undefined when that cannot be found out. Given by tests. */
  readonly askPeer?: (socket: Socket) => PeerCredentials | undefined;
  /** Who may ask, besides root; this process's user by default. */
  readonly ownerUid?: number;
  /** Does what touches the file system: with the rights of whose the directory is. */
  readonly inPlace?: <T>(work: () => T) => T;
}

/**
 * Listens. Returns what ends it, and all commands under way with it, after `patienceMs` for those that are about to answer.
 * Throws as listen(2) does.
 */
export async function openControlSocket(
  path: string,
  handlers: ControlHandlers,
  log: Log,
  options: ControlSocketOptions = {},
): Promise<(patienceMs?: number) => Promise<void>> {
  const { askPeer = peerCredentials, ownerUid = process.geteuid?.() ?? 0, inPlace = (work) => work() } = options;
  inPlace(() => rmSync(path, { force: true }));
  const clients = new Set<Socket>();
  const answering = new Set<Promise<void>>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (clients.size >= CLIENTS_MAX) {
      socket.destroy();
      return;
    }
    const stranger = refusePeer(askPeer(socket), ownerUid);
    if (stranger !== undefined) {
      log.warn({ path }, `control socket: ${stranger}`);
      const refusal: Answer = { error: { errno: EPERM, message: stranger } };
      // What was asked is taken off the socket unread: closing over it would lose the refusal.
      socket.resume();
      socket.setTimeout(STRANGER_WAIT_MS, () => socket.destroy());
      socket.end(`${JSON.stringify(refusal)}\n`);
      return;
    }
    clients.add(socket);
    socket.on('close', () => clients.delete(socket));
    serve(socket, handlers, log, (answered) => {
      answering.add(answered);
      void answered.then(() => answering.delete(answered));
    });
  });
  // Node binds before it returns from listen(), for a path.
  await inPlace(() => listen(server, path));
  inPlace(() => chmodSync(path, 0o600));
  server.unref();
  return async (patienceMs = 0) => {
    if (patienceMs > 0 && answering.size > 0) await within(Promise.all(answering), patienceMs, undefined);
    for (const socket of clients) socket.destroy();
    await new Promise<void>((resolve) => void server.close(() => resolve()));
  };
}

/** Why this peer may not ask; undefined when it may. */
function refusePeer(peer: PeerCredentials | undefined, ownerUid: number): string | undefined {
  if (peer === undefined) return 'refused: the kernel does not say who asks (is the npm package koffi installed?)';
  if (peer.uid === 0 || peer.uid === ownerUid) return undefined;
  return `refused: user ${peer.uid} (process ${peer.pid}) is neither the owner of this mount (${ownerUid}) nor root`;
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      server.on('error', () => undefined);
      resolve();
    });
  });
}

/** `begun` hears of each question, and when its answer is on its way; that never rejects. */
function serve(socket: Socket, handlers: ControlHandlers, log: Log, begun: (answered: Promise<void>) => void): void {
  const abort = new AbortController();
  socket.on('close', () => abort.abort());
  const say = (answer: Answer): void => {
    if (socket.writable) socket.write(`${JSON.stringify(answer)}\n`);
  };
  readLines(
    socket,
    (line) => {
      // One question a connection: what comes after it is not read.
      socket.removeAllListeners('data');
      socket.resume();
      const answered = answer(line, handlers, (state) => say({ progress: state }), abort.signal).then(
        (result) => {
          say({ result: result ?? null });
          socket.end();
        },
        (error: unknown) => {
          const failure = failureOf(error);
          if (failure.errno === EIO) log.warn({ err: error, question: line.slice(0, 200) }, 'a control command failed');
          say({ error: failure });
          socket.end();
        },
      );
      begun(answered);
    },
    () => socket.destroy(),
  );
}

async function answer(
  line: string,
  handlers: ControlHandlers,
  progress: (state: unknown) => void,
  signal: AbortSignal,
): Promise<unknown> {
  const request = parseRequest(line);
  const handler = Object.hasOwn(handlers, request.command) ? handlers[request.command] : undefined;
  if (!handler) throw new ErrnoError(EINVAL, `this daemon knows no command ${request.command}`);
  return await handler(request, progress, signal);
}

function parseRequest(line: string): ControlRequest {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    throw new ErrnoError(EINVAL, 'the question is no JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || !('command' in parsed) || typeof parsed.command !== 'string') {
    throw new ErrnoError(EINVAL, 'the question names no command');
  }
  return parsed as ControlRequest;
}

function failureOf(error: unknown): ControlFailure {
  if (error instanceof StoreError && error.remedy !== undefined) {
    return { errno: error.errno, message: error.message, remedy: error.remedy };
  }
  if (error instanceof CommandError) {
    return { errno: EINVAL, message: error.message, ...(error.remedy !== undefined && { remedy: error.remedy }) };
  }
  if (error instanceof ErrnoError) return { errno: error.errno, message: error.message };
  return { errno: EIO, message: messageOf(error) };
}

/** Calls back for each line; `tooLong` once when one does not end. */
function readLines(
  socket: Socket,
  onLine: (line: string) => void,
  tooLong: () => void,
  bytesMax = LINE_BYTES_MAX,
): void {
  let partial = '';
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    partial += text;
    for (let end = partial.indexOf('\n'); end >= 0; end = partial.indexOf('\n')) {
      const line = partial.slice(0, end);
      partial = partial.slice(end + 1);
      onLine(line);
    }
    if (partial.length > bytesMax) tooLong();
  });
}

/** Asks a daemon. Throws ErrnoError with what it answered; an ordinary Error when there is nobody to ask. */
export function askControl(
  path: string,
  request: ControlRequest,
  progress: (state: unknown) => void = () => undefined,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the daemon ended before it answered')));
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    readLines(
      socket,
      (line) => {
        const said = JSON.parse(line) as Partial<{ progress: unknown; result: unknown; error: ControlFailure }>;
        if ('progress' in said) progress(said.progress);
        else if (said.error) reject(new ControlError(said.error));
        else resolve(said.result);
      },
      () => socket.destroy(new Error('the daemon answers without end')),
      // Names of keys that could not be deleted may be many.
      64 * 1024 * 1024,
    );
  });
}

/** What the daemon answered instead of a result. */
export class ControlError extends ErrnoError {
  readonly remedy: string | undefined;
  constructor(failure: ControlFailure) {
    super(failure.errno, failure.message);
    this.remedy = failure.remedy;
  }
}
