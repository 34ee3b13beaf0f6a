/**
 * The stores that rows are measured on: the embedded server over HTTP, the same over HTTPS, and over HTTP behind a network
 * distance. One server at a time, because a data directory has one server; each is a process of its own.
 * Refuses to leave anything running: close() ends what is there.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startServerProcess, type ServerProcess } from '../../test/support/servers/child.js';
import { makeTestCertificate, type TestCertificate } from '../../test/support/servers/tls.js';

export type StoreKind = 'plain' | 'tls' | 'far';

export const BUCKET = 'bench';
/** The bucket of a million keys: apart, so that only its own row pays for its index. */
export const MANY_BUCKET = 'bench-many';
/** What is written: apart from the data set, which stays as it is. */
export const WRITE_BUCKET = 'bench-write';
export const keys = { AWS_ACCESS_KEY_ID: 'bench-key', AWS_SECRET_ACCESS_KEY: 'bench-secret' };

export interface StoreAccess {
  /** What a mount is given. */
  readonly url: string;
  /** The server itself, for its counters. */
  readonly statsUrl: string;
  /** PEM file to trust, for HTTPS. */
  readonly ca: string | undefined;
  /** The folder of the buckets. */
  readonly data: string;
}

const root = fileURLToPath(new URL('../../..', import.meta.url));

export class Stores {
  readonly #options: { readonly data: string; readonly proxy: string | undefined };
  #server: { readonly kind: 'plain' | 'tls'; readonly url: string; readonly process: ServerProcess } | undefined;
  #proxy: { readonly url: string; readonly process: ServerProcess } | undefined;
  #certificate: TestCertificate | undefined;

  constructor(options: { data: string; proxy: string | undefined }) {
    this.#options = options;
  }

  /** Starts what the kind needs, ends what it does not. */
  async use(kind: StoreKind): Promise<StoreAccess> {
    const server = await this.#serve(kind === 'tls' ? 'tls' : 'plain');
    const ca = kind === 'tls' ? this.#certificate?.caFile : undefined;
    const url = kind === 'far' ? await this.#distance(server) : server;
    return { url, statsUrl: server, ca, data: this.#options.data };
  }

  async close(): Promise<void> {
    await this.#proxy?.process.stop();
    await this.#server?.process.stop();
    await this.#certificate?.remove();
    this.#proxy = this.#server = this.#certificate = undefined;
  }

  async #serve(kind: 'plain' | 'tls'): Promise<string> {
    if (this.#server?.kind === kind) return this.#server.url;
    await this.close();
    mkdirSync(join(this.#options.data, WRITE_BUCKET), { recursive: true });
    const port = await freePort();
    const args = ['--dir', this.#options.data, '--port', String(port), '--admin', '--public-bucket', BUCKET];
    args.push('--access-key', keys.AWS_ACCESS_KEY_ID, '--secret-key', keys.AWS_SECRET_ACCESS_KEY);
    if (kind === 'tls') {
      this.#certificate = await makeTestCertificate();
      args.push('--tls-cert', this.#certificate.certFile, '--tls-key', this.#certificate.keyFile);
    }
    const program = join(root, 'dist/dev/s3-server/main.js');
    const process_ = await startServerProcess(process.execPath, [program, ...args], port);
    const url = `${kind === 'tls' ? 'https' : 'http'}://127.0.0.1:${port}`;
    this.#server = { kind, url, process: process_ };
    return url;
  }

  async #distance(server: string): Promise<string> {
    if (this.#proxy) return this.#proxy.url;
    const port = await freePort();
    const flags = ['--listen', `127.0.0.1:${port}`, '--to', new URL(server).host, '--latency', '20ms'];
    flags.push('--jitter', '5ms', '--rate', '90');
    const own = join(root, 'dist/dev/latency-proxy/main.js');
    const { proxy } = this.#options;
    const command: [string, string[]] = proxy === undefined ? [process.execPath, [own, ...flags]] : [proxy, flags];
    const process_ = await startServerProcess(...command, port);
    this.#proxy = { url: `http://127.0.0.1:${port}`, process: process_ };
    return this.#proxy.url;
  }
}
