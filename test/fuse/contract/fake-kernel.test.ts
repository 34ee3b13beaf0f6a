/** The contract over the fake kernel, with handlers that answer at once and with handlers that answer later. */
import t from 'tap';
import { silentLog } from '../../../src/base/log.js';
import { FuseDispatcher } from '../../../src/fuse/dispatcher.js';
import { FakeKernel, NEGOTIATED } from '../../support/fake-kernel.js';
import { MemoryFs } from '../../support/memory-fs.js';
import { contract, type Feature } from './contract.js';
import { fakeClient } from './fake-client.js';

for (const later of [false, true]) {
  t.test(`the contract over a fake kernel, handlers answer ${later ? 'later' : 'at once'}`, (t) =>
    contract(t, () => {
      const kernel = new FakeKernel();
      const fs = new MemoryFs();
      fs.later = later;
      const dispatcher = new FuseDispatcher(
        {},
        { handlers: fs, writer: kernel, negotiated: NEGOTIATED, log: silentLog },
      );
      return Promise.resolve({
        client: fakeClient(kernel, dispatcher),
        features: new Set<Feature>(['exact-names', 'exact-lookups', 'inode-numbers', 'times']),
        lookups: () => {
          if (fs.handles.size > 0) throw new Error(`${fs.handles.size} handles are open`);
          if (dispatcher.stats().inFlight > 0) throw new Error('requests are in flight');
          return Promise.resolve(fs.lookups);
        },
        end: () => Promise.resolve(),
      });
    }),
  );
}
