/**
 * A background process for tests of background.ts: speaks its channel as bin/mount-s3x-daemon does, but what it "mounts"
 * is decided by FAKE_DAEMON in its environment: ready, fails, dies, throws, silent, deaf (ignores SIGTERM as well).
 * Everything but the daemon itself is the real thing (logging, run file, signals).
 */
import { CommandError } from '../../src/main/command-error.js';
import { serveInBackground } from '../../src/main/daemon-process.js';
import type { DaemonHandle, StartDaemon } from '../../src/main/run-daemon.js';

const startDaemon: StartDaemon = async (_config, { log }): Promise<DaemonHandle> => {
  const behaviour = process.env['FAKE_DAEMON'] ?? 'ready';
  if (behaviour === 'fails') throw new CommandError(7, 'bucket nope does not exist', 'check its name');
  if (behaviour === 'dies') process.kill(process.pid, 'SIGKILL');
  if (behaviour === 'crashes') {
    process.stderr.write('some/file.js:1\nError: the sky fell\n    at nowhere\n');
    process.exit(3);
  }
  if (behaviour === 'silent' || behaviour === 'deaf') {
    if (behaviour === 'deaf') for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.removeAllListeners(signal);
    if (behaviour === 'deaf') process.on('SIGTERM', () => undefined);
    await new Promise((resolve) => setTimeout(resolve, 600_000));
  }
  console.warn('a library speaks up');
  process.emitWarning('and warns');
  log.info({ sessionToken: 'FwoGZXIvYXdzEXAMPLETOKEN' }, 'fake mount');
  let ended: (value: { reason: string; exitCode: number }) => void = () => undefined;
  const done = new Promise<{ reason: string; exitCode: number }>((resolve) => (ended = resolve));
  const keepAlive = setInterval(() => undefined, 1000);
  return {
    done,
    stop: (reason) => {
      clearInterval(keepAlive);
      ended({ reason, exitCode: 0 });
      return Promise.resolve();
    },
  };
};

serveInBackground(() => Promise.resolve(startDaemon));
