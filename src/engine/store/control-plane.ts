/**
 * Opens the way to a bucket: settings, credentials, SDK client, first question, data target, in the order that makes the
 * start short and its errors exact. The composition root needs only this file; the parts are for tests and commands that
 * need one of them.
 * Owns everything it makes; `close` ends it all.
 */
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { pause } from '../../base/waits.js';
import type { DataTarget, StoreOptions } from '../api.js';
import { createCredentialSource } from '../credentials/create.js';
import type { CredentialSource } from '../credentials/source.js';
import { Transport } from '../endpoint/http-handler.js';
import { loadStoreSettings, type SettingsDeps, type StoreSettings } from '../endpoint/settings.js';
import type { TargetExtras } from '../endpoint/resolve-target.js';
import type { probeBucket as ProbeBucket, ProbeResult } from './probe.js';
import type { S3Connection } from './s3-connection.js';
import type { SdkStore } from './s3-store.js';
import type { StartPatience } from './wait-for-store.js';

export interface ControlPlaneDeps extends SettingsDeps {
  readonly clock: Clock;
  readonly log: Log;
}

export interface ControlPlane {
  readonly settings: StoreSettings;
  readonly store: SdkStore;
  /** Listings can tell which archived objects have a restored copy. */
  readonly asksRestore: boolean;
  readonly target: DataTarget;
  readonly credentials: CredentialSource;
  readonly probe: ProbeResult;
  close(): void;
}

/** Settings, credentials and client without a question to the bucket. The caller closes it. */
export interface StoreAccess {
  readonly settings: StoreSettings;
  readonly credentials: CredentialSource;
  readonly connection: S3Connection;
  close(): void;
}

/**
 * A daemon that takes a mount over waits so long for credentials: their source may be away for a moment (a metadata service, a
 * program that cannot start just now), readers wait, and nobody is there to start it again. Less than the supervisor waits for it.
 */
const PATIENCE_MS = 45_000;
const PATIENCE_STEP_MS = 1_000;

/** Reads configuration and finds credentials; `isPatient`: again and again, for PATIENCE_MS. Throws StoreError. */
export async function openStoreAccess(
  options: StoreOptions,
  deps: ControlPlaneDeps,
  isPatient = false,
): Promise<StoreAccess> {
  // The SDK takes a tenth of a second to load: meanwhile the files are read and credentials are asked for.
  const sdk = import('./s3-connection.js');
  sdk.catch(() => undefined);
  const settings = await loadStoreSettings(options, deps);
  const transport = new Transport({ caPem: settings.caPem, proxyFor: settings.proxyFor });
  const credentials = createCredentialSource(settings, {
    clock: deps.clock,
    log: deps.log,
    transport,
    ...(deps.env === undefined ? {} : { env: deps.env }),
  });
  const close = (): void => {
    credentials.close();
    transport.destroy();
  };
  try {
    const first = isPatient ? untilLoaded(credentials, deps) : credentials.current();
    const [{ S3Connection }] = await Promise.all([sdk, first]);
    const connection = new S3Connection({ settings, credentials, transport, clock: deps.clock, log: deps.log });
    const sessions = connection.credentials;
    if (sessions !== credentials && isPatient) await untilLoaded(sessions, deps);
    const closeAll = (): void => {
      sessions.close();
      close();
    };
    return { settings, credentials: sessions, connection, close: closeAll };
  } catch (error) {
    close();
    throw error;
  }
}

export interface ControlExtras extends TargetExtras {
  /**
   * An earlier daemon of this mount found the bucket in this region: it is not asked again. A store that is away just now
   * then keeps nobody from taking the mount over.
   */
  readonly knownRegion?: string;
  /** A store that is away is waited for, unless a number of attempts was asked for. Absent: it is a failure at once. */
  readonly patience?: StartPatience;
}

/** All of it: after this a mount may start. Throws StoreError with a remedy. */
export async function openControlPlane(
  options: StoreOptions,
  deps: ControlPlaneDeps,
  extras: ControlExtras = {},
): Promise<ControlPlane> {
  const access = await openStoreAccess(options, deps, extras.knownRegion !== undefined);
  try {
    const [{ probeBucket }, { resolveTarget }, { asksRestoreState, createObjectStore }] = await Promise.all([
      import('./probe.js'),
      import('../endpoint/resolve-target.js'),
      import('./s3-store.js'),
    ]);
    const probe =
      extras.knownRegion === undefined
        ? await ask(access, probeBucket, { ...deps, patience: extras.patience })
        : notAsked(access.connection, extras.knownRegion);
    const target = await resolveTarget(access.connection, extras);
    const store = createObjectStore(access.connection);
    const { settings, credentials } = access;
    return {
      settings,
      store,
      asksRestore: asksRestoreState(settings),
      target,
      credentials,
      probe,
      close: () => {
        store.close();
        access.close();
      },
    };
  } catch (error) {
    access.close();
    throw error;
  }
}

async function untilLoaded(credentials: CredentialSource, { clock, log }: ControlPlaneDeps): Promise<void> {
  const untilMs = clock.nowMs() + PATIENCE_MS;
  for (;;) {
    try {
      await credentials.current();
      return;
    } catch (error) {
      if (clock.nowMs() + PATIENCE_STEP_MS > untilMs) throw error;
      log.warn({ err: error }, 'no credentials just now: whoever takes the mount over asks again');
    }
    await pause(clock, PATIENCE_STEP_MS);
  }
}

/** The first question, again while the store is away and somebody is patient. */
async function ask(
  { connection, settings }: StoreAccess,
  probe: typeof ProbeBucket,
  { clock, log, patience }: ControlPlaneDeps & { readonly patience: StartPatience | undefined },
): Promise<ProbeResult> {
  const signal = patience?.signal;
  if (patience === undefined || !settings.isPatient) return probe(connection, signal);
  const { untilThere } = await import('./wait-for-store.js');
  let isWaiting = false;
  const result = await untilThere(() => probe(connection, signal), clock, {
    signal,
    onAway: (away) => {
      isWaiting = true;
      log.warn({ waitMs: Math.round(away.waitMs) }, away.message);
      patience.onAway?.(away);
    },
  });
  if (isWaiting) log.info({ region: result.region }, 'the store is there now');
  return result;
}

function notAsked(connection: S3Connection, region: string): ProbeResult {
  connection.moveToRegion(region);
  return { region, empty: false, clockOffsetMs: 0, elapsedMs: 0 };
}
