/**
 * What scenes of the scheduler are made of: the embedded server behind a distance of the scene's own, faults, one or two
 * mounts, and bench/sched-bench.py on them. Everything that a scene starts is ended with it.
 * Refuses to judge: scenes.ts does.
 */
import { execFile, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, startServerProcess, type ServerProcess } from '../../test/support/servers/child.js';
import type { BenchOptions } from './options.js';
import { withMount, type Mounted } from './sides.js';
import { BUCKET, WRITE_BUCKET, type StoreAccess } from './stores.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const program = join(root, 'dist/bundle/bin/mount-s3x.js');
/** The slowest test, a stream of 4 GiB at 100 MB/s, takes 43 s. */
const READER_WAIT_MS = 120_000;

/** The last line of sched-bench.py. */
export interface SchedSample {
  readonly value?: number;
  readonly bins?: readonly number[];
  readonly p50_ms?: number;
  readonly p99_ms?: number;
  readonly max_ms?: number;
}

/** Counters of the server's GETs. */
export interface GetCounts {
  readonly requests: number;
  readonly slowDowns: number;
  readonly bytesOut: number;
}

/** Of `mount-s3x stats --json`, since the mount began. */
export interface NetworkCounts {
  readonly requests: number;
  readonly hedges: number;
  readonly resumed: number;
  readonly slowDowns: number;
  readonly retries: number;
}

export class SceneTools {
  readonly options: BenchOptions;
  readonly #store: StoreAccess;
  #proxy: { readonly flags: string; readonly url: string; readonly process: ServerProcess } | undefined;

  constructor(options: BenchOptions, store: StoreAccess) {
    this.options = options;
    this.#store = store;
  }

  /** The store behind dev/latency-proxy with these flags; without any, the store itself. */
  async behind(flags: readonly string[] | undefined): Promise<StoreAccess> {
    if (flags === undefined) return this.#store;
    const wanted = flags.join(' ');
    if (this.#proxy?.flags !== wanted) {
      await this.#endProxy();
      const port = await freePort();
      const all = ['--listen', `127.0.0.1:${port}`, '--to', new URL(this.#store.statsUrl).host, ...flags];
      const { proxy } = this.options;
      const own = join(root, 'dist/dev/latency-proxy/main.js');
      const command: [string, string[]] = proxy === undefined ? [process.execPath, [own, ...all]] : [proxy, all];
      const process_ = await startServerProcess(...command, port);
      this.#proxy = { flags: wanted, url: `http://127.0.0.1:${port}`, process: process_ };
    }
    return { ...this.#store, url: this.#proxy.url };
  }

  /** Replaces the server's fault rules. */
  async faults(rules: readonly object[]): Promise<void> {
    await this.#admin('POST', '/-/faults', rules);
  }

  async gets(): Promise<GetCounts> {
    const stats = (await this.#admin('GET', '/-/stats')) as {
      operations: Partial<
        Record<string, { requests: number; bytesOut: number; errors: Partial<Record<string, number>> }>
      >;
    };
    const { requests = 0, bytesOut = 0, errors = {} } = stats.operations['GetObject'] ?? {};
    return { requests, bytesOut, slowDowns: errors['SlowDown'] ?? 0 };
  }

  /** Mounts with these flags besides --memory-target, and gives the mount to `work`. */
  mounted<T>(
    access: StoreAccess,
    flags: readonly string[],
    work: (mounted: Mounted) => Promise<T>,
    writes = false,
  ): Promise<T> {
    const all = ['--memory-target', String(this.options.memoryTargetMib), ...flags, ...this.options.ownFlags];
    return withMount('mount-s3x', writes ? WRITE_BUCKET : BUCKET, access, all, work);
  }

  /** One run of sched-bench.py. Throws with what it said when it failed. */
  async bench({ mountPoint }: Mounted, args: readonly string[]): Promise<SchedSample> {
    const script = join(root, 'bench/sched-bench.py');
    const child = spawn(this.options.python, [script, '--mount', mountPoint, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), READER_WAIT_MS);
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
    clearTimeout(timer);
    if (code !== 0) throw new Error(`sched-bench.py ${args.join(' ')} ended with ${code ?? 'a signal'}`);
    return JSON.parse(text) as SchedSample;
  }

  /** A fresh mount for one run. */
  run(access: StoreAccess, flags: readonly string[], args: readonly string[], writes = false): Promise<SchedSample> {
    return this.mounted(access, flags, (mounted) => this.bench(mounted, args), writes);
  }

  /** What `mount-s3x stats` says of the network. */
  async network({ mountPoint }: Mounted): Promise<NetworkCounts> {
    const { stdout } = await promisify(execFile)(process.execPath, [program, 'stats', mountPoint, '--once', '--json']);
    return (JSON.parse(stdout) as { network: NetworkCounts }).network;
  }

  async close(): Promise<void> {
    await this.#endProxy();
  }

  async #endProxy(): Promise<void> {
    await this.#proxy?.process.stop();
    this.#proxy = undefined;
  }

  async #admin(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(`${this.#store.statsUrl}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}
