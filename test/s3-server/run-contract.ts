/**
 * Runs the contract table against one server, as tap subtests.
 *
 * A case that is known to fail on this server must fail, and in the known way; when it passes the deviation is out of date and that is a
 * failure too. Skipped cases print their reason. The runner owns client and buckets; `CASE` in the environment runs only the cases whose
 * name contains it.
 */
import assert from 'node:assert/strict';
import type { Test } from 'tap';
import { isUnavailable, type ServerUnavailable, type TestServer } from '../support/servers/server.js';
import { clientOf, createBucket, type CaseContext, type CaseDeviation, type ContractCase } from './cases/context.js';

/** Runs all cases; `start` may give a reason instead of a server, which is printed. */
export async function runContract(
  t: Test,
  cases: readonly ContractCase[],
  start: () => Promise<TestServer | ServerUnavailable>,
): Promise<void> {
  const names = new Set(cases.map((one) => one.name));
  assert.equal(names.size, cases.length, 'names of cases are unique');
  const server = await start();
  if (isUnavailable(server)) {
    t.comment(`SKIPPED: ${server.skip}`);
    t.pass('server not available', { skip: server.skip });
    return;
  }
  const s3 = clientOf(server);
  t.teardown(async () => {
    s3.destroy();
    await server.stop();
  });
  const only = process.env['CASE'] ?? '';
  for (const one of cases.filter((candidate) => candidate.name.includes(only))) {
    const deviation = one.deviations?.[server.name];
    if (deviation?.skip === true) {
      t.pass(one.name, { skip: deviation.reason });
      continue;
    }
    await t.test(one.name, async (tt) => {
      const ctx: CaseContext = { server, s3, bucket: await createBucket(s3), newBucket: () => createBucket(s3) };
      if (deviation === undefined) {
        await one.run(ctx);
        tt.pass('as S3 does');
      } else {
        await expectDeviation(one, ctx, deviation);
        tt.pass(`deviates as known: ${deviation.reason}`);
      }
    });
  }
}

async function expectDeviation(one: ContractCase, ctx: CaseContext, deviation: CaseDeviation): Promise<void> {
  try {
    await one.run(ctx);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    assert.match(message, deviation.failsWith ?? /(?:)/, `deviates in another way than listed (${deviation.reason})`);
    return;
  }
  assert.fail(`no longer deviates: take "${deviation.reason}" off the case`);
}
