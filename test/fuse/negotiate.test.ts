/** The INIT exchange: a table of kernels, and the exchange itself over a fake kernel. */
import t from 'tap';
import { MountError } from '../../src/fuse/mount-error.js';
import { negotiate, type NegotiateOptions } from '../../src/fuse/negotiate.js';
import { handshakeOver } from '../../src/fuse/session.js';
import { READ_AGAIN } from '../../src/fuse/transport.js';
import { decodeStruct, encodeRaw, encodeRequest, encodeStruct } from '../support/fake-kernel-codec.js';
import { FakeKernel } from '../support/fake-kernel.js';

const OPTIONS: NegotiateOptions = { readOnly: false, pageBytes: 4096 };
const ALL = 0xffff_ffff;
const init = (minor: number, flags = ALL, flags2 = ALL): Parameters<typeof negotiate>[0] => ({
  major: 7,
  minor,
  maxReadaheadBytes: 131072,
  flags,
  flags2,
});
const agreed = (
  minor: number,
  flags?: number,
  flags2?: number,
  options = OPTIONS,
): Extract<ReturnType<typeof negotiate>, { type: 'agreed' }> => {
  const step = negotiate(init(minor, flags, flags2), options);
  if (step.type !== 'agreed') throw new Error(step.type);
  return step;
};

t.test('versions', (t) => {
  t.equal(negotiate(init(30), OPTIONS).type, 'refused');
  t.match(negotiate(init(30), OPTIONS), { errno: 71, message: /7\.30.*7\.31 \(Linux 5\.4\)/ });
  t.match(negotiate({ ...init(45), major: 6 }, OPTIONS), { type: 'refused' });
  t.match(negotiate({ ...init(1), major: 8 }, OPTIONS), { type: 'again', reply: { major: 7, minor: 45 } });
  t.equal(agreed(31).reply.minor, 31, 'the smaller minor version');
  t.equal(agreed(45).reply.minor, 45);
  t.equal(agreed(60).reply.minor, 45, 'a kernel of the future');
  t.end();
});

t.test('sizes (kernel facts 13 and 14)', (t) => {
  const { reply, negotiated } = agreed(45);
  t.equal(reply.maxReadaheadBytes, 64 << 20);
  t.equal(reply.maxBackground, 256);
  t.equal(reply.congestionThreshold, 192);
  t.equal(reply.maxWriteBytes, 1 << 20);
  t.equal(reply.maxPages, 256);
  t.equal(agreed(45, ALL, ALL, { readOnly: false, pageBytes: 65536 }).reply.maxPages, 16, 'with 64 KiB pages');
  t.ok(negotiated.requestBufferBytes >= (1 << 20) + 4096);
  const small = agreed(45, ALL & ~(1 << 5)).negotiated;
  t.equal(small.maxWriteBytes, 131072, 'without BIG_WRITES');
  t.ok(small.requestBufferBytes >= 131072 + 80);
  t.end();
});

t.test('flags', (t) => {
  const { reply, negotiated } = agreed(45);
  const bits = (value: number): number[] =>
    Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => (value >>> bit) & 1);
  t.same(bits(reply.flags), [0, 3, 5, 13, 14, 15, 18, 22, 23, 25, 28, 29, 30], 'exactly what is asked for');
  t.same(bits(reply.flags2), [4, 5, 7]);
  t.equal(reply.maxStackDepth, 1, 'passthrough needs a depth (kernel fact 23)');
  t.equal((reply.flags >>> 16) & 1, 0, 'never WRITEBACK_CACHE');
  t.equal((reply.flags >>> 12) & 1, 0, 'never AUTO_INVAL_DATA (kernel fact 11)');
  t.ok(Object.isFrozen(negotiated));
  t.match(negotiated, {
    hasPassthrough: true,
    hasResend: true,
    hasExpireOnly: true,
    hasIncrementEpoch: true,
    hasAtomicTruncate: true,
    hasZeroMessageOpen: true,
  });
  const readOnly = agreed(45, ALL, ALL, { readOnly: true, pageBytes: 4096 });
  t.equal((readOnly.reply.flags >>> 3) & 1, 0, 'no ATOMIC_O_TRUNC on a read-only mount (kernel fact 24)');
  t.equal(readOnly.negotiated.hasAtomicTruncate, false);
  t.equal(agreed(45, 0, 0).reply.flags, 0, 'nothing that was not offered');
  const old = agreed(31, ALL & ~(1 << 30));
  t.equal(old.reply.flags2, 0, 'without INIT_EXT there is no second word');
  t.equal(old.reply.maxStackDepth, 0);
  t.equal(old.negotiated.hasIncrementEpoch, false);
  t.end();
});

const INIT_45 = { major: 7, minor: 45, max_readahead: 131072, flags: ALL, flags2: ALL };

t.test('the exchange', (t) => {
  const kernel = new FakeKernel();
  kernel.queue.push(READ_AGAIN, encodeRequest('INIT', { unique: 2 }, INIT_45));
  const negotiated = handshakeOver(kernel, OPTIONS);
  t.equal(negotiated.minor, 45);
  const reply = kernel.replies[0];
  t.equal(reply?.body.length, 64);
  t.match(decodeStruct('init_out', reply?.body ?? Buffer.alloc(0)), {
    major: 7n,
    minor: 45n,
    max_readahead: BigInt(64 << 20),
    max_background: 256n,
    congestion_threshold: 192n,
    max_write: 1048576n,
    time_gran: 1n,
    max_pages: 256n,
    map_alignment: 0n,
    max_stack_depth: 1n,
    request_timeout: 0n,
  });
  t.end();
});

t.test('a kernel of a newer major version comes down to ours', (t) => {
  const kernel = new FakeKernel();
  kernel.queue.push(encodeRequest('INIT', { unique: 2 }, { ...INIT_45, major: 8, minor: 2 }));
  kernel.queue.push(encodeRequest('INIT', { unique: 4 }, INIT_45));
  t.equal(handshakeOver(kernel, OPTIONS).minor, 45);
  t.equal(decodeStruct('init_out', kernel.replies[0]?.body ?? Buffer.alloc(0))['major'], 7n);
  t.equal(kernel.replies.length, 2);
  t.end();
});

t.test('the short fuse_init_in of kernels before 7.36', (t) => {
  const kernel = new FakeKernel();
  const body = encodeStruct('init_in_compat', { major: 7, minor: 31, max_readahead: 131072, flags: ALL });
  kernel.queue.push(encodeRaw(26, { unique: 2 }, [body]));
  const negotiated = handshakeOver(kernel, OPTIONS);
  t.equal(negotiated.flags2, 0);
  t.end();
});

t.test('what cannot begin says why', (t) => {
  const thrown = (run: (kernel: FakeKernel) => void): MountError => {
    const kernel = new FakeKernel();
    run(kernel);
    try {
      handshakeOver(kernel, OPTIONS);
    } catch (error) {
      if (error instanceof MountError) return error;
      throw error;
    }
    throw new Error('nothing was thrown');
  };
  t.match(
    thrown((kernel) => kernel.queue.push(encodeRequest('INIT', {}, { ...INIT_45, minor: 26 }))),
    { kind: 'protocol', message: /7\.26/, remedy: /Upgrade/ },
  );
  t.match(
    thrown((kernel) => kernel.queue.push(encodeRequest('LOOKUP', {}, {}, ['a']))),
    { kind: 'protocol', message: /opcode 1/ },
  );
  t.match(
    thrown(() => undefined),
    { kind: 'other', message: /unmounted/ },
  );
  t.match(
    thrown((kernel) => {
      for (let n = 0; n < 100; n++) kernel.queue.push(READ_AGAIN);
    }),
    { kind: 'protocol' },
    'tries are bounded',
  );
  t.match(
    thrown((kernel) => {
      kernel.queue.push(encodeRequest('INIT', { unique: 2 }, INIT_45));
      kernel.onWrite = () => kernel.withdraw(2n);
    }),
    { kind: 'other', message: /did not take/ },
  );
  t.end();
});
