/**
 * What an ETag proves of an object's first bytes: MD5 of one PUT, MD5 of the MD5s of equal parts, and nothing else. And what an open
 * file whose attributes are asked for shows while its object grows: the new size only when the kernel has dropped the old end.
 */
import { createHash } from 'node:crypto';
import t from 'tap';
import { EBUSY, ErrnoError } from '../../src/base/errno.js';
import { MIB } from '../../src/base/units.js';
import { S3FileSystem } from '../../src/fs/file-system.js';
import { sumsFor } from '../../src/fs/growing-files.js';
import { ManualClock } from '../../src/base/clock.js';
import { context, defaultOptions, LineLog, MiniKernel, ROOT, settle } from '../support/memory-store-kernel.js';
import { MemoryPrefetcher } from '../support/memory-store-reader.js';
import { MemoryStore } from '../support/memory-store.js';

const md5 = (bytes: Uint8Array): Buffer => createHash('md5').update(bytes).digest();

function multipart(bytes: Uint8Array, partBytes: number): string {
  const sums: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += partBytes) sums.push(md5(bytes.subarray(at, at + partBytes)));
  return `"${md5(Buffer.concat(sums)).toString('hex')}-${sums.length}"`;
}

/** Fed in pieces that fit nothing. */
function matches(etag: string, bytes: Uint8Array): boolean {
  const sums = sumsFor({ etag, sizeBytes: bytes.length });
  for (let at = 0; at < bytes.length; at += 999_999) {
    for (const sum of sums) sum.add(bytes.subarray(at, Math.min(bytes.length, at + 999_999)));
  }
  return sums.some((sum) => sum.matches());
}

const body = Buffer.alloc(17 * MIB + 5, 'some bytes of a log\n');
const changed = Buffer.from(body);
changed[9 * MIB] = (changed[9 * MIB] ?? 0) ^ 1;

void t.test('one PUT', (t) => {
  const etag = `"${md5(body).toString('hex')}"`;
  t.ok(matches(etag, body));
  t.ok(matches(etag.replaceAll('"', ''), body), 'some stores leave the quotes out');
  t.notOk(matches(etag, changed), 'one bit');
  t.end();
});

void t.test('parts of a common size', (t) => {
  for (const mebibytes of [5, 8, 10, 16, 32]) {
    const etag = multipart(body, mebibytes * MIB);
    t.ok(matches(etag, body), `${mebibytes} MiB`);
    t.notOk(matches(etag, changed), `${mebibytes} MiB, one bit`);
  }
  t.ok(matches(multipart(body.subarray(0, 16 * MIB), 8 * MIB), body.subarray(0, 16 * MIB)), 'whole parts');
  t.notOk(matches(multipart(body, 7 * MIB), body), 'an uncommon one proves nothing');
  t.end();
});

void t.test('what is no sum of the bytes proves nothing', (t) => {
  for (const etag of ['', '"abc"', '"0123456789abcdef0123456789abcdeg"', `"${'0'.repeat(32)}-99999"`]) {
    t.same(sumsFor({ etag, sizeBytes: 10 }), [], etag);
  }
  t.end();
});

interface Follower {
  /** What stat(2) of the descriptor, and of the name, shows. */
  size(): number;
  named(): Promise<number | undefined>;
  read(offset: number): string | number | undefined;
  /** So many looks of tail -f, which come each second. */
  polls(count: number): Promise<void>;
  append(text: string): void;
  readonly told: number[];
  /** What the kernel answers from now on to the next drop of pages. */
  kernel: () => Promise<void>;
}

async function follow(body: string, isKnown = true): Promise<Follower & { readonly store: MemoryStore }> {
  const store = new MemoryStore();
  const put = (text: string): void =>
    void store.put('log', text, isKnown ? { etag: `"${md5(Buffer.from(text)).toString('hex')}"` } : {});
  put(body);
  const prefetcher = new MemoryPrefetcher(store);
  const clock = new ManualClock();
  const told: number[] = [];
  const fs = new S3FileSystem(defaultOptions, {
    ...{ store, prefetcher, clock, log: new LineLog() },
    bytesChanged: (_nodeId, offset) => {
      told.push(offset);
      return follower.kernel();
    },
  });
  const kernel = new MiniKernel(fs);
  const { nodeId } = (await kernel.lookup(ROOT, 'log'))!;
  const { handle } = await fs.open(context(), nodeId, 0);
  const size = (): number => fs.getattr(context(), nodeId).attributes.sizeBytes;
  const follower: Follower = {
    size,
    named: async () => (await kernel.lookup(ROOT, 'log'))?.attributes.sizeBytes,
    read: (offset) => kernel.read(nodeId, handle, offset, 1 << 20),
    polls: async (count) => {
      for (let poll = 0; poll < count; poll++) {
        clock.advance(1_001);
        size();
        await settle();
      }
    },
    append: (text) => put((store.text('log') ?? '') + text),
    told,
    kernel: () => Promise.resolve(),
  };
  return Object.assign(follower, { store });
}

void t.test('a log that grows is followed, once the kernel has dropped its old end', async (t) => {
  const log = await follow('x'.repeat(5000));
  log.store.reset();
  t.equal(log.size(), 5000);
  t.equal(log.store.reset(), 0, 'who asks once asks for nothing');
  log.append('yyy');
  let drop: () => void = () => undefined;
  log.kernel = () => new Promise((resolve) => (drop = resolve));
  await log.polls(3);
  t.same(log.told, [4096], 'the page at the old end');
  t.equal(log.size(), 5000, 'not before it is dropped');
  t.equal(log.read(4998), 'xxyyy', 'the bytes are there');
  drop();
  await settle();
  t.equal(log.size(), 5003);
  t.equal(await log.named(), 5003);
  log.append('z');
  log.kernel = () => Promise.resolve();
  await log.polls(3);
  t.same(log.told, [4096, 4096]);
  t.equal(log.size(), 5004);
  t.equal(log.read(5000), 'yyyz');
});

void t.test('a kernel that could not be told', async (t) => {
  const log = await follow('some');
  log.append(' more');
  log.kernel = () => Promise.reject(new ErrnoError(EBUSY, 'no room'));
  await log.polls(3);
  t.equal(log.size(), 4);
  t.equal(await log.named(), 9, 'the name shows what is true');
  log.kernel = () => Promise.resolve();
  await log.polls(2);
  t.equal(log.size(), 9, 'tried again');
});

void t.test('what proves nothing, is shorter, or begins otherwise is not followed', async (t) => {
  const unknown = await follow('some', false);
  unknown.append(' more');
  await unknown.polls(4);
  t.equal(unknown.size(), 4);
  const log = await follow('some');
  log.store.put('log', 'other things');
  await log.polls(4);
  t.equal(log.size(), 4);
  log.store.put('log', 'so');
  await log.polls(4);
  t.equal(log.size(), 4);
  log.store.objects.delete('log');
  await log.polls(4);
  t.equal(log.size(), 4);
  t.same(log.told, []);
});
