/**
 * Certificates for HTTPS test servers, made when they are needed with the `openssl` binary.
 *
 * A checked-in certificate would expire some day and a checked-in key trips secret scanners; one made at run time does neither. The server
 * certificate is signed by a CA of its own, as in real life, so that `--ca-bundle` is tested against a chain. Refuses to work without
 * openssl: the error names the package.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TEST_VIRTUAL_HOST_DOMAIN } from './server.js';

const run = promisify(execFile);

/** PEM files in a temporary folder that `remove()` deletes. */
export interface TestCertificate {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  remove(): Promise<void>;
}

/** Makes a CA and a certificate for 127.0.0.1, localhost and the virtual-host domain, valid for two days. */
export async function makeTestCertificate(): Promise<TestCertificate> {
  const dir = await mkdtemp(join(tmpdir(), 's3x-tls-'));
  const at = (name: string): string => join(dir, name);
  const openssl = async (...args: string[]): Promise<void> => {
    try {
      await run('openssl', args, { timeout: 30_000 });
    } catch (error) {
      await rm(dir, { recursive: true, force: true });
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
        throw new Error('HTTPS tests need the openssl command: install the Debian package openssl', { cause: error });
      }
      throw error;
    }
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl(
    ...['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=mount-s3x test CA'],
    ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ...['-keyout', at('ca.key'), '-out', at('ca.pem')],
  );
  await openssl('req', ...newKey, '-subj', '/CN=127.0.0.1', '-keyout', at('server.key'), '-out', at('server.csr'));
  await writeFile(
    at('server.ext'),
    `subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:${TEST_VIRTUAL_HOST_DOMAIN},DNS:*.${TEST_VIRTUAL_HOST_DOMAIN}\n` +
      'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n',
  );
  await openssl(
    ...['x509', '-req', '-in', at('server.csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'],
    ...['-days', '2', '-extfile', at('server.ext'), '-out', at('server.pem')],
  );
  return {
    caFile: at('ca.pem'),
    certFile: at('server.pem'),
    keyFile: at('server.key'),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}
