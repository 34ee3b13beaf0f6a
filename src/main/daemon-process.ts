/**
 * The daemon's process: started with a channel by the supervisor (or by the command, background.ts, where there is none), it
 * takes the configuration from there, mounts or takes the mount over, answers once, and serves until it is unmounted or told
 * to end. It keeps a supervisor's channel, whose end means that the supervisor is dead, and lets go of the command's.
 * It reads nothing from its arguments; they only tell `ps` what it serves. Refuses to run without the channel.
 */
import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { MountConfig } from './config.js';
import { describeFailure, type Failure } from './failure.js';
import { EXIT_CREDENTIALS, EXIT_FAILURE } from './exit-codes.js';
import { endProcess } from './fatal.js';
import { loadStartDaemon } from './load-daemon.js';
import { openLogging } from './logging.js';
import { asStartMessage, failedMessage } from './readiness.js';
import type { Reread } from './reload/live-settings.js';
import { runDaemon, type DaemonHandle, type StartDaemon } from './run-daemon.js';
import { currentOwner } from './state-directory.js';
import { sendDescriptor } from '../fuse/libc.js';
import { packageVersion } from './version.js';
import { aloneLife, type FromDaemon, type Life, type LiveLife, type ToDaemon } from './supervisor/api.js';
import { refuseRights, type RunAs } from './run-as/run-as.js';
import { rootHand } from './supervisor/errands.js';
import { mapFile } from './supervisor/map-file.js';
import { DaemonPage, PAGE_BYTES } from './supervisor/page.js';

/** Tells the other side, if it still listens. Resolves once the message is on its way. */
function tell(message: FromDaemon): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

/**
 * Serves as the background process: waits for the start message, runs the mount, ends the process. `load` gives the
 * daemon to run; `reread` knows where settings are said.
 */
export function serveInBackground(load: () => Promise<StartDaemon> = () => loadStartDaemon(), reread?: Reread): void {
  if (process.send === undefined) {
    process.stderr.write('mount-s3x: this is the background process of mount-s3x, which starts it by itself\n');
    process.exitCode = EXIT_FAILURE;
    return;
  }
  process.title = 'mount-s3x';
  // Before it is known what to mount: whoever started us is finding that out. What fails here fails again where it is awaited.
  const loading = load();
  loading.catch(() => undefined);
  const disconnected = new AbortController();
  // Nothing is mounted, and nobody wants it to be: whoever started us has found a mistake, or is gone.
  const onEarlyEnd = (): void => endProcess(0);
  process.once('disconnect', onEarlyEnd);
  if (!process.connected) onEarlyEnd();
  process.once('message', (value) => {
    process.off('disconnect', onEarlyEnd);
    process.once('disconnect', () => disconnected.abort());
    void run(value, { loading, disconnected: disconnected.signal, ...(reread && { reread }) });
  });
}

interface Surroundings {
  readonly loading: Promise<StartDaemon>;
  readonly reread?: Reread;
  readonly disconnected: AbortSignal;
}

async function run(value: unknown, { loading, reread, disconnected }: Surroundings): Promise<void> {
  let exitCode: number;
  try {
    const start = asStartMessage(value);
    if (start === undefined) throw new Error('the start message makes no sense: is the installation of one version?');
    const { runAs } = start.config;
    if (runAs !== undefined) refuseRights(runAs);
    const owner = currentOwner();
    const logging = openLogging(start.config, { owner, isTerminal: isatty(2) });
    const { life } = start;
    try {
      exitCode = await runDaemon(start.config, {
        logging,
        startDaemon: async (config, deps) => (await loading)(config, deps),
        owner,
        ...(life ? { orphaned: disconnected } : { abandoned: disconnected }),
        life: life ? liveLife(life, start.config) : aloneLife,
        onReady: async () => {
          await tell({ type: 'ready', log: logging.description, version: packageVersion() });
          if (!life && process.connected) process.disconnect();
        },
        onAway: (away) => void tell({ type: 'store-away', ...away }),
        onServing: listenToSupervisor,
        ...(reread && { reread }),
        onReloaded: () => void (life && tell({ type: 'reloaded' })),
        onConfig: (config) => void (life && tell({ type: 'configured', config })),
        onEnded: (reason, code) => tell({ type: 'ended', reason, exitCode: code }),
      });
    } catch (error) {
      logging.log.error({ err: error }, 'the mount failed');
      throw error;
    } finally {
      logging.close();
    }
  } catch (error) {
    const failure = withUser(describeFailure(error), asStartMessage(value)?.config.runAs);
    exitCode = failure.exitCode;
    await tell(failedMessage(failure));
  }
  endProcess(exitCode);
}

/** Root's credentials, which whoever mounted may have had in mind, are not looked at. */
function withUser(failure: Failure, runAs: RunAs | undefined): Failure {
  if (runAs === undefined || failure.exitCode !== EXIT_CREDENTIALS) return failure;
  const { name, home } = runAs;
  const where = home === undefined ? 'in no home directory' : `in ${home}/.aws`;
  const hint = `the daemon runs as user ${name}, so they are looked for ${where}, not in root's`;
  return { ...failure, remedy: failure.remedy === undefined ? hint : `${failure.remedy}; ${hint}` };
}

/** From now on the supervisor may ask for what is in memory only. */
function listenToSupervisor(daemon: Pick<DaemonHandle, 'handOver' | 'waiting'>): void {
  process.on('message', ({ type }: ToDaemon) => {
    if (type === 'hand-over') void Promise.resolve(daemon.handOver?.()).then(() => tell({ type: 'handed-over' }));
    else if (type === 'tell-waiting') void daemon.waiting?.().then((waiting) => tell({ type: 'waiting', waiting }));
  });
}

/** What the supervisor said, with what stands behind its descriptors. Throws when the journal file cannot be mapped. */
function liveLife(life: Life, { runAs, mountPoint }: MountConfig): LiveLife {
  const { generation, journalFd, handoverFd } = life;
  const page = journalFd === undefined ? undefined : new DaemonPage(mapFile(journalFd, PAGE_BYTES));
  const levelBefore = page?.level();
  page?.begin(generation, process.pid);
  return {
    ...life,
    ...(page && { page }),
    ...(levelBefore && { levelBefore }),
    ...(runAs && { rootHand: rootHand(mountPoint) }),
    mounted: (deviceFd) => {
      if (handoverFd === undefined) return Promise.resolve();
      const errno = sendDescriptor(handoverFd, deviceFd);
      closeSync(handoverFd);
      // Once it is on the socket it is the supervisor's, whatever becomes of this process.
      if (errno !== 0) return Promise.reject(new Error(`the connection cannot be handed to the supervisor (${errno})`));
      return Promise.resolve();
    },
  };
}
