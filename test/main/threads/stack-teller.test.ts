/** Where a main thread is that does not answer, as another thread of its process tells it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { askStack, type StackAnswer } from '../../../src/main/supervisor/stack-question.js';

const program = fileURLToPath(new URL('./hung-program.js', import.meta.url));

async function started(t: Test, way: string): Promise<Socket> {
  const child = spawn(process.execPath, [program, way], { stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  const socket = child.stdio[3];
  if (!(socket instanceof Socket)) throw new Error('no socket');
  return socket;
}

const answers: Readonly<Record<string, StackAnswer | object>> = {
  runForEver: { state: 'running', frames: [/^runForEver \(file:.*hung-program\.js:\d+:\d+\)$/] },
  waitForMemory: { state: 'running', frames: [/^waitForMemory \(/] },
  readForEver: { state: 'blocked', frames: [] },
  beat: { state: 'idle', frames: [] },
  waitForNobody: { state: 'idle', frames: [] },
};

for (const [way, expected] of Object.entries(answers)) {
  await t.test(way, async (t) => {
    const socket = await started(t, way);
    t.match(await askStack(socket), expected);
    t.match(await askStack(socket), expected, 'it can be asked again');
  });
}

await t.test('nobody answers', async (t) => {
  t.match(await askStack(undefined), { error: /cannot be asked/ });
  const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  const socket = child.stdio[3] as unknown as Socket;
  t.match(await askStack(socket, 200), { error: /no thread of it answered within 0.2 s/ });
  const answer = askStack(socket);
  child.kill('SIGKILL');
  t.match(await answer, { error: /has ended/ });
});
