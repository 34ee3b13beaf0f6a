/**
 * What ObjectWriter promises, on versitygw, a real server with its own ideas.
 *
 * Skipped, with the reason printed, where the binary is missing.
 */
import t from 'tap';
import { startVersitygw } from '../../support/servers/versitygw.js';
import { runWriterContract } from './contract.js';
import { BUCKET } from './harness.js';

t.setTimeout(120_000);
const server = await startVersitygw({ buckets: [BUCKET] });
if ('skip' in server) {
  t.comment(`SKIPPED: ${server.skip}`);
  t.pass('server not available', { skip: server.skip });
} else {
  t.teardown(() => server.stop());
  runWriterContract(t, server, {
    conditionalCopies: true,
    describe: 'versitygw keeps no storage class or does not count tags in answers to HEAD',
  });
}
