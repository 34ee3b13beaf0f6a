/** What ObjectWriter promises, on the embedded server. */
import t from 'tap';
import { startBuiltin } from '../../support/servers/builtin.js';
import { runWriterContract } from './contract.js';
import { BUCKET } from './harness.js';

const server = await startBuiltin({ buckets: [BUCKET] });
t.teardown(() => server.stop());
runWriterContract(t, server);
