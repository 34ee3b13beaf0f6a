/**
 * The dispatcher against a fake kernel: failures, interrupts in every order, replies that the kernel does not take, what
 * is answered without a handler, and the bounds.
 */
import t from 'tap';
import { ManualClock } from '../../src/base/clock.js';
import { EINTR, ENOENT, ErrnoError } from '../../src/base/errno.js';
import { InvariantError } from '../../src/base/invariant.js';
import { silentLog, type Log } from '../../src/base/log.js';
import { FuseDispatcher, type DispatcherOptions } from '../../src/fuse/dispatcher.js';
import type { DirectorySink, FuseHandlers, ReadHandover } from '../../src/fuse/handlers.js';
import { EARLY_INTERRUPTS_MAX } from '../../src/fuse/interrupts.js';
import { encodeRequest, type Fields } from '../support/fake-kernel-codec.js';
import { ENTRY, RecordingHandlers } from '../support/fake-kernel-handlers.js';
import { FakeKernel, NEGOTIATED } from '../support/fake-kernel.js';

interface Bench {
  readonly kernel: FakeKernel;
  readonly handlers: RecordingHandlers;
  readonly dispatcher: FuseDispatcher;
  readonly errors: string[];
  readonly clock: ManualClock;
  rooms: number;
  send(
    name: string,
    body?: Fields,
    tail?: readonly (string | Uint8Array)[],
    unique?: number | bigint,
    uid?: number,
  ): void;
  /** errno of the only reply so far, -1 when there is none. */
  errno(): number;
}

function bench(options: DispatcherOptions = {}, handlers: FuseHandlers = new RecordingHandlers()): Bench {
  const kernel = new FakeKernel();
  const errors: string[] = [];
  const clock = new ManualClock();
  const log: Log = { ...silentLog, error: (_fields, message) => void errors.push(message) };
  const result: Bench = {
    kernel,
    handlers: handlers as RecordingHandlers,
    errors,
    clock,
    rooms: 0,
    dispatcher: new FuseDispatcher(options, {
      handlers,
      writer: kernel,
      negotiated: NEGOTIATED,
      log,
      clock,
      onRoom: () => result.rooms++,
    }),
    send: (name, body, tail, unique = 2, uid = 1000) =>
      result.dispatcher.dispatch(kernel.sent(encodeRequest(name, { unique, uid }, body, tail))),
    errno: () => {
      if (kernel.replies.length > 1) throw new Error(`${kernel.replies.length} replies`);
      return kernel.replies[0]?.errno ?? -1;
    },
  };
  return result;
}

/** Lets settled promises run their course. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('a handler that throws is EIO and one line, now and later', async (t) => {
  const b = bench();
  b.handlers.results['lookup'] = new TypeError('no such method');
  b.send('LOOKUP', {}, ['a']);
  t.equal(b.errno(), 5);
  t.equal(b.errors.length, 1);
  t.match(b.errors[0], /LOOKUP.*no such method/);
  b.handlers.results['getattr'] = Promise.reject(new RangeError('later'));
  b.send('GETATTR', {}, [], 4);
  t.equal(b.dispatcher.stats().inFlight, 1);
  await turn();
  t.equal(b.kernel.replies[1]?.errno, 5);
  t.equal(b.errors.length, 2);
  b.handlers.results['read'] = new TypeError('in read');
  b.send('READ', { fh: 1, size: 10 }, [], 6);
  t.equal(b.kernel.replies[2]?.errno, 5);
  b.handlers.results['readdir'] = new TypeError('in readdir');
  b.send('READDIR', { fh: 1, size: 4096 }, [], 8);
  t.equal(b.kernel.replies[3]?.errno, 5);
  b.handlers.results['getattr'] = undefined;
  b.send('GETATTR', {}, [], 10);
  t.equal(b.kernel.replies[4]?.errno, 5, 'a handler that answers nonsense');
  b.handlers.results['getattr'] = Promise.resolve({});
  b.send('GETATTR', {}, [], 12);
  await turn();
  t.equal(b.kernel.replies[5]?.errno, 5, 'nonsense later');
  b.handlers.results['forget'] = new Error('in forget');
  b.send('FORGET', { nlookup: 1 }, [], 14);
  t.equal(b.errors.length, 7, 'FORGET has no reply to put it in');
  t.equal(b.kernel.waiting, 1, 'the FORGET');
  t.equal(b.dispatcher.stats().inFlight, 0);
});

t.test('an ErrnoError is its number, and EIO alone is an error line', (t) => {
  const b = bench();
  b.handlers.results['lookup'] = new ErrnoError(ENOENT, 'no such key');
  b.send('LOOKUP', {}, ['a']);
  t.equal(b.errno(), 2);
  t.same(b.errors, []);
  b.handlers.results['lookup'] = new ErrnoError(5, 's3://b/k: gave up after 10 attempts');
  b.send('LOOKUP', {}, ['a'], 4);
  t.equal(b.kernel.replies[1]?.errno, 5);
  t.match(b.errors[0], /gave up after 10 attempts/);
  b.handlers.results['lookup'] = new ErrnoError(100_000, 'no errno at all');
  b.send('LOOKUP', {}, ['a'], 6);
  t.equal(b.kernel.replies[2]?.errno, 5, 'a number that the kernel would not take');
  t.end();
});

t.test('a storm of failures is a few lines a second', (t) => {
  const b = bench();
  b.handlers.results['lookup'] = new Error('down');
  for (let n = 1; n <= 1000; n++) b.send('LOOKUP', {}, ['a'], 2 * n);
  t.equal(b.kernel.replies.length, 1000);
  t.equal(b.errors.length, 10);
  b.clock.advance(1000);
  b.send('LOOKUP', {}, ['a'], 3000);
  t.match(b.errors[10], /990 more/);
  t.equal(b.errors.length, 12);
  t.end();
});

t.test('a broken invariant gets out', (t) => {
  const b = bench();
  b.handlers.results['lookup'] = new InvariantError('broken invariant: test');
  t.throws(() => b.send('LOOKUP', {}, ['a']), InvariantError);
  b.handlers.results['forget'] = new InvariantError('broken invariant: test');
  t.throws(() => b.send('FORGET', { nlookup: 1 }), InvariantError, 'from FORGET too');
  const c = bench();
  c.handlers.results['read'] = [Buffer.alloc(11)];
  t.throws(() => c.send('READ', { fh: 1, size: 10 }), InvariantError, 'more bytes than asked for');
  const d = bench();
  d.handlers.results['read'] = [];
  d.send('READ', { fh: 1, size: 10 });
  t.throws(() => d.handlers.reply?.data([]), InvariantError, 'a second answer');
  t.throws(() => d.handlers.reply?.error(5), InvariantError);
  t.throws(() => d.handlers.reply?.handedOver(() => undefined), InvariantError);
  t.equal(d.kernel.replies.length, 1);
  t.end();
});

t.test('interrupts in every order (kernel fact 7)', async (t) => {
  await t.test('while the handler waits', async (t) => {
    const b = bench();
    b.handlers.results['getattr'] = new Promise((_resolve, reject) => {
      queueMicrotask(() =>
        b.handlers.contexts[0]?.signal.addEventListener('abort', () => reject(new ErrnoError(EINTR))),
      );
    });
    b.send('GETATTR', {}, [], 2);
    await turn();
    t.equal(b.kernel.replies.length, 0);
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    await turn();
    t.equal(b.errno(), EINTR);
    t.same(b.errors, []);
  });
  await t.test('an AbortError of an interrupted handler is EINTR', async (t) => {
    const b = bench();
    b.handlers.results['getattr'] = new Promise((_resolve, reject) => {
      queueMicrotask(() => {
        const signal = b.handlers.contexts[0]?.signal;
        signal?.addEventListener('abort', () => reject(signal.reason instanceof Error ? signal.reason : new Error()));
      });
    });
    b.send('GETATTR', {}, [], 2);
    await turn();
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    await turn();
    t.equal(b.errno(), EINTR);
  });
  t.test('before the request: a request that changes nothing is answered unserved', (t) => {
    const b = bench();
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    t.equal(b.dispatcher.stats().earlyInterrupts, 1);
    b.send('READ', { fh: 1, size: 10 }, [], 2);
    t.equal(b.errno(), EINTR);
    t.same(b.handlers.calls, []);
    t.equal(b.dispatcher.stats().earlyInterrupts, 0);
    t.end();
  });
  t.test('before the request: one that changes something is served, with an aborted signal', (t) => {
    const b = bench();
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    b.send('FLUSH', { fh: 1 }, [], 2);
    t.same(b.handlers.calls, ['flush 1 1']);
    t.equal(b.handlers.contexts[0]?.signal.aborted, true);
    t.equal(b.errno(), 0);
    t.end();
  });
  t.test('after the answer: nobody is hit', (t) => {
    const b = bench();
    b.send('GETATTR', {}, [], 2);
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    b.send('GETATTR', {}, [], 4);
    t.same(
      b.kernel.replies.map(({ errno }) => errno),
      [0, 0],
    );
    t.end();
  });
  t.test('of a request that was sent again (bit 63)', (t) => {
    const b = bench();
    const resent = 2n | (1n << 63n);
    b.handlers.results['read'] = undefined;
    b.send('READ', { fh: 1, size: 10 }, [], resent);
    b.handlers.contexts[0]?.signal.addEventListener('abort', () => b.handlers.reply?.error(EINTR));
    b.send('INTERRUPT', { unique: resent }, [], 3);
    t.equal(b.errno(), EINTR);
    t.equal(b.kernel.replies[0]?.unique, resent, 'the id is echoed whole (kernel fact 20)');
    t.end();
  });
  t.test('a READ that another thread answers', (t) => {
    const b = bench();
    b.handlers.results['read'] = undefined;
    b.send('READ', { fh: 1, size: 10 }, [], 2);
    let told = 0;
    const handover = b.handlers.reply?.handedOver(() => told++);
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    t.equal(told, 1, 'told once');
    t.equal(b.kernel.replies.length, 0, 'that thread answers');
    t.equal(b.dispatcher.stats().inFlight, 1);
    handover?.finished();
    t.equal(b.dispatcher.stats().inFlight, 0);
    t.throws(() => handover?.finished(), InvariantError);
    t.end();
  });
  t.test('a READ interrupted between its handler and the hand-over', (t) => {
    const b = bench();
    b.handlers.results['read'] = undefined;
    b.send('READ', { fh: 1, size: 10 }, [], 2);
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    let told = 0;
    b.handlers.reply?.handedOver(() => told++);
    t.equal(told, 1);
    t.end();
  });
  t.test('a finished hand-over is not told', (t) => {
    const b = bench();
    b.handlers.results['read'] = undefined;
    b.send('READ', { fh: 1, size: 10 }, [], 2);
    let told = 0;
    (b.handlers.reply?.handedOver(() => told++) as ReadHandover).finished();
    b.send('INTERRUPT', { unique: 2 }, [], 3);
    t.equal(told, 0);
    t.end();
  });
  t.test('a handler that throws EINTR by itself surprises nobody with it', (t) => {
    const b = bench();
    b.handlers.results['lookup'] = new ErrnoError(EINTR);
    b.send('LOOKUP', {}, ['a']);
    t.equal(b.errno(), 5);
    t.end();
  });
  t.test('early ones are bounded', (t) => {
    const b = bench();
    for (let n = 0; n < EARLY_INTERRUPTS_MAX + 10; n++) b.send('INTERRUPT', { unique: 100 + 2 * n }, [], 3);
    t.equal(b.dispatcher.stats().earlyInterrupts, EARLY_INTERRUPTS_MAX);
    b.send('GETATTR', {}, [], 100);
    t.equal(b.kernel.replies[0]?.errno, 0, 'the oldest was forgotten');
    b.send('GETATTR', {}, [], 100 + 2 * (EARLY_INTERRUPTS_MAX + 9));
    t.equal(b.kernel.replies[1]?.errno, EINTR);
    t.end();
  });
});

t.test('what the kernel does not take is given back', async (t) => {
  const b = bench();
  const gone = (name: string, body: Fields, tail: readonly string[], unique: number): void => {
    b.kernel.onWrite = () => b.kernel.withdraw(BigInt(unique));
    b.send(name, body, tail, unique);
  };
  gone('LOOKUP', {}, ['a'], 2);
  gone('MKDIR', {}, ['a'], 4);
  gone('OPEN', { flags: 5 }, [], 6);
  gone('OPENDIR', {}, [], 8);
  gone('CREATE', { flags: 7 }, ['a'], 10);
  gone('READDIRPLUS', { fh: 3, size: 4096 }, [], 12);
  t.same(
    b.handlers.calls.filter((call) => /^(forget|release)/.test(call)),
    [
      `forget ${ENTRY.nodeId} 1`,
      `forget ${ENTRY.nodeId} 1`,
      'release 1 17179869187 5',
      'releasedir 1 9',
      `forget ${ENTRY.nodeId} 1`,
      `release ${ENTRY.nodeId} 8 7`,
      `forget ${ENTRY.nodeId} 1`,
    ],
  );
  t.equal(b.kernel.unknown, 6);
  t.equal(b.dispatcher.stats().gone, 6);
  t.same(b.errors, [], 'a request that is gone is no error');
  b.kernel.onWrite = undefined;
  b.kernel.unmounted = true;
  b.handlers.calls.length = 0;
  b.send('LOOKUP', {}, ['a'], 20);
  t.same(b.handlers.calls, ['lookup 1 "a"', `forget ${ENTRY.nodeId} 1`], 'nor does an unmounted kernel keep it');
  await turn();
});

t.test('a negative entry is no lookup to give back', (t) => {
  const b = bench();
  b.handlers.results['lookup'] = { ...ENTRY, nodeId: 0 };
  b.kernel.onWrite = () => b.kernel.withdraw(2n);
  b.send('LOOKUP', {}, ['a'], 2);
  t.same(b.handlers.calls, ['lookup 1 "a"']);
  t.end();
});

t.test('a listing that fails gives its lookups back', (t) => {
  const b = bench(
    {},
    Object.assign(new RecordingHandlers(), {
      readdir(_context: unknown, _node: number, _handle: number, _offset: number, sink: DirectorySink) {
        sink.add({ name: 'a', ino: 1, type: 8, nextOffset: 1 }, ENTRY);
        throw new ErrnoError(116, 'the directory vanished');
      },
    }),
  );
  b.send('READDIRPLUS', { fh: 1, size: 4096 });
  t.equal(b.errno(), 116);
  t.same(b.handlers.calls, [`forget ${ENTRY.nodeId} 1`]);
  t.end();
});

t.test('a listing with no room for one entry is EINVAL, not the end of the directory', (t) => {
  const b = bench();
  b.send('READDIRPLUS', { fh: 1, size: 100 });
  t.equal(b.errno(), 22);
  const c = bench();
  c.handlers.results['readdir'] = [];
  c.send('READDIR', { fh: 1, size: 100 });
  t.equal(c.errno(), 0, 'an empty directory is');
  t.equal(c.kernel.replies[0]?.body.length, 0);
  t.end();
});

t.test('names that the kernel would fail the directory for are refused', (t) => {
  for (const name of ['', 'a/b', 'x'.repeat(256), 'nul\0']) {
    const b = bench();
    b.handlers.results['readdir'] = [{ item: { name, ino: 1, type: 8, nextOffset: 1 } }];
    b.send('READDIR', { fh: 1, size: 4096 });
    t.equal(b.errno(), 5, JSON.stringify(name.slice(0, 5)));
  }
  t.end();
});

t.test('a reply that the kernel refuses becomes EIO, so that nobody waits for ever', (t) => {
  const b = bench();
  b.kernel.refuseNext = 22;
  b.send('GETATTR');
  t.equal(b.errno(), 5);
  t.match(b.errors[0], /refused a reply .* EINVAL/);
  t.equal(b.kernel.waiting, 0);
  t.end();
});

t.test('without a handler', (t) => {
  const required = [
    'lookup',
    'forget',
    'getattr',
    'open',
    'read',
    'release',
    'opendir',
    'readdir',
    'releasedir',
    'statfs',
  ];
  const all = new RecordingHandlers();
  const few = Object.fromEntries(
    Object.entries(all).filter(([name]) => required.includes(name)),
  ) as unknown as FuseHandlers;
  const cases: [string, Fields, string[], number][] = [
    ['SETATTR', {}, [], 38],
    ['READLINK', {}, [], 22],
    ['SYMLINK', {}, ['a', 'b'], 1],
    ['MKNOD', {}, ['a'], 1],
    ['MKDIR', {}, ['a'], 38],
    ['UNLINK', {}, ['a'], 38],
    ['RMDIR', {}, ['a'], 38],
    ['RENAME', {}, ['a', 'b'], 38],
    ['RENAME2', {}, ['a', 'b'], 38],
    ['LINK', {}, ['a'], 1],
    ['CREATE', {}, ['a'], 38],
    ['WRITE', {}, [], 38],
    ['FLUSH', {}, [], 38],
    ['FSYNC', {}, [], 38],
    ['FSYNCDIR', {}, [], 38],
    ['SETXATTR', {}, ['user.a'], 38],
    ['GETXATTR', {}, ['user.a'], 38],
    ['LISTXATTR', {}, [], 38],
    ['REMOVEXATTR', {}, ['user.a'], 38],
    ['ACCESS', {}, [], 38],
    ['FALLOCATE', {}, [], 38],
    ['LSEEK', {}, [], 38],
    ['IOCTL', {}, [], 25],
  ];
  for (const [name, body, tail, errno] of cases) {
    const b = bench({}, few);
    b.send(name, body, tail);
    t.equal(b.errno(), errno, name);
  }
  const writable = bench({}, { ...few, write: () => 0 });
  writable.send('FSYNC', {});
  t.equal(writable.errno(), 22, 'fsync of a writable file system without fsync is no silent success');
  t.end();
});

t.test('unknown opcodes are ENOSYS', (t) => {
  const b = bench();
  const message = encodeRequest('STATFS');
  message.writeUInt32LE(99, 4);
  b.dispatcher.dispatch(b.kernel.sent(message));
  t.equal(b.errno(), 38);
  t.equal(b.dispatcher.stats().unknownOpcodes, 1);
  t.end();
});

t.test('FORGET and INTERRUPT are never answered', (t) => {
  const b = bench();
  b.kernel.onWrite = () => t.fail('something was written');
  b.send('FORGET', { nlookup: 1 });
  b.send('BATCH_FORGET', { count: 5 }, [Buffer.alloc(16)]);
  b.send('INTERRUPT', { unique: 44 }, [], 45);
  b.send('NOTIFY_REPLY', {});
  t.equal(b.dispatcher.stats().malformed, 2, 'a batch that is too short, and a reply to nothing');
  t.end();
});

t.test('WRITE: the bytes live until the promise settles, and are counted', async (t) => {
  const b = bench({ writeBytesInFlightMax: 8 });
  let settle: (taken: number) => void = () => undefined;
  let held: Uint8Array = Buffer.alloc(0);
  (b.handlers as { write: unknown }).write = (...values: unknown[]): Promise<number> => {
    held = values[4] as Uint8Array;
    return new Promise((resolve) => (settle = resolve));
  };
  const message = encodeRequest('WRITE', {}, { fh: 1, offset: 0, size: 8 }, [Buffer.from('12345678')]);
  b.dispatcher.dispatch(b.kernel.sent(message));
  message.fill(0);
  t.equal(Buffer.from(held).toString(), '12345678', 'though the ring has moved on');
  t.equal(b.dispatcher.room, 0);
  t.equal(b.dispatcher.stats().writeBytesInFlight, 8);
  settle(8);
  await turn();
  t.equal(b.errno(), 0);
  t.equal(b.dispatcher.stats().writeBytesInFlight, 0);
  t.equal(b.rooms, 1, 'and somebody is told that there is room');
  const c = bench();
  c.handlers.results['write'] = 4;
  c.send('WRITE', { fh: 1, size: 3 }, [Buffer.from('abc')]);
  t.equal(c.errno(), 22, 'more than was given');
  const d = bench();
  d.send('WRITE', { fh: 1, size: 4 }, [Buffer.from('abc')]);
  t.equal(d.errno(), 5, 'a payload shorter than it says');
  t.same(d.handlers.calls, []);
});

t.test('room is bounded, and its return is told once', async (t) => {
  const b = bench({ inFlightMax: 2 });
  const settle: ((value: unknown) => void)[] = [];
  (b.handlers as { getattr: unknown }).getattr = () => new Promise((resolve) => settle.push(resolve));
  b.send('GETATTR', {}, [], 2);
  t.equal(b.dispatcher.room, 1);
  b.send('GETATTR', {}, [], 4);
  t.equal(b.dispatcher.room, 0);
  const attributes = { attributes: ENTRY.attributes, ttlMs: 0 };
  settle.forEach((resolve) => resolve(attributes));
  await turn();
  t.equal(b.rooms, 1);
  t.equal(b.dispatcher.room, 2);
  t.equal(b.dispatcher.stats().inFlightPeak, 2);
});

t.test('allow_root: only the owner and root', (t) => {
  const errnoFor = (name: string, uid: number, tail: readonly string[] = []): number => {
    const b = bench({ ownerUid: 1000 });
    b.handlers.results['read'] = [];
    b.send(name, { ...(name === 'READ' ? { size: 1 } : {}) }, tail, 2, uid);
    return b.errno();
  };
  t.equal(errnoFor('LOOKUP', 1000, ['a']), 0);
  t.equal(errnoFor('LOOKUP', 0, ['a']), 0);
  t.equal(errnoFor('LOOKUP', 1001, ['a']), 13);
  t.equal(errnoFor('OPEN', 1001), 13);
  t.equal(errnoFor('READ', 1001), 0, 'a descriptor that was passed on');
  t.equal(errnoFor('RELEASE', 1001), 0);
  t.end();
});

t.test('the end of the mount interrupts who waits, and tells the file system once', async (t) => {
  const b = bench();
  b.handlers.results['read'] = undefined;
  b.send('READ', { fh: 1, size: 10 }, [], 2);
  let told = 0;
  b.handlers.reply?.handedOver(() => told++);
  b.dispatcher.ended();
  b.dispatcher.ended();
  t.equal(told, 1);
  t.equal(b.handlers.calls.filter((call) => call === 'destroy').length, 1);
  await turn();
});

t.test('extended attributes: ERANGE when the buffer is too small', (t) => {
  const b = bench();
  b.send('GETXATTR', { size: 4 }, ['user.a']);
  t.equal(b.errno(), 34);
  const c = bench();
  c.handlers.results['listxattr'] = Promise.resolve([]);
  c.send('LISTXATTR', { size: 4 });
  t.equal(c.errno(), -1);
  return turn().then(() => t.equal(c.errno(), 0));
});
