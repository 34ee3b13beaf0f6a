/**
 * What the kernel says, damaged, and names that want out: no message of FUSE brings the dispatcher down or is answered twice;
 * no name that an application can give, and no key that a store can hold, leads outside the mounted prefix.
 */
import assert from 'node:assert/strict';
import t from 'tap';
import { silentLog } from '../../src/base/log.js';
import { couldBeKey, isFileName, KEY_BYTES_MAX, parentDirectoryKey } from '../../src/fs/keymap.js';
import { ErrnoError } from '../../src/base/errno.js';
import { FuseDispatcher } from '../../src/fuse/dispatcher.js';
import { REQUESTS, encodeRequest } from '../support/fake-kernel-codec.js';
import { RecordingHandlers } from '../support/fake-kernel-handlers.js';
import { FakeKernel, NEGOTIATED } from '../support/fake-kernel.js';
import { MemoryStore } from '../support/memory-store.js';
import { makeBench, ROOT } from '../support/memory-store-kernel.js';
import { damaged, fuzz, type Random } from './random.js';

t.test('messages of FUSE, whole ones with damage', (t) =>
  fuzz(t, (random) => {
    const kernel = new FakeKernel();
    const handlers = new RecordingHandlers();
    const dispatcher = new FuseDispatcher({}, { handlers, writer: kernel, negotiated: NEGOTIATED, log: silentLog });
    const name = random.pick(Object.keys(REQUESTS));
    const good = encodeRequest(name, { unique: 7n, nodeid: BigInt(random.below(4)) }, {}, ['name', 'other']);
    const message = damaged(random, good, ['\0', '/', '..', '\xff\xff\xff\xff', '\0\0\0\0\0\0\0\0']);
    // The kernel itself never sends a request without an id.
    if (message.length >= 16 && message.readBigUInt64LE(8) === 0n) return;
    dispatcher.dispatch(kernel.sent(Buffer.from(message)));
    assert.ok(kernel.replies.length <= 1, 'answered twice');
  }),
);

const nasty = [
  ...[
    '..',
    '.',
    '/',
    '//',
    '../',
    '/..',
    '%2e%2e',
    '%2E%2E%2F',
    '%00',
    '\0',
    '\\',
    '..\\',
    '~',
    '\n',
    ' ',
    '%',
    '?',
    '#',
    '&',
    ';',
  ],
  ...['\ud800', '\udc00', 'é', 'e\u0301', '\u2024\u2024', '\uff0e\uff0e', '\uff0f', 'a', 'in', 'side', 'x'.repeat(300)],
];

function hostileName(random: Random): string {
  return Array.from({ length: 1 + random.below(4) }, () => random.pick(nasty)).join('');
}

t.test('a name makes a key right below its directory, or none', (t) =>
  fuzz(t, (random) => {
    const directory = random.pick(['', 'in/', 'in/side/', `${'d/'.repeat(random.below(510))}`]);
    const name = hostileName(random);
    if (!couldBeKey(directory, name)) return;
    const key = directory + name;
    assert.ok(isFileName(name) && !name.includes('/') && !name.includes('\0') && name !== '..' && name !== '.');
    assert.equal(parentDirectoryKey(key), directory);
    assert.ok(Buffer.byteLength(key) <= KEY_BYTES_MAX);
  }),
);

t.test('no name leads a request outside the mounted prefix, and no foreign key comes in', (t) =>
  fuzz(t, async (random) => {
    const prefix = 'in/side/';
    const store = new MemoryStore();
    store.put('in/secret', 'x');
    store.put('secret', 'x');
    store.put(`${prefix}file`, 'x');
    for (let keys = random.below(6); keys > 0; keys--) store.put(prefix + hostileName(random).slice(0, 200), 'x');
    const { kernel } = makeBench({ prefix }, store);
    let parent = ROOT;
    for (let depth = 0; depth < 3; depth++) {
      const name = random.pick([hostileName(random), '..', 'file', '../secret', '..%2fsecret']);
      try {
        const entry = await kernel.lookup(parent, name);
        if (entry === undefined) continue;
        assert.ok(isFileName(name), `found ${JSON.stringify(name)}`);
        if ((entry.attributes.mode & 0o170000) === 0o040000) parent = entry.nodeId;
      } catch (error) {
        assert.ok(error instanceof ErrnoError, String(error));
      }
    }
    for (const name of await kernel.names(ROOT)) assert.ok(isFileName(name), `listed ${JSON.stringify(name)}`);
    for (const { key } of store.calls) assert.ok(key.startsWith(prefix), `asked for ${JSON.stringify(key)}`);
  }),
);
