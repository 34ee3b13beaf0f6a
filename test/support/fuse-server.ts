/**
 * A process that mounts a MemoryFs on /dev/fuse with several reader threads and serves it: what real-mount tests start,
 * because a process that reads its own mount synchronously waits for itself. Speaks JSON lines: first `ready`, then
 * answers to commands on stdin. Arguments: MOUNTPOINT [JSON options]. SIGKILLs itself on a broken invariant.
 */
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import { RingConsumer, allocateRing } from '../../src/base/byte-ring.js';
import { systemClock } from '../../src/base/clock.js';
import { allocatePool } from '../../src/base/pool/layout.js';
import { silentLog, type Log } from '../../src/base/log.js';
import { DevFuseTransport } from '../../src/fuse/dev-fuse.js';
import { FuseDispatcher } from '../../src/fuse/dispatcher.js';
import { pageBytes } from '../../src/fuse/libc.js';
import { mountFuse, setReadAhead } from '../../src/fuse/mount.js';
import { COUNTER_LENT, COUNTER_WORDS } from '../../src/fuse/reader-loop.js';
import { RingPump } from '../../src/fuse/ring-pump.js';
import { REQUEST_RING_BYTES } from '../../src/fuse/ring-records.js';
import { SlotLender, allocateLoans } from '../../src/fuse/slot-loans.js';
import { handshake } from '../../src/fuse/session.js';
import { runNotification, runStore, type Notification } from '../../src/fuse/notify.js';
import { unmountFuse } from '../../src/fuse/unmount.js';
import { insertBlock } from './pool-blocks.js';
import type { ServerOptions } from './fuse-server-options.js';
import { KeepingFs } from './keeping-fs.js';
import { ListWriteSlots } from './list-write-slots.js';
import { MemoryFs } from './memory-fs.js';
import { WitnessedFs } from './witnessed-fs.js';

const [mountPoint = '', optionsText = '{}'] = process.argv.slice(2);
const options = JSON.parse(optionsText) as ServerOptions;

const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
const die = (error: unknown): void => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  // Kernel fact 2: nothing else ends a process whose threads sit in read(2).
  process.kill(process.pid, 'SIGKILL');
};
process.on('uncaughtException', die);
process.on('unhandledRejection', die);

/** Bytes whose every 4-byte word names its own position. */
export function pattern(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) buffer.writeUInt32LE(at >>> 2, at);
  return buffer;
}

const witnessed = options.witness === true ? new WitnessedFs() : undefined;
const pool = allocatePool(64);
const slots = options.loans && new ListWriteSlots(pool, 32);
const keeping = slots && options.loans !== 'copy' ? new KeepingFs(slots, options.loans === 'sink') : undefined;
const fs = witnessed ?? keeping ?? new MemoryFs();
fs.later = options.later ?? false;
fs.ttlMs = options.ttlMs ?? fs.ttlMs;
fs.openFlags = options.openFlags ?? {};
for (const [path, content] of Object.entries(options.files ?? {})) {
  fs.put(path, content === 'directory' ? content : typeof content === 'number' ? pattern(content) : content);
}
for (const path of options.resident ?? []) {
  const node = fs.root.children.get(path);
  if (node !== undefined) insertBlock(pool, node.id, node.data);
}

const errors: string[] = [];
const log: Log = { ...silentLog, error: (_fields, message) => void errors.push(message) };

const mount = await mountFuse(mountPoint, {
  source: options.source ?? 's3x-test',
  readOnly: options.readOnly ?? false,
  allowOther: options.allowOther ?? false,
  allowRoot: false,
  extra: options.extra ?? [],
});
const negotiated = handshake(mount.fd, { readOnly: options.readOnly ?? false, pageBytes: pageBytes() });
const transport = new DevFuseTransport(mount.fd);
const readers = options.readers ?? 2;
const loans = slots && allocateLoans(readers);
const lender = slots && loans && new SlotLender(loans, { slots, clock: systemClock });
const dispatcher = new FuseDispatcher(
  {},
  {
    handlers: fs,
    writer: transport,
    negotiated,
    log,
    onRoom: () => pump.wake(),
    ...(lender ? { lender } : {}),
  },
);
const rings = Array.from({ length: readers }, () => allocateRing(REQUEST_RING_BYTES));
const counters = rings.map(() => new SharedArrayBuffer(COUNTER_WORDS * 4));
const consumers = rings.map((ring) => new RingConsumer(ring));
const accesses: number[] = [];
let ended = 0;
const pump = new RingPump(consumers, dispatcher, {
  onAccess: (access) => void accesses.push(access.offset),
  onTrouble: (message) => void errors.push(message),
  onEnded: () => {
    if (++ended < rings.length) return;
    dispatcher.ended();
    say({ ended: true, lookups: fs.lookups, handles: fs.handles.size, destroyed: fs.destroyed, errors });
    process.exit(0);
  },
});
rings.forEach((ring, index) => {
  const worker = new Worker(new URL('./fuse-reader-worker.js', import.meta.url), {
    workerData: {
      fd: mount.fd,
      ring,
      pool,
      requestBufferBytes: negotiated.requestBufferBytes,
      counters: counters[index],
      loans,
    },
  });
  worker.on('message', () => pump.wake());
  worker.on('error', die);
});
pump.wake();
const readAhead = mount.record === undefined ? 'no record' : await setReadAhead(mount.record, 1024);
say({ ready: true, negotiated, record: mount.record, via: mount.via, readAhead: readAhead ?? null, pid: process.pid });

interface Command {
  readonly do: 'stats' | 'flushes' | 'notify' | 'put' | 'drop' | 'unstick' | 'store' | 'unmount' | 'nodes';
  readonly notification?: Notification;
  readonly path?: string;
  readonly content?: string;
  readonly lazy?: boolean;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line) as Command;
  void (async () => {
    switch (command.do) {
      case 'stats':
        say({
          stats: dispatcher.stats(),
          hits: counters.reduce((sum, words) => sum + (new Int32Array(words)[0] ?? 0), 0),
          calls: fs.calls,
          lent: counters.reduce((sum, words) => sum + (new Int32Array(words)[COUNTER_LENT] ?? 0), 0),
          kept: keeping?.kept ?? 0,
          slotsUsed: slots?.used ?? 0,
          accesses,
          errors,
          lookups: fs.lookups,
        });
        break;
      case 'flushes':
        say({ flushes: witnessed?.flushes.splice(0) ?? [] });
        break;
      case 'notify':
        say({ errno: command.notification === undefined ? -1 : runNotification(transport, command.notification) });
        break;
      case 'put': {
        const node = fs.put(command.path ?? '', command.content ?? '');
        say({ nodeId: node.id });
        break;
      }
      case 'drop': {
        // The node is forgotten, its name stays: what a daemon looks like that has lost its table.
        const node = fs.root.children.get(command.path ?? '');
        say({ dropped: node !== undefined && fs.nodes.delete(node.id) });
        break;
      }
      case 'store': {
        // On this thread only because nothing is being read: the product has a thread for it (kernel fact 8).
        const node = fs.root.children.get(command.path ?? '');
        say({ errno: node === undefined ? -1 : runStore(transport, node.id, 0, [node.data]) });
        break;
      }
      case 'unstick':
        fs.unstuck = true;
        for (const answer of fs.stuck.splice(0)) answer();
        say({ unstuck: true });
        break;
      case 'nodes':
        say({ nodes: Object.fromEntries([...fs.root.children].map(([name, node]) => [name, node.id])) });
        break;
      case 'unmount':
        try {
          await unmountFuse(mountPoint, { lazy: command.lazy ?? false });
          say({ unmounted: true });
        } catch (error) {
          say({ unmounted: false, error: String(error) });
        }
        break;
    }
  })();
});
