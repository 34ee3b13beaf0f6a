/**
 * Requests that are sent again to a daemon that takes over (bit 63 of their id), and those that daemons die of.
 */
import t from 'tap';
import { EINTR, EIO, ErrnoError } from '../../src/base/errno.js';
import { InvariantError } from '../../src/base/invariant.js';
import { silentLog } from '../../src/base/log.js';
import { FuseDispatcher, type DispatcherDeps, type DispatcherOptions } from '../../src/fuse/dispatcher.js';
import type { FuseHandlers, RequestContext } from '../../src/fuse/handlers.js';
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
  const witness = { atHand: (opcode: number, lo: number) => void noted.push(opcode === 0 ? 0 : lo) };
  const { handlers, send } = bench({}, { witness });
  send('LOOKUP', 70n, {}, ['a']);
  t.same(noted, [70, 0]);
  handlers.lookup = () => {
    throw new InvariantError('broken');
  };
  t.throws(() => send('LOOKUP', 72n, {}, ['a']));
  t.same(noted, [70, 0, 72]);
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
