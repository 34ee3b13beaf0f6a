/**
 * The embedded server as a child process that a test can upset: fault rules, other credentials, and being gone for a
 * while on the same port. The servers of test/support never restart; here that is the point.
 * Refuses to run in the test's own process (a reader in the kernel would stop it).
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultRule } from '../../../dev/s3-server/server.js';
import { projectRoot } from '../../support/mount.js';
import { freePort, ServerStartError, startServerProcess, type ServerProcess } from '../../support/servers/child.js';
import { TEST_ACCESS_KEY, TEST_REGION, TEST_SECRET_KEY, type TestServer } from '../../support/servers/server.js';
import { makeTestCertificate } from '../../support/servers/tls.js';

/** Starts tried when somebody takes the port between our finding and binding it. */
const START_TRIES_MAX = 5;
const ADMIN_WAIT_MS = 20_000;

export interface FaultyServer extends TestServer {
  readonly pid: number;
  setFaults(rules: readonly FaultRule[]): Promise<void>;
  /** Accepts only this key pair from now on; null: checks nothing. */
  setCredentials(credentials: readonly { accessKey: string; secretKey: string }[] | null): Promise<void>;
  /** Times any rule acted since the start. */
  faultsInjected(): Promise<number>;
  /** Stops answering: the port is closed. Fault rules and counters are forgotten. */
  down(): Promise<void>;
  /** Back on the same port. */
  up(): Promise<void>;
}

/** Starts a server over `dataDir`, whose folders are the buckets. */
export async function startFaultyServer(
  dataDir: string,
  options: { readonly tls?: boolean; readonly flags?: readonly string[] } = {},
): Promise<FaultyServer> {
  mkdirSync(dataDir, { recursive: true });
  const certificate = options.tls === true ? await makeTestCertificate() : undefined;
  let port = await freePort();
  const start = (): Promise<ServerProcess> => {
    const flags = ['--dir', dataDir, '--port', String(port), '--region', TEST_REGION, '--admin'];
    flags.push('--access-key', TEST_ACCESS_KEY, '--secret-key', TEST_SECRET_KEY, ...(options.flags ?? []));
    if (certificate) flags.push('--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile);
    return startServerProcess(
      process.execPath,
      [join(projectRoot, 'dist/dev/s3-server/main.js'), '--host', '127.0.0.1', ...flags],
      port,
    );
  };
  /** `move`: another port will do. */
  const startOrRetry = async (move: boolean): Promise<ServerProcess> => {
    for (let tried = 1; ; tried++) {
      try {
        return await start();
      } catch (error) {
        if (!(error instanceof ServerStartError) || tried >= START_TRIES_MAX) throw error;
        if (move) port = await freePort();
        else await sleep(100);
      }
    }
  };
  let running = await startOrRetry(true);
  const endpoint = `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`;
  const ca = certificate && readFileSync(certificate.caFile);
  const admin = (path: string, body?: unknown): Promise<unknown> => askAdmin(`${endpoint}/-/${path}`, body, ca);
  return {
    name: 'builtin',
    endpoint,
    region: TEST_REGION,
    accessKey: TEST_ACCESS_KEY,
    secretKey: TEST_SECRET_KEY,
    dataDir,
    virtualHostDomain: 's3.localhost',
    deviations: new Set(),
    get pid() {
      return running.pid;
    },
    setFaults: async (rules) => void (await admin('faults', rules)),
    setCredentials: async (credentials) => void (await admin('credentials', credentials)),
    faultsInjected: async () => ((await admin('stats')) as { faultsInjected: number }).faultsInjected,
    down: () => running.stop(),
    up: async () => void (running = await startOrRetry(false)),
    ...(certificate ? { tlsCaFile: certificate.caFile } : {}),
    stop: async () => {
      await running.stop();
      await certificate?.remove();
    },
  };
}

/** A connection of its own each time: the server may have been away since the last one. */
function askAdmin(url: string, body: unknown, ca: Buffer | undefined): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const options = { method: body === undefined ? 'GET' : 'POST', agent: false, timeout: ADMIN_WAIT_MS } as const;
    const asked = (ca ? requestTls : request)(url, ca ? { ...options, ca } : options, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${url}: ${answer.statusCode} ${text}`));
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`${url}: no answer`)));
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
