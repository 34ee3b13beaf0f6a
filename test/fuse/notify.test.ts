/** Notifications: their bytes, what may be stored, and the queue and thread that run them. */
import t from 'tap';
import { InvariantError } from '../../src/base/invariant.js';
import { JOBS_POSTED_MAX, NotifierQueue, NotifierThread, type NotifierRequest } from '../../src/fuse/notifier-loop.js';
import { mayStore, runNotification, runStore, type Notification } from '../../src/fuse/notify.js';
import { FakeKernel } from '../support/fake-kernel.js';
import { fromHex } from './vectors.js';

t.test('bytes', (t) => {
  const cases: [Notification, string][] = [
    [
      { type: 'invalidateInode', nodeId: 0x1_0000_0002, offset: 4096, lengthBytes: 0x2_0000_0000 },
      '28000000 02000000 0x2 02000000 01000000 00100000 00000000 00000000 02000000',
    ],
    [
      { type: 'invalidateInode', nodeId: 7, offset: -1, lengthBytes: 0 },
      '28000000 02000000 0x2 07000000 00000000 ffffffff ffffffff 0x2',
    ],
    [
      { type: 'invalidateEntry', parent: 1, name: 'grün', expireOnly: false },
      '26000000 03000000 0x2 01000000 00000000 05000000 00000000 6772c3bc 6e00',
    ],
    [
      { type: 'invalidateEntry', parent: 1, name: 'a', expireOnly: true },
      '22000000 03000000 0x2 01000000 00000000 01000000 01000000 6100',
    ],
    [
      { type: 'delete', parent: 1, child: 9, name: 'abc' },
      '2c000000 06000000 0x2 01000000 00000000 09000000 00000000 03000000 00000000 61626300',
    ],
    [{ type: 'resend' }, '10000000 07000000 0x2'],
    [{ type: 'incrementEpoch' }, '10000000 08000000 0x2'],
  ];
  for (const [notification, hex] of cases) {
    const kernel = new FakeKernel();
    t.equal(runNotification(kernel, notification), 0);
    t.equal(kernel.notifications[0]?.toString('hex'), fromHex(hex).toString('hex'), JSON.stringify(notification));
  }
  const kernel = new FakeKernel();
  t.equal(runStore(kernel, 5, 0x1_0000_1000, [Buffer.from('abc'), Buffer.from('de')]), 0);
  t.equal(
    kernel.notifications[0]?.toString('hex'),
    fromHex('2d000000 04000000 0x2 05000000 00000000 00100000 01000000 05000000 00000000 61626364 65').toString('hex'),
  );
  for (const name of ['', 'x'.repeat(256)]) {
    t.throws(() => runNotification(kernel, { type: 'delete', parent: 1, child: 2, name }), InvariantError);
  }
  kernel.refuseNext = 2;
  t.equal(runNotification(kernel, { type: 'resend' }), 2, 'the kernel’s errno comes back');
  t.end();
});

t.test('what may be stored (kernel fact 9)', (t) => {
  const page = 4096;
  t.ok(mayStore(0, page, 10 * page, page));
  t.ok(mayStore(page, 3 * page, 10 * page, page));
  t.ok(mayStore(0, 100, 100, page), 'a last page that ends exactly with the object');
  t.ok(mayStore(2 * page, page + 17, 3 * page + 17, page));
  t.notOk(mayStore(100, page, 10 * page, page), 'not page-aligned');
  t.notOk(mayStore(0, 100, 200, page), 'ends inside a page before the end');
  t.notOk(mayStore(0, 2 * page, page + 5, page), 'past the end: the file would grow');
  t.notOk(mayStore(0, 0, page, page));
  t.end();
});

t.test('the thread runs one job and says what the kernel said', (t) => {
  const kernel = new FakeKernel();
  const thread = new NotifierThread(kernel);
  t.same(thread.run({ jobId: 3, job: { type: 'incrementEpoch' } }), { jobId: 3, errno: 0 });
  kernel.refuseNext = 2;
  t.same(thread.run({ jobId: 4, job: { type: 'resend' } }), { jobId: 4, errno: 2 });
  t.end();
});

t.test('the queue: bounded, in order, without repetitions', (t) => {
  const posted: NotifierRequest[] = [];
  const queue = new NotifierQueue((request) => posted.push(request), 3);
  const entry = (name: string): Notification => ({ type: 'invalidateEntry', parent: 1, name, expireOnly: false });
  const heard: number[] = [];
  t.ok(queue.push(entry('a'), (errno) => heard.push(errno)));
  t.ok(queue.push(entry('b')));
  t.equal(posted.length, JOBS_POSTED_MAX);
  t.ok(queue.push(entry('c')));
  t.ok(
    queue.push(entry('c'), (errno) => heard.push(errno)),
    'says what one that waits says',
  );
  t.ok(queue.push(entry('a')), 'the first `a` may be running: this one is another');
  t.ok(queue.push(entry('d')));
  t.notOk(queue.push(entry('e')), 'full');
  t.ok(queue.push(entry('d')), 'but a repetition needs no room');
  t.match(queue.stats(), { queued: 3, posted: 2, merged: 2, refused: 1 });
  for (let at = 0; at < posted.length; at++)
    queue.finished({ jobId: posted[at]?.jobId ?? 0, errno: at === 1 ? 16 : 2 });
  queue.finished({ jobId: 999, errno: 0 });
  t.same(
    posted.map(({ job }) => (job.type === 'invalidateEntry' ? job.name : job.type)),
    ['a', 'b', 'c', 'a', 'd'],
  );
  t.same(heard, [2, 2], 'who was merged hears, too');
  t.match(queue.stats(), { queued: 0, posted: 0, done: 5, failed: 1 });
  t.end();
});
