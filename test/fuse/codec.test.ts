/**
 * The codec against bytes: fixed vectors for every request and reply, every truncation of every request, and random
 * requests and replies against a naive second codec.
 */
import fc from 'fast-check';
import t from 'tap';
import { silentLog } from '../../src/base/log.js';
import { ErrnoError } from '../../src/base/errno.js';
import type { Attributes, Entry } from '../../src/fuse/handlers.js';
import { decodeUtf8 } from '../../src/fuse/names.js';
import { FuseDispatcher } from '../../src/fuse/dispatcher.js';
import { OPCODE_ROWS, opcodeRow } from '../../src/fuse/opcodes.js';
import {
  REQUESTS,
  decodeDirents,
  decodeStruct,
  encodeRaw,
  encodeRequest,
  sizeOf,
  type Fields,
} from '../support/fake-kernel-codec.js';
import { RecordingHandlers } from '../support/fake-kernel-handlers.js';
import { FakeKernel, NEGOTIATED } from '../support/fake-kernel.js';
import { VECTORS, fromHex } from './vectors.js';

function setUp(): { kernel: FakeKernel; handlers: RecordingHandlers; dispatcher: FuseDispatcher } {
  const kernel = new FakeKernel();
  const handlers = new RecordingHandlers();
  const dispatcher = new FuseDispatcher({}, { handlers, writer: kernel, negotiated: NEGOTIATED, log: silentLog });
  return { kernel, handlers, dispatcher };
}

/** The fake kernel that keeps the raw bytes of the last message. */
function lastMessage(kernel: FakeKernel): () => Buffer | undefined {
  let last: Buffer | undefined;
  const writev = kernel.writev.bind(kernel);
  kernel.writev = (parts) => {
    last = Buffer.concat(parts);
    return writev(parts);
  };
  return () => last;
}

t.test('the table of opcodes agrees with the naive codec', (t) => {
  t.equal(OPCODE_ROWS.length, Object.keys(REQUESTS).length);
  for (const [name, [opcode, struct]] of Object.entries(REQUESTS)) {
    const row = opcodeRow(opcode);
    t.equal(row?.name, name);
    const expected = name === 'INIT' ? 16 : name === 'SETXATTR' ? 8 : sizeOf(struct);
    t.equal(row?.bodyBytes, expected, `body of ${name}`);
  }
  t.end();
});

t.test('vectors', (t) => {
  for (const vector of VECTORS) {
    const { kernel, handlers, dispatcher } = setUp();
    const last = lastMessage(kernel);
    dispatcher.dispatch(kernel.sent(fromHex(vector.request)));
    t.same(handlers.calls, vector.calls, vector.name);
    t.equal(last()?.toString('hex'), vector.reply && fromHex(vector.reply).toString('hex'), `reply to ${vector.name}`);
  }
  const seen = new Set(VECTORS.map(({ request }) => fromHex(request).readUInt32LE(4)));
  for (const { opcode, name } of OPCODE_ROWS) t.ok(seen.has(opcode), `there is a vector for ${name}`);
  t.end();
});

t.test('every truncation of every request is refused, once, and reaches no handler', (t) => {
  for (const vector of VECTORS) {
    const whole = fromHex(vector.request);
    const opcode = whole.readUInt32LE(4);
    const row = opcodeRow(opcode);
    if (row === undefined) throw new Error('no row');
    for (let length = 0; length < whole.length; length++) {
      for (const honest of [true, false]) {
        const { kernel, handlers, dispatcher } = setUp();
        const message = Buffer.from(whole.subarray(0, length));
        if (honest && length >= 4) message.writeUInt32LE(length, 0);
        dispatcher.dispatch(kernel.sent(message));
        const what = `${vector.name} cut to ${length}${honest ? '' : ' (with the old length field)'}`;
        const answerable = length >= 40 && row.reply !== 'none';
        if (kernel.replies.length !== (answerable ? 1 : 0)) t.fail(`${what}: ${kernel.replies.length} replies`);
        if (answerable && kernel.replies[0]?.errno === 0) {
          // Whole but for a tail that is not looked at.
          if (!(honest && length >= 40 + row.bodyBytes && row.tail === 'nothing'))
            t.fail(`${what}: answered with success`);
        } else if (handlers.calls.filter((call) => !call.startsWith('forget')).length > 0) {
          t.fail(`${what}: called ${handlers.calls.join()}`);
        }
      }
    }
  }
  t.pass('all of them');
  t.end();
});

t.test('extensions at the end of a request are no part of its body', (t) => {
  const { kernel, handlers, dispatcher } = setUp();
  const extension = Buffer.alloc(16, 0xee);
  const message = encodeRequest('MKDIR', {}, { mode: 0o755 }, ['dir', extension]);
  message.writeUInt16LE(2, 36);
  dispatcher.dispatch(kernel.sent(message));
  t.same(handlers.calls, ['mkdir 1 "dir" 493']);
  const broken = encodeRequest('MKDIR', { unique: 4 }, { mode: 0o755 }, ['dir']);
  broken.writeUInt16LE(100, 36);
  dispatcher.dispatch(kernel.sent(broken));
  t.equal(kernel.replies[1]?.errno, 5);
  t.end();
});

t.test('names', (t) => {
  const errnoFor = (name: string, tail: readonly (string | Uint8Array)[], body: Fields = {}): number | undefined => {
    const { kernel, dispatcher } = setUp();
    dispatcher.dispatch(kernel.sent(encodeRequest(name, {}, body, tail)));
    return kernel.replies[0]?.errno;
  };
  const latin = Buffer.from([0x67, 0xfc, 0]);
  t.equal(errnoFor('LOOKUP', [latin]), 2, 'a name that is not UTF-8 does not exist');
  t.equal(errnoFor('UNLINK', [latin]), 2);
  t.equal(errnoFor('RMDIR', [latin]), 2);
  t.equal(errnoFor('RENAME', [latin, 'new']), 2);
  t.equal(errnoFor('RENAME', ['old', latin]), 84, 'and cannot be made: EILSEQ');
  t.equal(errnoFor('CREATE', [latin]), 84);
  t.equal(errnoFor('MKDIR', [latin]), 84);
  t.equal(errnoFor('MKNOD', [latin]), 84);
  t.equal(errnoFor('SYMLINK', [latin, 'x']), 84);
  t.equal(errnoFor('SYMLINK', ['x', latin]), 84);
  t.equal(errnoFor('GETXATTR', [latin]), 61, 'ENODATA for an attribute');
  t.equal(errnoFor('LOOKUP', ['a'.repeat(255)]), 0);
  t.equal(errnoFor('LOOKUP', ['a'.repeat(256)]), 36, 'ENAMETOOLONG above 255 bytes');
  t.equal(errnoFor('LOOKUP', ['ä'.repeat(128)]), 36, 'bytes are counted, not characters');
  t.equal(errnoFor('LOOKUP', ['']), 22);
  t.equal(errnoFor('LOOKUP', ['a/b']), 22);
  t.equal(errnoFor('LOOKUP', [Buffer.from('endless')]), 22);
  t.equal(errnoFor('SYMLINK', ['x', 'y'.repeat(4096)]), 36);
  const bom = Buffer.from([0xef, 0xbb, 0xbf, 0x61]);
  t.equal(decodeUtf8(bom, 0, 4), '\ufeffa', 'a byte-order mark is part of a name');
  t.equal(decodeUtf8(Buffer.from([0xed, 0xa0, 0x80]), 0, 3), undefined, 'surrogates are not UTF-8');
  const shared = Buffer.from(new SharedArrayBuffer(8));
  shared.write('zwölf');
  t.equal(decodeUtf8(shared, 0, 6), 'zwölf', 'from shared memory');
  t.end();
});

t.test('64-bit values that no number holds are refused by meaning', (t) => {
  const HUGE = 1n << 60n;
  const errnoFor = (
    name: string,
    body: Fields,
    tail: readonly string[] = [],
    nodeid: bigint = 1n,
  ): number | undefined => {
    const { kernel, handlers, dispatcher } = setUp();
    dispatcher.dispatch(kernel.sent(encodeRequest(name, { nodeid }, body, tail)));
    t.same(handlers.calls, [], `${name} reaches no handler`);
    return kernel.replies[0]?.errno;
  };
  t.equal(errnoFor('LOOKUP', {}, ['a'], HUGE), 116, 'a node id that was never given out: ESTALE');
  t.equal(errnoFor('GETATTR', { getattr_flags: 1, fh: HUGE }), 9, 'a handle: EBADF');
  t.equal(errnoFor('RELEASE', { fh: HUGE }), 9);
  t.equal(errnoFor('READ', { fh: 1, offset: HUGE, size: 4096 }), 0, 'a READ beyond every end is an empty one');
  t.equal(errnoFor('WRITE', { fh: 1, offset: HUGE }), 27, 'EFBIG');
  t.equal(errnoFor('SETATTR', { valid: 8, size: HUGE }), 27);
  t.equal(errnoFor('FALLOCATE', { fh: 1, length: HUGE }), 27);
  t.equal(errnoFor('LSEEK', { fh: 1, offset: -1n, whence: 3 }), 6, 'ENXIO');
  t.equal(errnoFor('READDIR', { fh: 1, offset: HUGE, size: 4096 }), 22);
  t.equal(errnoFor('LINK', { oldnodeid: HUGE }, ['x']), 116);
  t.end();
});

const u32 = fc.nat(0xffff_ffff);
/** Below 2^53. */
const u53 = fc.bigInt(0n, (1n << 53n) - 1n);
const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  .filter((text) => !/[\0/]/.test(text) && Buffer.byteLength(text) <= 255 && Buffer.from(text).toString() === text);

t.test('random requests mean to the dispatcher what they mean to the naive codec', (t) => {
  /** How the recorded call of a request must look. */
  const cases: [
    string,
    Record<string, fc.Arbitrary<number | bigint>>,
    number,
    (f: Fields, n: string[], id: bigint) => string,
  ][] = [
    ['LOOKUP', {}, 1, (_f, [a], id) => `lookup ${id} ${JSON.stringify(a)}`],
    [
      'MKNOD',
      { mode: u32, rdev: u32 },
      1,
      (f, [a], id) => `mknod ${id} ${JSON.stringify(a)} ${f['mode']} ${f['rdev']}`,
    ],
    ['MKDIR', { mode: u32 }, 1, (f, [a], id) => `mkdir ${id} ${JSON.stringify(a)} ${f['mode']}`],
    ['UNLINK', {}, 1, (_f, [a], id) => `unlink ${id} ${JSON.stringify(a)}`],
    [
      'RENAME2',
      { newdir: u53, flags: u32 },
      2,
      (f, [a, b], id) => `rename ${id} ${JSON.stringify(a)} ${f['newdir']} ${JSON.stringify(b)} ${f['flags']}`,
    ],
    ['LINK', { oldnodeid: u53 }, 1, (f, [a], id) => `link ${f['oldnodeid']} ${id} ${JSON.stringify(a)}`],
    ['OPEN', { flags: u32 }, 0, (f, _n, id) => `open ${id} ${f['flags']}`],
    [
      'CREATE',
      { flags: u32, mode: u32 },
      1,
      (f, [a], id) => `create ${id} ${JSON.stringify(a)} ${f['mode']} ${f['flags']}`,
    ],
    [
      'READ',
      { fh: u53, offset: u53, size: fc.integer({ min: 1, max: 1 << 20 }), lock_owner: u53 },
      0,
      (f, _n, id) => `read ${id} ${f['fh']} ${f['offset']} ${f['size']}`,
    ],
    ['RELEASE', { fh: u53, flags: u32 }, 0, (f, _n, id) => `release ${id} ${f['fh']} ${f['flags']}`],
    [
      'FSYNC',
      { fh: u53, fsync_flags: u32 },
      0,
      (f, _n, id) => `fsync ${id} ${f['fh']} ${(Number(f['fsync_flags']) & 1) === 1}`,
    ],
    ['FLUSH', { fh: u53, lock_owner: u53 }, 0, (f, _n, id) => `flush ${id} ${f['fh']}`],
    [
      'READDIR',
      { fh: u53, offset: u53, size: fc.constant(4096) },
      0,
      (f, _n, id) => `readdir ${id} ${f['fh']} ${f['offset']}`,
    ],
    [
      'FALLOCATE',
      { fh: u53, offset: u53, length: u53, mode: u32 },
      0,
      (f, _n, id) => `fallocate ${id} ${f['fh']} ${f['offset']} ${f['length']} ${f['mode']}`,
    ],
    [
      'LSEEK',
      { fh: u53, offset: u53, whence: u32 },
      0,
      (f, _n, id) => `lseek ${id} ${f['fh']} ${f['offset']} ${f['whence']}`,
    ],
    ['ACCESS', { mask: u32 }, 0, (f, _n, id) => `access ${id} ${f['mask']}`],
    ['FORGET', { nlookup: fc.bigInt(1n, (1n << 53n) - 1n) }, 0, (f, _n, id) => `forget ${id} ${f['nlookup']}`],
  ];
  for (const [request, shape, nameCount, expected] of cases) {
    fc.assert(
      fc.property(
        fc.record(shape),
        fc.array(name, { minLength: nameCount, maxLength: nameCount }),
        u53,
        u32,
        (fields, names, nodeid, pid) => {
          const { kernel, handlers, dispatcher } = setUp();
          handlers.results['read'] = [];
          // At an odd place in a larger memory, as in the ring.
          const message = encodeRequest(request, { nodeid, pid }, fields, names);
          const memory = Buffer.alloc(message.length + 64, 0x61);
          message.copy(memory, 24);
          kernel.sent(message);
          dispatcher.dispatch(memory.subarray(24, 24 + message.length));
          if (handlers.calls[0] !== expected(fields, names, nodeid)) {
            throw new Error(`${String(handlers.calls[0])} is not ${expected(fields, names, nodeid)}`);
          }
          return handlers.contexts.every((context) => context.pid === pid);
        },
      ),
      { numRuns: 100 },
    );
  }
  t.pass(`${cases.length} requests`);
  t.end();
});

const whole = fc.maxSafeNat();
const timeMs = fc.integer({ min: -1e14, max: 1e14 });
const attributes: fc.Arbitrary<Attributes> = fc.record({
  ino: whole,
  sizeBytes: whole,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  mtimeMs: timeMs,
  ctimeMs: timeMs,
  atimeMs: timeMs,
  rdev: u32,
  blockSizeBytes: u32,
});
const entry: fc.Arbitrary<Entry> = fc.record({
  nodeId: fc.maxSafeNat().map((value) => value || 1),
  generation: whole,
  attributes,
  entryTtlMs: fc.nat(0xffff_ffff),
  attributesTtlMs: fc.nat(0xffff_ffff),
});

function sameAttributes(got: Record<string, bigint>, prefix: string, want: Attributes): void {
  const check = (field: string, value: number | bigint): void => {
    if (got[prefix + field] !== BigInt(value)) throw new Error(`${field}: ${got[prefix + field]} is not ${value}`);
  };
  check('ino', want.ino);
  check('size', want.sizeBytes);
  check('blocks', (BigInt(want.sizeBytes) + 511n) / 512n);
  for (const [field, ms] of [
    ['atime', want.atimeMs],
    ['mtime', want.mtimeMs],
    ['ctime', want.ctimeMs],
  ] as const) {
    check(field, Math.floor(ms / 1000));
    check(`${field}nsec`, (((BigInt(ms) % 1000n) + 1000n) % 1000n) * 1_000_000n);
  }
  check('mode', want.mode);
  check('nlink', want.nlink);
  check('uid', want.uid);
  check('gid', want.gid);
  check('rdev', want.rdev);
  check('blksize', want.blockSizeBytes);
  check('flags', 0);
}

t.test('random results mean to the naive codec what the handler said', (t) => {
  fc.assert(
    fc.property(entry, whole, (wanted, handle) => {
      const { kernel, handlers, dispatcher } = setUp();
      handlers.results['create'] = { entry: wanted, open: { handle } };
      dispatcher.dispatch(kernel.sent(encodeRequest('CREATE', {}, {}, ['x'])));
      const body = kernel.replies[0]?.body ?? Buffer.alloc(0);
      if (body.length !== sizeOf('entry_out') + sizeOf('open_out')) throw new Error(`${body.length} bytes`);
      const got = decodeStruct('entry_out', body);
      sameAttributes(got, 'attr.', wanted.attributes);
      const ttl = (ms: number): bigint[] => [BigInt(Math.floor(ms / 1000)), BigInt(ms % 1000) * 1_000_000n];
      t.same([got['entry_valid'], got['entry_valid_nsec']], ttl(wanted.entryTtlMs));
      t.same([got['attr_valid'], got['attr_valid_nsec']], ttl(wanted.attributesTtlMs));
      return (
        got['nodeid'] === BigInt(wanted.nodeId) &&
        got['generation'] === BigInt(wanted.generation) &&
        decodeStruct('open_out', body, sizeOf('entry_out'))['fh'] === BigInt(handle)
      );
    }),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(attributes, fc.nat(1e9), (wanted, ttlMs) => {
      const { kernel, handlers, dispatcher } = setUp();
      handlers.results['getattr'] = { attributes: wanted, ttlMs };
      dispatcher.dispatch(kernel.sent(encodeRequest('GETATTR')));
      const got = decodeStruct('attr_out', kernel.replies[0]?.body ?? Buffer.alloc(0));
      sameAttributes(got, 'attr.', wanted);
      return got['attr_valid'] === BigInt(Math.floor(ttlMs / 1000));
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('random listings fit the size asked for, and only what fits counts', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ name, ino: whole, type: fc.nat(15), entry: fc.option(entry, { nil: undefined }) }), {
        maxLength: 30,
      }),
      fc.boolean(),
      fc.integer({ min: 600, max: 8192 }),
      (items, plus, size) => {
        const { kernel, handlers, dispatcher } = setUp();
        handlers.results['readdir'] = items.map(({ entry, ...item }, index) => ({
          item: { ...item, nextOffset: index + 1 },
          entry,
        }));
        dispatcher.dispatch(kernel.sent(encodeRequest(plus ? 'READDIRPLUS' : 'READDIR', {}, { fh: 1, size })));
        const reply = kernel.replies[0];
        if (reply?.errno !== 0 || reply.body.length > size) throw new Error('too much');
        const got = decodeDirents(reply.body, plus);
        got.forEach(({ name, dirent, entry }, index) => {
          const item = items[index];
          if (item === undefined || name !== item.name) throw new Error(`${name} is not ${item?.name}`);
          if (dirent['ino'] !== BigInt(item.ino) || dirent['off'] !== BigInt(index + 1)) throw new Error('dirent');
          const dots = name === '.' || name === '..';
          if (plus && entry?.['nodeid'] !== BigInt(dots ? 0 : (item.entry?.nodeId ?? 0))) throw new Error('nodeid');
        });
        // Greedy: the next one would not have fitted.
        const next = items[got.length];
        if (next === undefined) return true;
        return reply.body.length + (((plus ? 152 : 24) + Buffer.byteLength(next.name) + 7) & ~7) > size;
      },
    ),
    { numRuns: 300 },
  );
  t.pass('300 listings');
  t.end();
});

t.test('garbage never throws, and is answered at most once', (t) => {
  fc.assert(
    fc.property(fc.nat(70), fc.uint8Array({ maxLength: 200 }), fc.boolean(), u53, (opcode, bytes, cut, unique) => {
      const { kernel, handlers, dispatcher } = setUp();
      handlers.results['lookup'] = new ErrnoError(2);
      const message = encodeRaw(opcode, { unique }, [bytes]);
      const sent = cut ? message.subarray(0, Math.min(message.length, bytes[0] ?? 0)) : message;
      if (unique !== 0n) dispatcher.dispatch(kernel.sent(Buffer.from(sent)));
      return kernel.replies.length <= 1 && kernel.unknown === 0;
    }),
    { numRuns: 2000 },
  );
  t.pass('2000 messages');
  t.end();
});
