/**
 * From what is to be looked at to the report: builds the subject, runs the checks, closes what it opened.
 * The command gives the settings of a mount as they would be; for a running mount its own count instead.
 */
import { join } from 'node:path';
import { systemClock } from '../base/clock.js';
import { detectHardware } from '../hwdetect/detect.js';
import type { HardwareProfile } from '../hwdetect/profile.js';
import type { MountConfig } from '../main/config.js';
import { registerEnvironmentSecrets } from '../main/redact.js';
import { deriveSizing, type Sizing } from '../main/sizing.js';
import { runtimeCandidates, stateCandidates, type Owner } from '../main/state-directory.js';
import { allChecks } from './all-checks.js';
import type { AskedMount, Subject, Wish } from './check.js';
import { thisHost, type Host } from './host.js';
import { askMountAt, environmentOf } from './mount/ask-mount.js';
import { makeReport, type DoctorReport } from './report.js';
import { runChecks } from './run-checks.js';
import { StoreExamination } from './store/examination.js';

/** Probing the machine must not hold anybody. */
const SOURCES_MAX = 8;

export interface DoctorWish {
  /** A bucket is in `config.store`. */
  readonly hasBucket: boolean;
  /** Absolute path; excludes a bucket. */
  readonly directory?: string;
  /** A mount as it would be made now; `mountPoint` means nothing. */
  readonly config: MountConfig;
  readonly probesWrite: boolean;
  readonly measuresThroughput: boolean;
}

/** What was looked at, for the bundle. */
export interface Examined {
  readonly report: DoctorReport;
  readonly config: MountConfig;
  readonly hardware: HardwareProfile;
  readonly sizing: Sizing;
  readonly mount: AskedMount | undefined;
  readonly reportDirectories: readonly string[];
}

/** Never throws for what it looks at. `ended` hears of each check that is done. */
export async function examine(
  wish: DoctorWish,
  owner: Owner,
  ended?: (name: string) => void,
  changes: Partial<Host> = {},
): Promise<Examined> {
  const here = { ...thisHost(owner), ...changes };
  const mount = wish.directory === undefined ? undefined : await askMountAt(wish.directory, await here.mounts(), owner);
  const config = mount?.config ?? wish.config;
  // The daemon's own: whoever asks may have another home, other keys, another proxy.
  const env = mount?.run === undefined ? undefined : environmentOf(mount.run.pid);
  const host = env === undefined ? here : { ...here, owner: { ...owner, env } };
  registerEnvironmentSecrets(host.owner.env);
  const hasBucket = wish.hasBucket || mount?.config !== undefined;
  const store = hasBucket
    ? new StoreExamination(config.store, { env: host.owner.env, wallMs: () => host.wallMs() })
    : undefined;
  const hardware = once(() => detectHardware({ sysRoot: host.sysRoot, env: host.owner.env }));
  const sizing = once(async () => deriveSizing(await hardware(), config));
  const reportDirectories = reportPlaces(host.owner);
  const subject: Subject = {
    ...{ host, hardware, sizing, wish: wishOf(wish, config, reportDirectories) },
    ...(store === undefined ? {} : { store }),
    ...(mount === undefined ? {} : { mount }),
  };
  try {
    const reports = await runChecks(allChecks, subject, {
      clock: systemClock,
      ...(ended === undefined ? {} : { ended }),
    });
    const name = mount?.directory ?? store?.name ?? 'this machine';
    const report = makeReport(name, reports, host);
    return { report, config, hardware: await hardware(), sizing: await sizing(), mount, reportDirectories };
  } finally {
    store?.close();
  }
}

function wishOf(wish: DoctorWish, config: MountConfig, reportDirectories: readonly string[]): Wish {
  const { write, readOnly, log, memoryTargetBytes } = config;
  return {
    spoolDirectory: write.spoolDirectory,
    recoverAgeMs: write.recoverAgeMs,
    isReadOnly: readOnly,
    probesWrite: wish.probesWrite,
    reliesOnConditions: write.objects.capabilities.conditionalWrites !== false,
    measuresThroughput: wish.measuresThroughput,
    reportDirectories,
    ...(log.directory === undefined ? {} : { logDirectory: log.directory }),
    ...(memoryTargetBytes === undefined ? {} : { memoryTargetBytes }),
  };
}

/** Where daemons leave reports of how they ended. */
export function reportPlaces(owner: Owner): string[] {
  const places = [...stateCandidates(owner), ...runtimeCandidates(owner)];
  return places.flatMap((place) => [place, join(place, 'reports')]).slice(0, SOURCES_MAX);
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | undefined;
  return () => (begun ??= work());
}
