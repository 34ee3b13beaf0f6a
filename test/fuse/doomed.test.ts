/**
 * Who is killed while it waits for a commit does not wait for it, whoever else is told to end ends, and no other signal counts; and
 * from the mount's end on nobody waits for anything.
 */
import { spawn } from 'node:child_process';
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { EINTR, ENOTCONN } from '../../src/base/errno.js';
import { silentLog } from '../../src/base/log.js';
import { FuseDispatcher } from '../../src/fuse/dispatcher.js';
import { isBeingKilled } from '../../src/fuse/pending-signals.js';
import { LONG_WAIT_MS, LOOK_EVERY_MS } from '../../src/fuse/slow-reads.js';
import { encodeRequest, type Fields } from '../support/fake-kernel-codec.js';
import { ENTRY, RecordingHandlers } from '../support/fake-kernel-handlers.js';
import { FakeKernel, NEGOTIATED } from '../support/fake-kernel.js';

function bench() {
  const kernel = new FakeKernel();
  const handlers = new RecordingHandlers();
  const clock = new ManualClock();
  const killed = new Set<number>();
  const told = new Set<number>();
  const dispatcher = new FuseDispatcher(
    {},
    {
      handlers,
      writer: kernel,
      negotiated: NEGOTIATED,
      log: silentLog,
      clock,
      isBeingKilled: (pid) => killed.has(pid),
      isToldToEnd: (pid) => killed.has(pid) || told.has(pid),
    },
  );
  const send = (name: string, unique: number, pid: number, body: Fields = {}, tail: readonly string[] = []): void =>
    dispatcher.dispatch(kernel.sent(encodeRequest(name, { unique, uid: 0, pid }, body, tail)));
  const answers = (): (readonly [number, number])[] =>
    kernel.replies.map((reply) => [Number(reply.unique), reply.errno]);
  return { kernel, handlers, clock, killed, told, dispatcher, send, answers };
}

function open<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('a process that is killed in close or fsync is answered, and the commit goes on', async (t) => {
  const b = bench();
  const commit = open<void>();
  b.handlers.results['flush'] = commit.promise;
  b.handlers.results['fsync'] = commit.promise;
  b.send('FLUSH', 2, 7);
  b.send('FSYNC', 4, 8);
  b.killed.add(7);
  b.send('INTERRUPT', 3, 7, { unique: 2 });
  t.same(b.answers(), [[2, EINTR]], 'at once');
  b.send('INTERRUPT', 5, 8, { unique: 4 });
  b.clock.advance(3 * LOOK_EVERY_MS);
  t.same(b.answers(), [[2, EINTR]], 'a signal that the program handles makes nobody leave');
  b.killed.add(8);
  b.clock.advance(LOOK_EVERY_MS);
  t.same(b.answers().slice(1), [[4, EINTR]], 'SIGKILL behind it, of which the kernel does not tell');
  t.equal(b.clock.pending, 0);
  commit.resolve();
  await turn();
  t.equal(b.kernel.replies.length, 2, 'and no second answer');
  t.equal(b.dispatcher.stats().inFlight, 0);
});

t.test('a commit that fails after its caller has left answers nobody', async (t) => {
  const b = bench();
  const commit = open<void>();
  b.handlers.results['flush'] = commit.promise;
  b.killed.add(7);
  b.send('INTERRUPT', 3, 7, { unique: 2 });
  b.send('FLUSH', 2, 7);
  t.same(b.answers(), [[2, EINTR]], 'an INTERRUPT that came before its request');
  commit.reject(new Error('the store is away'));
  await turn();
  t.equal(b.kernel.replies.length, 1);
});

t.test('what waits for the store is told when its caller is to end, not of any signal', (t) => {
  const ways = ['UNLINK', 'LOOKUP', 'OPEN', 'GETXATTR'].flatMap((name) =>
    [false, true].map((early) => [name, early] as const),
  );
  for (const [name, isEarly] of ways) {
    const b = bench();
    b.handlers.results[name.toLowerCase()] = new Promise(() => undefined);
    if (isEarly) b.send('INTERRUPT', 3, 7, { unique: 2 });
    b.send(name, 2, 7, {}, name === 'OPEN' ? [] : ['a']);
    if (!isEarly) b.send('INTERRUPT', 3, 7, { unique: 2 });
    const signal = b.handlers.contexts[0]?.signal;
    b.clock.advance(5 * LOOK_EVERY_MS);
    t.equal(signal?.aborted, false, `${name}: a timer of the program`);
    b.told.add(7);
    b.clock.advance(LOOK_EVERY_MS);
    t.equal(signal?.aborted, true, 'Ctrl-C behind it');
    t.same(b.answers(), [], 'what it answers is its own affair');
    b.clock.advance(5 * LOOK_EVERY_MS);
    t.equal(b.clock.pending, 0, 'and nobody looks any more');
  }
  const b = bench();
  b.handlers.results['mkdir'] = new Promise(() => undefined);
  b.send('MKDIR', 2, 0, {}, ['a']);
  b.send('INTERRUPT', 3, 0, { unique: 2 });
  const signal = b.handlers.contexts[0]?.signal;
  t.equal(signal?.aborted, false);
  b.clock.advance(LONG_WAIT_MS);
  t.equal(signal?.aborted, true, 'of a caller whom we cannot see, in time');
  t.end();
});

t.test('at the end of the mount all are answered: who waits, and who comes', async (t) => {
  const b = bench();
  const lookup = open<typeof ENTRY>();
  b.handlers.results['lookup'] = lookup.promise;
  b.handlers.results['unlink'] = new Promise(() => undefined);
  b.send('LOOKUP', 2, 7, {}, ['a']);
  b.send('UNLINK', 4, 7, {}, ['b']);
  b.dispatcher.refuseAll(ENOTCONN);
  b.send('LOOKUP', 6, 7, {}, ['c']);
  lookup.resolve(ENTRY);
  await turn();
  t.same(b.answers(), [
    [2, ENOTCONN],
    [4, ENOTCONN],
    [6, ENOTCONN],
  ]);
});

t.test('a process whose signal nobody handles is being killed', async (t) => {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  const pid = child.pid ?? 0;
  t.notOk(isBeingKilled(pid));
  t.notOk(isBeingKilled(0), 'a caller from outside our pid namespace');
  child.kill('SIGSTOP');
  child.kill('SIGTERM');
  t.notOk(isBeingKilled(pid), 'one that is stopped may still be told otherwise');
  await turn();
});
