/**
 * The embedded server (dev/s3-server) for tests.
 *
 * `startBuiltinProcess` runs it as users do, as a process of its own: tests that mount need that, because a reader that waits in the kernel
 * would also stop a server that lives in the same process. This file adds nothing to the server: what it cannot do, tests do not get.
 */
import { join } from 'node:path';
import { freePort, ServerStartError, startServerProcess } from './child.js';
import { prepareDataDir } from './data-dir.js';
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
import { projectRoot } from './versitygw.js';

/** The embedded server is what the contract table describes. */
const DEVIATIONS: ReadonlySet<Deviation> = new Set<Deviation>();
/** Starts tried when another process takes the port between finding it free and binding it. */
const START_TRIES_MAX = 3;

/** Starts dist/dev/s3-server/main.js as a child process. */
export async function startBuiltinProcess(options: CommonServerOptions = {}): Promise<TestServer> {
  const data = await prepareDataDir(options);
  const certificate = options.tls === true ? await makeTestCertificate() : undefined;
  const release = async (): Promise<void> => {
    await data.release();
    await certificate?.remove();
  };
  const start = async (triesLeft: number): Promise<{ port: number; stop: () => Promise<void> }> => {
    const port = await freePort();
    const main = join(projectRoot(), 'dist', 'dev', 's3-server', 'main.js');
    const args = [main, '--dir', data.path, '--port', String(port), '--host', '127.0.0.1'];
    args.push('--access-key', TEST_ACCESS_KEY, '--secret-key', TEST_SECRET_KEY);
    if (certificate !== undefined) args.push('--tls-cert', certificate.certFile, '--tls-key', certificate.keyFile);
    try {
      const child = await startServerProcess(process.execPath, args, port);
      return { port, stop: () => child.stop() };
    } catch (error) {
      if (error instanceof ServerStartError && /EADDRINUSE|in use/.test(error.output) && triesLeft > 1) {
        return start(triesLeft - 1);
      }
      throw error;
    }
  };
  try {
    const { port, stop } = await start(START_TRIES_MAX);
    return {
      name: 'builtin',
      endpoint: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
      region: TEST_REGION,
      accessKey: TEST_ACCESS_KEY,
      secretKey: TEST_SECRET_KEY,
      ...(certificate === undefined ? {} : { tlsCaFile: certificate.caFile }),
      dataDir: data.path,
      virtualHostDomain: TEST_VIRTUAL_HOST_DOMAIN,
      deviations: DEVIATIONS,
      stop: async () => {
        await stop();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}
