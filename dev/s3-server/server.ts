/**
 * The embedded S3 server: builds its parts, listens, and ends them again.
 *
 * The one composition root: nothing else creates a store, an engine or a socket. One server owns one data directory.
 */
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { answerAdmin, isAdminPath } from './admin.js';
import type { Credential } from './auth/authenticate.js';
import { dispatch, type DispatchDeps } from './dispatch.js';
import { FaultEngine } from './faults/fault-engine.js';
import { type ExchangeHandler, serveConnection } from './http/connection.js';
import { SessionBook } from './auth/sessions.js';
import { PART_BYTES_MIN, SESSION_SECONDS } from './limits.js';
import type { S3Server, S3ServerOptions } from './options.js';
import { ReceiveThreads } from './receive/receive-threads.js';
import { StatsBook } from './stats.js';
import { Store } from './storage/store.js';

export type { Credential } from './auth/authenticate.js';
export type { FaultRule } from './faults/fault-rule.js';
export type { S3Server, S3ServerOptions } from './options.js';
export type { OperationStats, RecentRequest, ServerStats } from './stats.js';

const BACKLOG = 1024;

/**
 * Starts a server and resolves when it accepts connections.
 * @throws Error when the directory is missing or in use, the port is taken, an option is malformed
 */
export async function startS3Server(options: S3ServerOptions): Promise<S3Server> {
  const credentials = credentialsOf(options);
  const faults = new FaultEngine(options.faults ?? []);
  const stats = new StatsBook();
  const sessions = new SessionBook((options.sessionSeconds ?? SESSION_SECONDS) * 1000);
  const store = new Store(options.dir);
  const receivers = new ReceiveThreads();
  const sockets = new Set<Socket>();
  const lower = new WeakMap<Socket, Socket>();
  const deps: DispatchDeps = {
    context: {
      store,
      receivers,
      region: options.region ?? 'us-east-1',
      bucketRegions: options.bucketRegions ?? {},
      minPartBytes: options.minPartBytes ?? PART_BYTES_MIN,
      sessions,
    },
    faults,
    stats,
    // The longest name first: BUCKET.s3.localhost is not a bucket BUCKET.s3 of localhost.
    domains: ['localhost', 's3.localhost', ...(options.domains ?? [])].sort((a, b) => b.length - a.length),
    publicBuckets: options.publicBuckets ?? [],
    credentials,
    report: options.report ?? ((error) => console.error('s3-server: internal error:', error)),
    reset: (socket) => {
      const raw = lower.get(socket) ?? socket;
      raw.resetAndDestroy();
      socket.destroy();
    },
  };

  const controls = {
    stats: () => stats.snapshot(),
    resetStats: () => stats.reset(),
    setFaults: faults.set.bind(faults),
    setCredentials: (next: readonly Credential[] | null) => {
      deps.credentials = next;
    },
    requests: () => stats.recent(),
    rescan: () => store.rescan(),
    endSessions: () => sessions.endAll(),
  };
  const handler: ExchangeHandler = async (exchange) => {
    if (options.admin === true && isAdminPath(exchange.head.rawPath)) {
      return { reply: await answerAdmin({ url, port, host, ...controls }, exchange) };
    }
    return dispatch(deps, exchange);
  };
  const onConnection = (socket: Socket): void => {
    stats.connections++;
    stats.openConnections++;
    sockets.add(socket);
    socket.once('close', () => {
      stats.openConnections--;
      sockets.delete(socket);
    });
    void serveConnection(socket, handler, deps.report);
  };

  const listener = createListener(options, onConnection, lower, sockets);
  const host = options.host ?? '127.0.0.1';
  try {
    await listen(listener, options.port ?? 0, host);
  } catch (error) {
    store.close();
    throw error;
  }
  const { port } = listener.address() as AddressInfo;
  const urlHost = host.includes(':') ? `[${host}]` : host === '0.0.0.0' ? '127.0.0.1' : host;
  const url = `${options.tls === undefined ? 'http' : 'https'}://${urlHost}:${port}`;
  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
    await receivers.close();
    store.close();
  };
  return { url, port, host, ...controls, close: () => (closing ??= close()) };
}

function credentialsOf(options: S3ServerOptions): readonly Credential[] | null {
  const { accessKey, secretKey, credentials } = options;
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    throw new Error('an access key needs a secret key and the other way round');
  }
  const all = [...(credentials ?? [])];
  if (accessKey !== undefined && secretKey !== undefined) all.push({ accessKey, secretKey });
  return all.length === 0 && credentials === undefined ? null : all;
}

/** A TCP or TLS listener. For TLS, `lower` leads from a TLS socket to the TCP socket below, for resets. */
function createListener(
  options: S3ServerOptions,
  onConnection: (socket: Socket) => void,
  lower: WeakMap<Socket, Socket>,
  sockets: Set<Socket>,
): Server {
  if (options.tls === undefined) return createTcpServer(onConnection);
  const byPeer = new Map<string, Socket>();
  const listener = createTlsServer({ cert: options.tls.cert, key: options.tls.key, ALPNProtocols: ['http/1.1'] });
  listener.on('connection', (raw: Socket) => {
    const peer = `${raw.remoteAddress ?? ''} ${raw.remotePort ?? 0}`;
    byPeer.set(peer, raw);
    sockets.add(raw); // So that close() also ends handshakes that hang.
    raw.once('close', () => {
      sockets.delete(raw);
      if (byPeer.get(peer) === raw) byPeer.delete(peer);
    });
  });
  listener.on('secureConnection', (socket) => {
    const raw = byPeer.get(`${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`);
    if (raw !== undefined) lower.set(socket, raw);
    onConnection(socket);
  });
  listener.on('tlsClientError', () => undefined); // A client that does not trust us, or speaks plain HTTP: its affair.
  return listener;
}

function listen(listener: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen({ port, host, backlog: BACKLOG }, () => {
      listener.off('error', reject);
      resolve();
    });
  });
}
