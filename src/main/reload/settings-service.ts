/**
 * A running mount's settings as others meet them: `config` and `reload` of the control socket, and SIGHUP.
 * Refuses to end the mount because settings are wrong: what is in force stays.
 */
import { messageOf } from '../../base/thrown.js';
import { CommandError } from '../command-error.js';
import type { MountConfig } from '../config.js';
import type { ControlHandlers } from '../control-socket.js';
import type { Logging } from '../logging.js';
import { packageVersion } from '../version.js';
import type { ConfigAnswer } from './answer.js';
import type { LiveKnobs, LiveParts, Reread } from './live-settings.js';
import { Reloader } from './reloader.js';

export interface SettingsServiceDeps {
  readonly logging: Logging;
  readonly live: LiveParts | undefined;
  readonly reread?: Reread;
  readonly onConfig?: (config: MountConfig) => void;
  readonly owner: { readonly env: NodeJS.ProcessEnv };
}

/** Variables of the AWS SDK that stand for an option and hold no secret. */
const awsNames =
  /^AWS_(REGION|DEFAULT_REGION|ENDPOINT_URL|ENDPOINT_URL_S3|PROFILE|CA_BUNDLE|MAX_ATTEMPTS|USE_DUALSTACK_ENDPOINT)$/;

const cannot = (): string => 'this daemon cannot change it while it runs';

const noKnobs: Omit<LiveKnobs, 'setLogLevel'> = {
  setMetricsLog: cannot,
  setBandwidth: cannot,
  setTransfers: cannot,
  setTtl: cannot,
  setReadAround: cannot,
  setShutdownTimeout: cannot,
};

export class SettingsService {
  readonly #deps: SettingsServiceDeps;
  readonly #reloader: Reloader;

  constructor(config: MountConfig, deps: SettingsServiceDeps) {
    this.#deps = deps;
    const { logging, live } = deps;
    this.#reloader = new Reloader(config, {
      log: logging.log,
      reread: deps.reread,
      knobs: { ...(live?.knobs ?? noKnobs), setLogLevel: (level) => logging.setLevel(level) },
      reopenLog: () => {
        const path = logging.reopen();
        return path === undefined ? undefined : `log file ${path} opened anew`;
      },
      rereadCredentials: async () => {
        try {
          return await live?.rereadCredentials();
        } catch (error) {
          return `credentials could not be read again: ${messageOf(error)}`;
        }
      },
      changed: (changed) => deps.onConfig?.(changed),
    });
  }

  /** For the control socket. */
  get commands(): ControlHandlers {
    return {
      config: () => Promise.resolve(this.#answer()),
      reload: async () => {
        try {
          return await this.#reloader.reload('mount-s3x reload');
        } catch (error) {
          if (!(error instanceof CommandError)) throw error;
          const { exitCode, message, remedy = 'correct it, and reload again' } = error;
          throw new CommandError(exitCode, `nothing has changed: ${message}`, remedy, { cause: error });
        }
      },
    };
  }

  /** For a signal: what comes of it stands in the log. Never rejects. */
  async reloadNow(by: string): Promise<void> {
    await this.#reloader.reload(by).catch(() => undefined);
  }

  #answer(): ConfigAnswer {
    const { config } = this.#reloader;
    const awsEnvironment: Record<string, string> = {};
    for (const [name, value] of Object.entries(this.#deps.owner.env)) {
      if (value !== undefined && awsNames.test(name)) awsEnvironment[name] = value;
    }
    return {
      format: 1,
      mountPoint: config.mountPoint,
      pid: process.pid,
      version: packageVersion(),
      config,
      reasons: this.#deps.live?.reasons ?? [],
      awsEnvironment,
    };
  }
}
