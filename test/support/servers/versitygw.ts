/**
 * versitygw, a real S3 server on plain files, for tests.
 *
 * The embedded server is written by the people who write its client, so both may share a mistake; versitygw was written by others and is
 * held against AWS by its own authors. The binary is looked for and never installed from here (.ci/install-test-servers does that); a test
 * prints the reason when it is missing.
 */
import { freePort, ServerStartError, startServerProcess } from './child.js';
import { prepareDataDir } from './data-dir.js';
import { findProgram } from './find-program.js';
import {
  TEST_ACCESS_KEY,
  TEST_REGION,
  TEST_SECRET_KEY,
  TEST_VIRTUAL_HOST_DOMAIN,
  type CommonServerOptions,
  type Deviation,
  type ServerUnavailable,
  type TestServer,
} from './server.js';
import { makeTestCertificate } from './tls.js';

/** The version that the deviations of the contract table were read from. */
export const VERSITYGW_VERSION = '1.8.0';
/** Starts tried when another process takes the port between finding it free and binding it. */
const START_TRIES_MAX = 3;

/**
 * Files laid into the folder by hand have no ETag in versitygw unless this names one; all share it, so a test that replaces such a file
 * must do it through the API.
 */
const LAID_FILE_ETAG = '"d3adbeefd3adbeefd3adbeefd3adbeef"';

const DEVIATIONS: ReadonlySet<Deviation> = new Set<Deviation>([
  'no-rename-object',
  'no-file-beside-directory',
  'no-unclean-paths',
  'no-long-segments',
  'no-encoding-type',
  'copy-ignores-if-none-match',
  'unknown-access-key-is-404',
  'start-after-inside-common-prefix',
]);

/** Starts versitygw, or says why this machine cannot. */
export async function startVersitygw(options: CommonServerOptions = {}): Promise<TestServer | ServerUnavailable> {
  const binary = await findProgram('versitygw', 'VERSITYGW');
  if (binary === undefined) {
    return {
      skip:
        `versitygw not found (looked at $VERSITYGW, PATH, the Go bin folder and .cache/bin): run .ci/install-test-servers, or ` +
        `go install github.com/versity/versitygw/cmd/versitygw@v${VERSITYGW_VERSION}`,
    };
  }
  const data = await prepareDataDir(options);
  const certificate = options.tls === true ? await makeTestCertificate() : undefined;
  const start = async (triesLeft: number): Promise<{ port: number; pid: number; stop: () => Promise<void> }> => {
    const port = await freePort();
    const tlsArgs = certificate === undefined ? [] : ['--cert', certificate.certFile, '--key', certificate.keyFile];
    const listenArgs = [
      '--port',
      `127.0.0.1:${port}`,
      '--virtual-domain',
      TEST_VIRTUAL_HOST_DOMAIN,
      '--region',
      TEST_REGION,
    ];
    try {
      // Without --keep-alive it closes after each answer, which would hide everything the cases say about reused connections.
      const child = await startServerProcess(
        binary,
        ['--quiet', '--keep-alive', ...listenArgs, ...tlsArgs, 'posix', '--default-etag', LAID_FILE_ETAG, data.path],
        port,
        { ROOT_ACCESS_KEY: TEST_ACCESS_KEY, ROOT_SECRET_KEY: TEST_SECRET_KEY },
      );
      return { port, pid: child.pid, stop: () => child.stop() };
    } catch (error) {
      if (error instanceof ServerStartError && /address already in use/.test(error.output) && triesLeft > 1) {
        return start(triesLeft - 1);
      }
      throw error;
    }
  };
  const release = async (): Promise<void> => {
    await data.release();
    await certificate?.remove();
  };
  try {
    const { port, pid, stop } = await start(START_TRIES_MAX);
    return {
      name: 'versitygw',
      endpoint: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
      region: TEST_REGION,
      accessKey: TEST_ACCESS_KEY,
      secretKey: TEST_SECRET_KEY,
      ...(certificate === undefined ? {} : { tlsCaFile: certificate.caFile }),
      dataDir: data.path,
      virtualHostDomain: TEST_VIRTUAL_HOST_DOMAIN,
      deviations: DEVIATIONS,
      pid,
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
