/**
 * Requests that are sent again to a daemon that takes over (bit 63 of their id), and those that daemons die of.
 */
import t from 'tap';
import { EINTR, EIO, ErrnoError } from '../../src/base/errno.js';
import { ManualClock } from '../../src/base/clock.js';
import { InvariantError } from '../../src/base/invariant.js';
import { silentLog } from '../../src/base/log.js';
import { FuseDispatcher, type DispatcherDeps, type DispatcherOptions } from '../../src/fuse/dispatcher.js';
import type { Entry, FuseHandlers, RequestContext, RequestTicket } from '../../src/fuse/handlers.js';
import { GATHER_MS, HELD_MAX, NOBODY_MS, TURN_MS } from '../../src/fuse/trial.js';
import { encodeRequest, type Fields } from '../support/fake-kernel-codec.js';
import { RecordingHandlers } from '../support/fake-kernel-handlers.js';
import { FakeKernel, NEGOTIATED } from '../support/fake-kernel.js';

const RESENT = 1n << 63n;

function bench(options: DispatcherOptions = {}, more: Partial<DispatcherDeps> = {}) {
  const kernel = new FakeKernel();
  const handlers = new RecordingHandlers();
  const deps = { handlers, writer: kernel, negotiated: NEGOTIATED, log: silentLog, ...more };
  const dispatcher = new FuseDispatcher(options, deps);
  const send = (name: string, unique: bigint, body?: Fields, tail?: readonly string[], nodeId = 1): void =>
    dispatcher.dispatch(kernel.sent(encodeRequest(name, { unique, uid: 1000, nodeid: nodeId }, body, tail)));
  return { kernel, handlers, dispatcher, send };
}

t.test('the reply carries the id as it came, and the handler hears that it was sent again', (t) => {
  const { kernel, handlers, send } = bench();
  const seen: (boolean | undefined)[] = [];
  const ids: (number | undefined)[] = [];
  const lookup = handlers.lookup.bind(handlers);
  handlers.lookup = (context: RequestContext, ...rest: unknown[]) => {
    seen.push(context.isResent);
    ids.push(context.id);
    return lookup(context, ...rest);
  };
  send('LOOKUP', 40n, {}, ['a']);
  send('LOOKUP', 42n | RESENT, {}, ['b']);
  t.same(seen, [false, true]);
  t.same(ids, [40, 42], 'the number is the same either way');
  t.same(
    kernel.replies.map(({ unique }) => BigInt(unique)),
    [40n, 42n | RESENT],
  );
  t.end();
});

t.test('INTERRUPT finds a resent request, whichever of the two has the bit', async (t) => {
  for (const [request, interrupt] of [
    [50n | RESENT, 50n | RESENT],
    [50n | RESENT, 50n],
    [50n, 50n | RESENT],
  ] as const) {
    const handlers = new RecordingHandlers();
    const waiting: Partial<FuseHandlers> = {
      lookup: (context: RequestContext) =>
        new Promise((_resolve, reject) => {
          context.signal.addEventListener('abort', () => reject(new ErrnoError(EINTR)));
        }),
    };
    const { kernel, send } = bench({}, { handlers: Object.assign(handlers, waiting) });
    send('LOOKUP', request, {}, ['a']);
    send('INTERRUPT', 51n, { unique: interrupt });
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(kernel.replies.length, 1);
  }
});

t.test('a request that two daemons died of is answered EIO unserved, and no other', (t) => {
  const { kernel, handlers, send } = bench({ refused: [{ lo: 60, hi: 0 }] });
  send('LOOKUP', 60n | RESENT, {}, ['deadly']);
  send('LOOKUP', 62n | RESENT, {}, ['innocent']);
  t.same(
    kernel.replies.map(({ errno }) => errno),
    [EIO, 0],
  );
  t.equal(handlers.calls.filter((call) => call.startsWith('lookup')).length, 1);
  t.end();
});

t.test('the request at hand is noted, and stays noted when it breaks an invariant', (t) => {
  const noted: number[] = [];
  const witness = {
    atHand: (opcode: number, lo: number) => void noted.push(opcode === 0 ? 0 : lo),
    inService: () => undefined,
  };
  const { handlers, send } = bench({}, { witness });
  send('LOOKUP', 70n, {}, ['a']);
  t.same(noted, [70, 0]);
  handlers.lookup = () => {
    throw new InvariantError('broken');
  };
  t.throws(() => send('LOOKUP', 72n, {}, ['a']));
  t.equal(noted.at(-1), 72);
  t.end();
});

t.test('a broken invariant in a later turn leaves its request at hand', (t) => {
  const noted: number[] = [];
  const witness = {
    atHand: (opcode: number, lo: number) => void noted.push(opcode === 0 ? 0 : lo),
    inService: () => undefined,
  };
  const { handlers, send } = bench({}, { witness });
  const later = new Promise<Entry>(() => undefined);
  let reject: (error: unknown) => unknown = () => undefined;
  later.then = (_resolve, onRejected) => {
    reject = onRejected ?? reject;
    return later as never;
  };
  Object.assign(handlers, { lookup: () => later });
  send('LOOKUP', 74n, {}, ['a']);
  send('GETATTR', 76n, {}, [], 9);
  t.equal(noted.at(-1), 0);
  t.throws(() => reject(new InvariantError('broken')), InvariantError);
  t.equal(noted.at(-1), 74);
  t.end();
});

/** A dispatcher on trial whose LOOKUPs wait for `answer`; what is in service. */
function onTrial(first: readonly { lo: number; hi: number }[]) {
  const clock = new ManualClock();
  const waiting = new Map<number, () => void>();
  let inService: readonly number[] = [];
  const witness = {
    atHand: () => undefined,
    inService: (requests: readonly RequestTicket[]) => (inService = requests.map(({ lo }) => lo)),
  };
  const made = bench({ trial: first }, { clock, witness });
  const entry = made.handlers.lookup.bind(made.handlers);
  const lookup = (context: RequestContext, parent: number, name: string): Promise<Entry> =>
    new Promise((resolve) => waiting.set(context.id ?? -1, () => resolve(entry(context, parent, name))));
  Object.assign(made.handlers, { lookup });
  const answer = async (id: number): Promise<void> => {
    waiting.get(id)?.();
    waiting.delete(id);
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1);
  };
  return { ...made, clock, answer, served: () => [...waiting.keys()], inService: () => inService };
}

t.test('a trial: what is sent again is served one by one, the suspicious first; others at once', async (t) => {
  const { clock, send, answer, served, inService, kernel } = onTrial([{ lo: 94, hi: 0 }]);
  for (const id of [90n, 92n, 94n]) send('LOOKUP', id | RESENT, {}, ['a']);
  t.same(served(), [], 'they are gathered');
  clock.advance(GATHER_MS);
  t.same(served(), [94]);
  send('LOOKUP', 98n, {}, ['fresh']);
  t.same(served(), [94, 98], 'nobody else waits');
  t.same(inService(), [94, 98]);
  await answer(94);
  t.same(served(), [98, 90]);
  clock.advance(TURN_MS);
  t.same(served(), [98, 90, 92], 'one that takes long does not keep the others');
  t.same(inService(), [98, 90, 92], 'but stays in service');
  send('LOOKUP', 96n | RESENT, {}, ['late']);
  for (const id of [90, 92, 98, 96]) await answer(id);
  await answer(96);
  t.same(served(), []);
  t.same(inService(), [], 'over');
  for (const id of [102n, 104n]) send('LOOKUP', id | RESENT, {}, ['a']);
  t.same(served(), [102, 104], 'and as always from then on');
  t.same(inService(), []);
  t.equal(kernel.replies.length, 5);
});

t.test('a trial that nobody comes to is over; more than it holds is served at once', (t) => {
  const idle = onTrial([]);
  idle.clock.advance(NOBODY_MS);
  for (const id of [110n, 112n]) idle.send('LOOKUP', id | RESENT, {}, ['a']);
  t.same(idle.served(), [110, 112]);
  const crowd = onTrial([]);
  for (let each = 0; each < HELD_MAX + 2; each++) crowd.send('LOOKUP', BigInt(2 * each) | RESENT, {}, ['a']);
  t.same(crowd.served(), [2 * HELD_MAX, 2 * HELD_MAX + 2]);
  t.end();
});

t.test('a request that must be prepared is served once, afterwards', async (t) => {
  let release = (): void => undefined;
  const asked: number[] = [];
  const prepare = (nodeId: number): Promise<void> | undefined => {
    asked.push(nodeId);
    return nodeId === 9 ? new Promise((resolve) => (release = resolve)) : undefined;
  };
  const { kernel, send } = bench({}, { prepare });
  send('GETATTR', 80n, {}, [], 9);
  send('GETATTR', 82n, {}, [], 8);
  t.same(
    kernel.replies.map(({ unique }) => Number(unique)),
    [82],
  );
  release();
  await new Promise((resolve) => setImmediate(resolve));
  t.same(
    kernel.replies.map(({ unique }) => Number(unique)),
    [82, 80],
  );
  t.same(asked, [9, 8], 'and not asked again');
});
