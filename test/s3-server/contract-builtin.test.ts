/**
 * The contract table on the embedded server: over HTTP in this process, and a part of it over HTTPS in a process of its own.
 *
 * The embedded server has no deviations; a case that fails here is a bug of the server.
 */
import t from 'tap';
import { startBuiltin, startBuiltinProcess } from '../support/servers/builtin.js';
import { CONTRACT_CASES } from './cases/index.js';
import { runContract } from './run-contract.js';

/** TLS and the command line change nothing about most cases; these are the ones that move bytes or care about connections. */
const OVER_TLS =
  /^(get: (whole|object of several|ranges of|an answer)|put: (chunked|unsigned|stream|a client)|http|addressing|race)/;

t.setTimeout(300_000);
t.test('over HTTP, in process', async (t) => {
  const server = await startBuiltin();
  await runContract(t, CONTRACT_CASES, () => Promise.resolve(server));
  t.same(server.reports, [], 'no internal error was reported');
});
t.test('over HTTPS, as a process', (t) =>
  runContract(
    t,
    CONTRACT_CASES.filter((one) => OVER_TLS.test(one.name)),
    () => startBuiltinProcess({ tls: true }),
  ),
);
