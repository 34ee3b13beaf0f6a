/** Messages to another thread: gathered, in order, none lost, none twice. */
import t from 'tap';
import { Outbox } from '../../../src/main/threads/outbox.js';

function outbox(): { sent: unknown[]; scheduled: (() => void)[]; box: Outbox<number> } {
  const sent: unknown[] = [];
  const scheduled: (() => void)[] = [];
  const box = new Outbox<number>({ postMessage: (messages) => sent.push(messages) }, (send) => scheduled.push(send));
  return { sent, scheduled, box };
}

t.test('what is posted in one moment travels in one message, in order', (t) => {
  const { sent, scheduled, box } = outbox();
  box.post(1);
  box.post(2);
  t.same(sent, []);
  t.equal(scheduled.length, 1);
  scheduled[0]?.();
  t.same(sent, [[1, 2]]);
  box.post(3);
  t.equal(scheduled.length, 2, 'the next one is scheduled anew');
  scheduled[1]?.();
  t.same(sent, [[1, 2], [3]]);
  t.end();
});

t.test('a flush sends at once, and the scheduled one then finds nothing', (t) => {
  const { sent, scheduled, box } = outbox();
  box.flush();
  t.same(sent, []);
  box.post(1);
  box.flush();
  scheduled[0]?.();
  t.same(sent, [[1]]);
  t.end();
});

t.test('what is posted while the messages are being sent goes with the next', (t) => {
  const sent: unknown[] = [];
  const scheduled: (() => void)[] = [];
  const box: Outbox<number> = new Outbox<number>(
    {
      postMessage: (messages) => {
        sent.push(messages);
        if (sent.length === 1) box.post(2);
      },
    },
    (send) => scheduled.push(send),
  );
  box.post(1);
  scheduled[0]?.();
  scheduled[1]?.();
  t.same(sent, [[1], [2]]);
  t.end();
});

t.test('memory that moves goes with its message, once', (t) => {
  const moved: unknown[] = [];
  const box = new Outbox<number>({ postMessage: (_messages, transfer) => moved.push(transfer) }, () => undefined);
  const buffer = new ArrayBuffer(8);
  box.post(1);
  box.post(2, buffer);
  box.flush();
  box.post(3);
  box.flush();
  t.equal(moved.length, 2);
  t.same(moved[1], []);
  t.equal((moved[0] as ArrayBuffer[])[0], buffer);
  t.end();
});
