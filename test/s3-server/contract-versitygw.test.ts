/**
 * The contract table on versitygw, a real server: what the table says is not only what the embedded server's author believes.
 *
 * Skipped, with the reason printed, where the binary is missing.
 */
import t from 'tap';
import { startVersitygw } from '../support/servers/versitygw.js';
import { CONTRACT_CASES } from './cases/index.js';
import { runContract } from './run-contract.js';

t.setTimeout(300_000);
await runContract(t, CONTRACT_CASES, () => startVersitygw());
