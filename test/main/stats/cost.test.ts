/** The estimate of what requests cost: by hand, and what is not billed. */
import t from 'tap';
import { estimateCost, S3_EXPRESS_PRICES, S3_STANDARD_PRICES } from '../../../src/main/stats/cost.js';

t.test('a bill by hand', (t) => {
  const { total, byOperation, currency, prices } = estimateCost(
    {
      get: { ok: 10_000, slow_down: 5000, server_error: 7, cancelled: 1 },
      head: { ok: 5000, refused: 5000 },
      list: { ok: 200 },
      put: { ok: 999, no_answer: 1 },
      delete: { ok: 1_000_000 },
    },
    S3_STANDARD_PRICES,
  );
  t.equal(byOperation.get?.requests, 10_001, 'S3 bills no 5xx');
  t.equal(byOperation.head?.requests, 10_000, '4xx answers are billed');
  t.equal(byOperation.put?.requests, 1000, 'what may have been done counts');
  t.equal(byOperation.delete?.cost, 0);
  t.equal(byOperation.copy, undefined);
  // 10,001 GETs 0.0040004, 10,000 HEADs 0.004, 200 LISTs 0.001, 1,000 PUTs 0.005
  t.equal(total.toFixed(7), '0.0140004');
  t.equal(currency, 'USD');
  t.match(prices, { name: /us-east-1/, date: /^\d{4}-\d\d-\d\d$/ });
  t.end();
});

t.test('nothing costs nothing; directory buckets have prices of their own', (t) => {
  t.match(estimateCost({}, S3_STANDARD_PRICES), { total: 0, byOperation: {} });
  t.equal(estimateCost({ get: { ok: 1_000_000 } }, S3_EXPRESS_PRICES).total.toFixed(4), '0.0300');
  t.end();
});
