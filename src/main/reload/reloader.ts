/**
 * Reads a running mount's settings again and puts into force what can be: for `mount-s3x reload` and SIGHUP alike. What was
 * typed stays above all; environment variables are those of the daemon, which nobody can change from outside, so in effect
 * the files are what is read again. Wrong settings change nothing at all.
 *
 * `reread` is given by the program: it knows options and files, which nothing in src/main may. Log files are opened anew and
 * credentials loaded again each time, because that is what SIGHUP is sent for.
 * Bounds: one reload at a time, one waits, others join it. Refuses to change what needs a new mount; it is named instead.
 */
import type { Log } from '../../base/log.js';
import { CommandError } from '../command-error.js';
import type { MountConfig } from '../config.js';
import { EXIT_FAILURE } from '../exit-codes.js';
import type { SaidSetting } from '../settings-record.js';
import type { ReloadReport, SettingChange } from './answer.js';
import { liveRow, notSettings, whyNotLive, type LiveKnobs, type Reread } from './live-settings.js';

export interface ReloaderDeps {
  readonly log: Log;
  readonly reread: Reread | undefined;
  readonly knobs: LiveKnobs;
  /** Opens log files anew; what was done in words, undefined where there is no file. */
  reopenLog(): string | undefined;
  /** Loads credentials again; what came of it in words. */
  rereadCredentials(): Promise<string | undefined>;
  /** What is in force has changed: for whoever starts the next daemon of this mount. */
  changed(config: MountConfig): void;
}

export class Reloader {
  readonly #deps: ReloaderDeps;
  #config: MountConfig;
  #running: Promise<ReloadReport> | undefined;
  #waiting: Promise<ReloadReport> | undefined;

  constructor(config: MountConfig, deps: ReloaderDeps) {
    this.#config = config;
    this.#deps = deps;
  }

  /** In force now. */
  get config(): MountConfig {
    return this.#config;
  }

  /** Throws CommandError; then nothing has changed. `by`: who asked, for the log. */
  reload(by: string): Promise<ReloadReport> {
    if (this.#waiting !== undefined) return this.#waiting;
    const before = this.#running;
    if (before === undefined) return this.#start(by);
    this.#waiting = before.then(
      () => this.#next(by),
      () => this.#next(by),
    );
    return this.#waiting;
  }

  #next(by: string): Promise<ReloadReport> {
    this.#waiting = undefined;
    return this.#start(by);
  }

  #start(by: string): Promise<ReloadReport> {
    const running = this.#reload(by).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #reload(by: string): Promise<ReloadReport> {
    const { log } = this.#deps;
    // First, so that everything said about the reload is in the new file.
    const reopened = this.#deps.reopenLog();
    try {
      const report = await this.#reread();
      const credentials = await this.#deps.rereadCredentials();
      const done = [reopened, credentials].filter((each) => each !== undefined);
      log.info({ by, ...report, done }, 'read the settings again');
      return { ...report, done };
    } catch (error) {
      log.error({ by, err: error }, 'the settings could not be read again: nothing has changed');
      throw error;
    }
  }

  async #reread(): Promise<Omit<ReloadReport, 'done'>> {
    const { reread, knobs } = this.#deps;
    const record = this.#config.settings;
    if (reread === undefined || record === undefined) {
      throw new CommandError(
        EXIT_FAILURE,
        'this mount does not know where its settings are from',
        'mount it again with the `mount-s3x` command',
      );
    }
    const { config: next, notes } = await reread(record);
    const nextSaid = next.settings?.said ?? [];
    const applied: (SettingChange & { how: string })[] = [];
    const pending: (SettingChange & { why: string })[] = [];
    let config = this.#config;
    for (const change of changesBetween(record.said, nextSaid)) {
      const row = liveRow(change.name);
      const why = row === undefined ? whyNotLive(change.name) : row.apply(knobs, next);
      if (row === undefined || why !== undefined) {
        pending.push({ ...change, why: why ?? '' });
      } else {
        config = row.fields(config, next);
        applied.push({ ...change, how: row.how });
      }
    }
    const kept = new Set(pending.map(({ name }) => name));
    const said = [
      ...nextSaid.filter(({ name }) => !kept.has(name)),
      ...record.said.filter(({ name }) => kept.has(name)),
    ];
    this.#config = { ...config, settings: { ...record, said } };
    this.#deps.changed(this.#config);
    return { format: 1, applied, pending, notes };
  }
}

/** What is said differently, in the order of what is said now. */
export function changesBetween(before: readonly SaidSetting[], after: readonly SaidSetting[]): SettingChange[] {
  const was = texts(before);
  const is = texts(after);
  const names = new Set([...is.keys(), ...was.keys()]);
  return [...names].flatMap((name): SettingChange[] => {
    if (notSettings.has(name)) return [];
    const change = { name, before: was.get(name), after: is.get(name) };
    // A flag that is said to be off is as good as one that nobody mentions.
    const isSame = (change.before ?? 'false') === (change.after ?? 'false');
    return change.before === change.after || isSame ? [] : [change];
  });
}

function texts(said: readonly SaidSetting[]): Map<string, string> {
  return new Map(
    said.map(({ name, value }) => [name, typeof value === 'object' ? value.join(',') : String(value)] as const),
  );
}
