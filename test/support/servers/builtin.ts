/**
 * The embedded server (dev/s3-server) for tests: in this process, or as a process of its own.
 *
 * In process it is quick to start and its counters and fault rules are at hand. Tests that mount need the process of its own: a reader that
 * waits in the kernel would also stop a server that lives in the same process, for ever. This file adds nothing to the server: what it
 * cannot do, tests do not get.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startS3Server, type FaultRule, type S3Server } from '../../../dev/s3-server/server.js';
import { freePort, ServerStartError, startServerProcess } from './child.js';
import { prepareDataDir } from './data-dir.js';
import { projectRoot } from './project-root.js';
import {
  TEST_ACCESS_KEY,
  TEST_REGION,
  TEST_SECRET_KEY,
  TEST_VIRTUAL_HOST_DOMAIN,
  type CommonServerOptions,
  type Deviation,
  type TestServer,
} from './server.js';
import { makeTestCertificate } from './tls.js';

/** The embedded server is what the contract table describes. */
const DEVIATIONS: ReadonlySet<Deviation> = new Set<Deviation>();
/** Starts tried when another process takes the port between finding it free and binding it. */
const START_TRIES_MAX = 3;

/** What both ways of starting accept. */
export interface BuiltinOptions extends CommonServerOptions {
  readonly faults?: readonly FaultRule[];
  /** Buckets that live in another region; asking here is redirected. */
  readonly bucketRegions?: Readonly<Record<string, string>>;
  /** Buckets that need no signature to be read. */
  readonly publicBuckets?: readonly string[];
  /** Smallest part but the last. Default 5 MiB. */
  readonly minPartBytes?: number;
  /** Life of a directory bucket's session. Default 300, as S3. */
  readonly sessionSeconds?: number;
  /** The key pair is temporary and needs this token. */
  readonly sessionToken?: string;
}

/** Where a server process runs that is reached over a network of the test's own making. */
export interface ServerPlace {
  /** Address that it listens at, reachable from here. */
  readonly host: string;
  /** What stands before its command line, such as `ip netns exec NAME`. */
  readonly enter: readonly [string, ...string[]];
}

/** A server in this process, with its own controls (counters, fault rules). */
export interface BuiltinServer extends TestServer {
  readonly controls: S3Server;
  /** Internal errors that the server reported; a test that expects none compares with `[]`. */
  readonly reports: readonly unknown[];
}

/** Starts the server in this process. Not for tests that read through a mount: see above. */
export async function startBuiltin(options: BuiltinOptions = {}): Promise<BuiltinServer> {
  const prepared = await prepare(options);
  try {
    const tls = prepared.certificate;
    const reports: unknown[] = [];
    const controls = await startS3Server({
      dir: prepared.dataDir,
      credentials: [
        {
          accessKey: TEST_ACCESS_KEY,
          secretKey: TEST_SECRET_KEY,
          ...(options.sessionToken === undefined ? {} : { sessionToken: options.sessionToken }),
        },
      ],
      region: TEST_REGION,
      domains: [TEST_VIRTUAL_HOST_DOMAIN],
      report: (error) => reports.push(error),
      ...(tls === undefined ? {} : { tls: { cert: await readFile(tls.certFile), key: await readFile(tls.keyFile) } }),
      ...(options.faults === undefined ? {} : { faults: options.faults }),
      ...(options.bucketRegions === undefined ? {} : { bucketRegions: options.bucketRegions }),
      ...(options.publicBuckets === undefined ? {} : { publicBuckets: options.publicBuckets }),
      ...(options.minPartBytes === undefined ? {} : { minPartBytes: options.minPartBytes }),
      ...(options.sessionSeconds === undefined ? {} : { sessionSeconds: options.sessionSeconds }),
    });
    return { ...describe(prepared, controls.port, () => controls.close()), controls, reports };
  } catch (error) {
    await prepared.release();
    throw error;
  }
}

/** Starts dist/dev/s3-server/main.js as a child process; its admin endpoint (`/-/stats`, `/-/faults`) is on. */
export async function startBuiltinProcess(
  options: BuiltinOptions & { readonly place?: ServerPlace } = {},
): Promise<TestServer> {
  const prepared = await prepare(options);
  const files = await mkdtemp(join(tmpdir(), 's3x-server-'));
  const release = async (): Promise<void> => {
    await rm(files, { recursive: true, force: true });
    await prepared.release();
  };
  const args = [join(projectRoot(), 'dist', 'dev', 's3-server', 'main.js')];
  const flag = (name: string, value: string): void => void args.push(`--${name}`, value);
  try {
    flag('dir', prepared.dataDir);
    flag('host', options.place?.host ?? '127.0.0.1');
    flag('access-key', TEST_ACCESS_KEY);
    flag('secret-key', TEST_SECRET_KEY);
    flag('region', TEST_REGION);
    flag('domain', TEST_VIRTUAL_HOST_DOMAIN);
    args.push('--admin');
    if (prepared.certificate !== undefined) {
      flag('tls-cert', prepared.certificate.certFile);
      flag('tls-key', prepared.certificate.keyFile);
    }
    if (options.sessionToken !== undefined) flag('session-token', options.sessionToken);
    if (options.minPartBytes !== undefined) flag('min-part-size', String(options.minPartBytes));
    if (options.sessionSeconds !== undefined) flag('session-seconds', String(options.sessionSeconds));
    for (const bucket of options.publicBuckets ?? []) flag('public-bucket', bucket);
    for (const [bucket, region] of Object.entries(options.bucketRegions ?? {})) {
      flag('bucket-region', `${bucket}=${region}`);
    }
    if (options.faults !== undefined) {
      await writeFile(join(files, 'faults.json'), JSON.stringify(options.faults));
      flag('faults', join(files, 'faults.json'));
    }
    const { port, pid, stop } = await startOnFreePort(args, START_TRIES_MAX, options.place);
    return { ...describe({ ...prepared, release }, port, stop, options.place?.host), pid };
  } catch (error) {
    await release();
    throw error;
  }
}

/** What must exist before the server starts and be removed after it ended. */
interface Prepared {
  readonly dataDir: string;
  readonly certificate: { readonly caFile: string; readonly certFile: string; readonly keyFile: string } | undefined;
  release(): Promise<void>;
}

async function prepare(options: BuiltinOptions): Promise<Prepared> {
  const data = await prepareDataDir(options);
  const certificate = options.tls === true ? await makeTestCertificate() : undefined;
  return {
    dataDir: data.path,
    certificate,
    release: async () => {
      await data.release();
      await certificate?.remove();
    },
  };
}

function describe(prepared: Prepared, port: number, stop: () => Promise<void>, host = '127.0.0.1'): TestServer {
  const { certificate } = prepared;
  return {
    name: 'builtin',
    endpoint: `${certificate === undefined ? 'http' : 'https'}://${host}:${port}`,
    region: TEST_REGION,
    accessKey: TEST_ACCESS_KEY,
    secretKey: TEST_SECRET_KEY,
    ...(certificate === undefined ? {} : { tlsCaFile: certificate.caFile }),
    dataDir: prepared.dataDir,
    virtualHostDomain: TEST_VIRTUAL_HOST_DOMAIN,
    deviations: DEVIATIONS,
    stop: async () => {
      await stop();
      await prepared.release();
    },
  };
}

async function startOnFreePort(
  args: readonly string[],
  triesLeft: number,
  place?: ServerPlace,
): Promise<{ port: number; pid: number; stop: () => Promise<void> }> {
  const port = await freePort();
  try {
    const [command, ...words] = [...(place?.enter ?? []), process.execPath, ...args, '--port', String(port)];
    const child = await startServerProcess(command, words, port, {}, place?.host);
    return { port, pid: child.pid, stop: () => child.stop() };
  } catch (error) {
    if (error instanceof ServerStartError && error.output.includes('EADDRINUSE') && triesLeft > 1) {
      return startOnFreePort(args, triesLeft - 1, place);
    }
    throw error;
  }
}
