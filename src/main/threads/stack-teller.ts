/**
 * Says where the main thread is, to the supervisor that asks (src/main/supervisor/stack-question.ts): the functions of its
 * JavaScript stack, also while it runs in circles. An inspector session of this thread interrupts the main thread; no port is
 * opened. One that waits for events is told from /proc, for it would stop in whatever it does next. Until somebody asks there is a socket in this thread's poll set and nothing else: `node:inspector` is not loaded.
 *
 * Thread: a net thread, whose loop turns whatever the main thread does. Bounds: ENABLE_MS and PAUSE_MS; FRAMES_MAX.
 * Refuses to read values: names of functions, files and lines leave here, and nothing that a variable holds.
 */
import type { Session, Debugger } from 'node:inspector';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../base/thrown.js';
import { within } from '../../base/waits.js';

/** Looks at whether it comes to wait for events. */
const IDLE_LOOKS = 5;
const IDLE_LOOK_MS = 20;
/** How long the main thread may take to be interrupted. It is not while it waits in the kernel (measured else: 20-430 ms). */
const ENABLE_MS = 1500;
/** Then, until it runs JavaScript. */
const PAUSE_MS = 1000;
/** More than all of it. */
export const TELL_MS = IDLE_LOOKS * IDLE_LOOK_MS + ENABLE_MS + PAUSE_MS + 500;
const FRAMES_MAX = 64;
/** Numbers of epoll_wait and epoll_pwait. */
const EPOLL_CALLS: Readonly<Record<string, readonly string[]>> = { x64: ['232', '281'], arm64: ['22'] };
export const TEXT_BYTES_MAX = 32 * 1024;

export interface MainStack {
  /**
   * `blocked`: it could not be interrupted, so it waits in the kernel or in native code; `idle`: nothing of it runs, it waits
   * for events; `running`: it is in the first frame.
   */
  readonly state: 'running' | 'idle' | 'blocked';
  /** The innermost first: `function (file:line:column)`. */
  readonly frames: readonly string[];
}

/** Answers each question that comes over the descriptor. `@owns` it. */
export function tellStacks(fd: number): void {
  const socket = new Socket({ fd, readable: true, writable: true });
  socket.unref();
  socket.on('error', () => undefined);
  let isTelling = false;
  socket.on('data', () => {
    if (isTelling) return;
    isTelling = true;
    void mainStack()
      .catch((error: unknown) => ({ error: messageOf(error) }))
      .then((answer) => {
        isTelling = false;
        socket.write(`${JSON.stringify(answer)}\n`);
      });
  });
}

/** Where the main thread is. It stands still for a moment. Rejects where Node was built without an inspector. */
export async function mainStack(): Promise<MainStack> {
  for (let looks = 0; looks < IDLE_LOOKS; looks++) {
    if (waitsForEvents()) return { state: 'idle', frames: [] };
    await sleep(IDLE_LOOK_MS);
  }
  const inspector = await import('node:inspector');
  const session = new inspector.Session();
  session.connectToMainThread();
  try {
    const files = new Map<string, string>();
    session.on('Debugger.scriptParsed', ({ params }) => files.set(params.scriptId, params.url));
    const paused = new Promise<Debugger.CallFrame[]>((resolve) => {
      session.once('Debugger.paused', ({ params }) => resolve(params.callFrames));
    });
    if ((await within(post(session, 'Debugger.enable'), ENABLE_MS, undefined)) === undefined) {
      return { state: 'blocked', frames: [] };
    }
    post(session, 'Debugger.pause').catch(() => undefined);
    const callFrames = await within(paused, PAUSE_MS, undefined);
    if (callFrames === undefined) return { state: 'idle', frames: [] };
    const frames = callFrames.slice(0, FRAMES_MAX).map(({ functionName, location }) => {
      const { scriptId, lineNumber, columnNumber = 0 } = location;
      const file = files.get(scriptId) ?? '';
      return `${functionName || '(anonymous)'} (${file}:${lineNumber + 1}:${columnNumber + 1})`;
    });
    return { state: 'running', frames };
  } finally {
    // The main thread goes on.
    session.disconnect();
  }
}

/** The main thread is in epoll_wait(2); false where /proc does not say. */
function waitsForEvents(): boolean {
  const task = `/proc/self/task/${process.pid}`;
  try {
    if (readFileSync(`${task}/wchan`, 'latin1') === 'ep_poll') return true;
    const [call] = readFileSync(`${task}/syscall`, 'latin1').split(' ');
    return EPOLL_CALLS[process.arch]?.includes(call ?? '') === true;
  } catch {
    return false;
  }
}

function post(session: Session, method: 'Debugger.enable' | 'Debugger.pause'): Promise<true> {
  return new Promise((resolve, reject) => {
    session.post(method, (error) => {
      if (error) reject(error);
      else resolve(true);
    });
  });
}
