/**
 * The background process: started by the command with a channel (background.ts), it takes the configuration from there,
 * mounts, answers once, lets go of the channel and serves until it is unmounted or told to end.
 * It reads nothing from its arguments; they only tell `ps` what it serves. Refuses to run without the channel.
 */
import { describeFailure } from './failure.js';
import { EXIT_FAILURE } from './exit-codes.js';
import { endProcess } from './fatal.js';
import { loadStartDaemon } from './load-daemon.js';
import { openLogging } from './logging.js';
import { asStartMessage, failedMessage, type ReadyMessage } from './readiness.js';
import { runDaemon, type StartDaemon } from './run-daemon.js';
import { currentOwner } from './state-directory.js';

/** Tells the command, if it still listens. Resolves once the message is on its way. */
function tell(message: ReadyMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

/**
 * Serves as the background process: waits for the start message, runs the mount, ends the process. `load` gives the
 * daemon to run.
 */
export function serveInBackground(load: () => Promise<StartDaemon> = loadStartDaemon): void {
  if (process.send === undefined) {
    process.stderr.write('mount-s3x: this is the background process of mount-s3x, which starts it by itself\n');
    process.exitCode = EXIT_FAILURE;
    return;
  }
  process.title = 'mount-s3x';
  const abandoned = new AbortController();
  process.once('disconnect', () => abandoned.abort());
  process.once('message', (value) => {
    void run(value, load, abandoned.signal);
  });
}

async function run(value: unknown, load: () => Promise<StartDaemon>, abandoned: AbortSignal): Promise<void> {
  let exitCode: number;
  try {
    const start = asStartMessage(value);
    if (start === undefined) throw new Error('the start message makes no sense: is the installation of one version?');
    const owner = currentOwner();
    const logging = openLogging(start.config, { owner, isTerminal: false });
    try {
      exitCode = await runDaemon(start.config, {
        logging,
        startDaemon: async (config, deps) => (await load())(config, deps),
        owner,
        abandoned,
        onReady: async () => {
          await tell({ type: 'ready', log: logging.description });
          if (process.connected) process.disconnect();
        },
      });
    } catch (error) {
      logging.log.error({ err: error }, 'the mount failed');
      throw error;
    } finally {
      logging.close();
    }
  } catch (error) {
    const failure = describeFailure(error);
    exitCode = failure.exitCode;
    await tell(failedMessage(failure));
  }
  endProcess(exitCode);
}
