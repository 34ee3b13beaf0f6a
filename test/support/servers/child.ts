/**
 * A server as a child process: start it, wait until it answers, end it.
 *
 * Tests that mount need the server in a process of its own: a reader blocked in the kernel would also block a server in the same process,
 * for ever. Readiness is a TCP connection that is accepted, asked again at short intervals up to a named bound. Children still alive when
 * this process exits are killed, by their process id only. Refuses to restart anything.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';

/** A server that has not accepted a connection after this long is broken. Guessed generously: the slowest seen needs 1 s. */
const READY_WAIT_MS_MAX = 20_000;
const READY_POLL_MS = 20;
/** After SIGTERM a server gets this long before SIGKILL. */
const STOP_WAIT_MS_MAX = 5_000;
/** Bytes of output kept to explain a failed start. */
const OUTPUT_CHARS_MAX = 16_384;

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Thrown when the child ended, or never answered; carries what it printed. */
export class ServerStartError extends Error {
  readonly output: string;

  constructor(message: string, output: string) {
    super(`${message}\n${output}`);
    this.output = output;
  }
}

/** A started child. */
export interface ServerProcess {
  readonly pid: number;
  /** The last output, standard output and error mixed. */
  output(): string;
  stop(): Promise<void>;
}

/** A port on 127.0.0.1 that was free a moment ago; a caller that loses the race starts again. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Starts `command` and resolves when `port` of `host` (127.0.0.1) accepts connections. */
export async function startServerProcess(
  command: string,
  args: readonly string[],
  port: number,
  env: Readonly<Record<string, string>> = {},
  host = '127.0.0.1',
): Promise<ServerProcess> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARS_MAX);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let failure: string | undefined;
  child.once('error', (error) => (failure = error.message));
  child.once('exit', (code, signal) => {
    failure ??= `ended with ${signal ?? `exit code ${code}`}`;
    alive.delete(child);
  });
  alive.add(child);

  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WAIT_MS_MAX);
    await ended;
    clearTimeout(timer);
  };

  const giveUpAt = Date.now() + READY_WAIT_MS_MAX;
  while (!(await accepts(port, host))) {
    if (failure === undefined && Date.now() < giveUpAt) {
      await new Promise((wake) => setTimeout(wake, READY_POLL_MS));
      continue;
    }
    const why = failure ?? `did not listen on port ${port} within ${READY_WAIT_MS_MAX} ms`;
    await stop();
    throw new ServerStartError(`${command} ${why}`, output);
  }
  // The port may answer because someone else took it while our child failed to bind it.
  await new Promise((wake) => setTimeout(wake, READY_POLL_MS));
  if (failure !== undefined) throw new ServerStartError(`${command} ${failure}`, output);
  return { pid: child.pid ?? 0, output: () => output, stop };
}

async function accepts(port: number, host: string): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
