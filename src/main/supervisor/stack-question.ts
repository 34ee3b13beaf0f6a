/**
 * Asks a daemon where its main thread is, while that may hang: a net thread of it answers over a socket that nothing else
 * uses (src/main/threads/stack-teller.ts). Bounds: TELL_MS, TEXT_BYTES_MAX. Refuses to fail: no answer is an answer.
 */
import type { Socket } from 'node:net';
import { TELL_MS, TEXT_BYTES_MAX, type MainStack } from '../threads/stack-teller.js';

/** For the report: the stack, or why there is none. */
export type StackAnswer = MainStack | { readonly error: string };

const QUESTION = 'stack\n';

export function askStack(socket: Socket | undefined, waitMs = TELL_MS): Promise<StackAnswer> {
  if (socket === undefined || socket.destroyed) return Promise.resolve({ error: 'the daemon cannot be asked' });
  return new Promise((resolve) => {
    let text = '';
    const settle = (answer: StackAnswer): void => {
      clearTimeout(timer);
      socket.off('data', onData);
      socket.off('close', onClose);
      socket.off('error', onError);
      resolve(answer);
    };
    const onData = (bytes: Buffer): void => {
      text += bytes.toString('utf8');
      if (text.length > TEXT_BYTES_MAX) settle({ error: 'the answer is too long' });
      else if (text.includes('\n')) settle(asAnswer(text));
    };
    // 'close' follows.
    const onError = (): void => undefined;
    const onClose = (): void => settle({ error: 'the daemon has ended' });
    const timer = setTimeout(
      () => settle({ error: `no thread of it answered within ${waitMs / 1000} s: it is starting, ending, or starved` }),
      waitMs,
    );
    socket.on('data', onData);
    socket.once('close', onClose);
    socket.on('error', onError);
    socket.write(QUESTION);
  });
}

function asAnswer(text: string): StackAnswer {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && ('frames' in value || 'error' in value))
      return value as StackAnswer;
  } catch {
    // said below
  }
  return { error: 'the answer makes no sense' };
}
