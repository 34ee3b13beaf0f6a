/** Look-ups in the table that ships, and in tables with what it does not have. */
import t from 'tap';
import { GIB } from '../../src/base/units.js';
import { findInstance, lookUpInstance } from '../../src/hwdetect/instance-table.js';

t.test('types', async (t) => {
  t.strictSame(await lookUpInstance('p5.48xlarge'), {
    vcpus: 192,
    memoryBytes: 2048 * GIB,
    gbpsBaseline: 3200,
    gbpsPeak: 3200,
    networkCards: 32,
    gpus: 8,
    gpu: 'h100',
    accelerators: 0,
    accelerator: undefined,
    localNvmeGb: 30_400,
  });
  t.match(await lookUpInstance('trn1n.32xlarge'), {
    networkCards: 16,
    accelerators: 16,
    accelerator: 'trainium',
    gpus: 0,
  });
  t.match(await lookUpInstance('c5n.large'), {
    memoryBytes: 5.25 * GIB,
    gbpsBaseline: 3,
    gbpsPeak: 25,
    networkCards: 1,
  });
  t.match(await lookUpInstance('u7i-12tb.224xlarge'), { vcpus: 896 });
  for (const unknown of ['p5.49xlarge', 'zz.large', 'p5', '', 'p5.48xlarge,1', 'large', 'c5n.larg']) {
    t.equal(await lookUpInstance(unknown), undefined, unknown);
  }
});

t.test('a size with nothing known, and the last line without an end', (t) => {
  const table = '\na1 large;medium,1\nzz one,2,4';
  t.match(findInstance(table, 'a1.large'), {
    vcpus: undefined,
    memoryBytes: undefined,
    gbpsPeak: undefined,
    networkCards: 1,
  });
  t.match(findInstance(table, 'a1.medium'), { vcpus: 1 });
  t.match(findInstance(table, 'zz.one'), { vcpus: 2, memoryBytes: 4 * GIB });
  t.end();
});
