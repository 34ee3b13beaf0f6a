/**
 * How a process becomes a supervisor: started by the command with a channel (a mount in the background), or as the command
 * itself, replaced by it (--foreground, become.ts) with the configuration in its environment, where no secret is.
 * The one answer, ready or not, goes back the same way: over the channel, or as lines and an exit code.
 * Refuses to load more than a supervisor needs: it lives as long as the mount.
 */
import { readlinkSync, rmSync } from 'node:fs';
import { EXIT_FAILURE, EXIT_NOT_READY, EXIT_OK } from '../exit-codes.js';
import { mountSource } from '../mount-source.js';
import { currentOwner, isEarlyWordsFile } from '../state-directory.js';
import type { MountConfig } from '../config.js';
import type { AwayMessage } from '../readiness.js';
import { ServiceManager } from '../service/service-manager.js';
import { asSuperviseMessage, type SuperviseMessage, type ToCommand } from './api.js';
import { SUPERVISE_VARIABLE } from './become.js';
import { noHooks, type ServiceHooks } from './service-hooks.js';
import { discardStandby, isAlive, type Standby } from './standby.js';
import { supervise } from './supervisor.js';

/** 15 characters are what the kernel keeps. */
const TITLE = 'mount-s3x-super';

/** What tells a service manager, when one started us. */
function serviceHooks(config: MountConfig): ServiceHooks {
  if (process.env['NOTIFY_SOCKET'] === undefined) return noHooks;
  const { shutdownTimeoutMs } = config.write;
  const deps = { env: process.env, pid: process.pid, nowMs: () => performance.now() };
  return ServiceManager.open({ shutdownTimeoutMs }, deps) ?? noHooks;
}

/** Runs this process as a supervisor, to its end. `starting` is the first daemon, where it was started ahead. */
export async function runSupervisor(starting?: Promise<Standby | undefined>): Promise<void> {
  const given = process.env[SUPERVISE_VARIABLE];
  Reflect.deleteProperty(process.env, SUPERVISE_VARIABLE);
  process.title = TITLE;
  if (given !== undefined) {
    process.exit(await superviseInForeground(asSuperviseMessage(JSON.parse(given))));
  }
  if (process.send === undefined) {
    process.stderr.write('mount-s3x: this is the supervisor of mount-s3x, which starts it by itself\n');
    process.exit(EXIT_FAILURE);
  }
  const abandoned = new AbortController();
  process.once('disconnect', () => abandoned.abort());
  if (!process.connected) abandoned.abort();
  const [told, ahead] = await Promise.all([untilToldOrLeft(abandoned.signal), starting]);
  const message = asSuperviseMessage(told);
  const standby = message && ahead && suits(ahead, message) ? ahead : undefined;
  if (ahead && !standby) discardStandby(ahead);
  // The command has found a mistake, or is gone: nothing has begun.
  if (told === undefined && abandoned.signal.aborted) {
    removeEarlyWords();
    process.exit(EXIT_OK);
  }
  if (message === undefined) {
    await tell({
      type: 'failed',
      message: 'the supervisor got a message that makes no sense: is the installation of one version?',
      exitCode: EXIT_FAILURE,
    });
    process.exit(EXIT_FAILURE);
  }
  const exitCode = await supervise({
    config: message.config,
    daemonEntry: message.daemonEntry,
    ...(message.adoptedFd === undefined ? {} : { adoptedFd: message.adoptedFd }),
    owner: currentOwner(),
    abandoned: abandoned.signal,
    hooks: serviceHooks(message.config),
    ...(standby && { standby }),
    onAway: (message) => void tell(message),
    report: async (answer) => {
      await tell(answer);
      if (process.connected) process.disconnect();
    },
  });
  process.exit(exitCode);
}

/** The message, or undefined when whoever started us has gone without one. */
function untilToldOrLeft(left: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    process.once('message', resolve);
    if (left.aborted) resolve(undefined);
    left.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

/** Where standard error has gone so far, when no mount has been given the file. */
function removeEarlyWords(): void {
  try {
    const file = readlinkSync('/proc/self/fd/2');
    if (isEarlyWordsFile(file)) rmSync(file, { force: true });
  } catch {
    // without /proc, or gone already
  }
}

/** A daemon of another file, of another user, or of a connection that somebody else has mounted has to be started anew. */
function suits(standby: Standby, { config, daemonEntry, adoptedFd }: SuperviseMessage): boolean {
  const isUsual = config.runAs === undefined && adoptedFd === undefined;
  return isUsual && standby.entry === daemonEntry && isAlive(standby);
}

/** Supervises with this process's standard streams as the person's; resolves with the exit code. */
export async function superviseInForeground(message: SuperviseMessage | undefined): Promise<number> {
  if (message === undefined) {
    process.stderr.write('mount-s3x: the supervisor was started without a configuration\n');
    return EXIT_FAILURE;
  }
  const { config, daemonEntry, adoptedFd } = message;
  return supervise({
    config,
    daemonEntry,
    ...(adoptedFd === undefined ? {} : { adoptedFd }),
    owner: currentOwner(),
    hooks: serviceHooks(config),
    onAway: ({ message }) => void process.stderr.write(`mount-s3x: ${message}\n`),
    report: (answer) => sayInForeground(answer, `${mountSource(config)} is mounted at ${config.mountPoint}`),
  });
}

async function sayInForeground(answer: ToCommand, done: string): Promise<void> {
  switch (answer.type) {
    case 'ready':
      process.stdout.write(`${done} (pid ${process.pid}, log ${answer.log})\n`);
      break;
    case 'failed': {
      // A failure is the end: what prints it may be loaded.
      const { failureLine } = await import('../failure.js');
      process.stderr.write(`${failureLine({ ...answer, remedy: answer.remedy })}\n`);
      break;
    }
    case 'died':
      process.stderr.write(
        `mount-s3x: the daemon died before the mount was ready (${answer.how}, exit code ${EXIT_NOT_READY}); nothing is left mounted\n`,
      );
      break;
  }
}

/** Tells the command, if it still listens. Resolves once the message is on its way. */
function tell(message: ToCommand | AwayMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}
