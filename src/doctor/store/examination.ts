/**
 * A bucket as checks see it: settings, place, credentials, first question, single requests; each step found out once,
 * however many checks ask, and each able to fail alone. Built from the same parts as a mount's control plane, so that what
 * doctor finds is what a mount meets.
 * The place of the endpoint is worked out without credentials: whether a host answers must not depend on who asks.
 * Refuses to change anything in the bucket; write-probe.ts is the one that does, when it is told to.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import { systemClock, type Clock } from '../../base/clock.js';
import { silentLog } from '../../base/log.js';
import type { DataCredentials, DataTarget, StoreOptions } from '../../engine/api.js';
import { createCredentialSource } from '../../engine/credentials/create.js';
import { anonymousCredentials, type CredentialSource } from '../../engine/credentials/source.js';
import { Transport } from '../../engine/endpoint/http-handler.js';
import { proxyFromEnvironment, type ProxyFor } from '../../engine/endpoint/proxy.js';
import { loadStoreSettings, type StoreSettings } from '../../engine/endpoint/settings.js';
import type { ProbeResult } from '../../engine/store/probe.js';
import type { S3Connection } from '../../engine/store/s3-connection.js';
import { failureFacts } from '../../engine/store/sdk-error.js';
import { knock, type Knock } from './knock.js';

/** Tries of one question; a mount has ten, a person waits here. */
const ATTEMPTS = 2;
const REQUEST_MS = 10_000;
/** Keys that are looked at for one to try things with. */
const SAMPLE_KEYS = 200;

/** What a single request came to. */
export interface Reply {
  /** HTTP status, 0 without an answer. */
  readonly status: number;
  /** '' for success. */
  readonly code: string;
  readonly message: string;
}

/** An object that is there. */
export interface SampleObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly storageClass: string;
}

export interface Access {
  readonly credentials: DataCredentials | undefined;
  readonly origin: string;
}

export interface ExaminationDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly wallMs?: () => number;
  readonly clock?: Clock;
}

export class StoreExamination {
  readonly options: StoreOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #wallMs: () => number;
  readonly #clock: Clock;
  readonly #steps = new Map<string, Promise<unknown>>();
  #transport: Transport | undefined;
  #source: CredentialSource | undefined;

  constructor(options: StoreOptions, deps: ExaminationDeps) {
    this.options = options;
    this.#env = deps.env;
    this.#wallMs = deps.wallMs ?? ((): number => Date.now());
    this.#clock = deps.clock ?? systemClock;
  }

  get name(): string {
    return `s3://${this.options.bucket}/${this.options.prefix}`;
  }

  /** Throws StoreError for a value that cannot work. */
  settings(): Promise<StoreSettings> {
    return this.#once('settings', () =>
      loadStoreSettings(this.options, { env: this.#env, proxyFor: proxyOf(this.#env) }),
    );
  }

  /** Host, port and way; where the bucket was thought to be, before it was asked. Throws StoreError. */
  place(): Promise<DataTarget> {
    return this.#once('place', async () => {
      const settings = await this.settings();
      const anonymous = { ...settings, options: { ...settings.options, anonymous: true } };
      const [connection, { resolveTarget }] = await Promise.all([
        this.#connect(anonymous, anonymousCredentials),
        import('../../engine/endpoint/resolve-target.js'),
      ]);
      return resolveTarget(connection);
    });
  }

  /** Throws Node's errors. */
  knock(): Promise<Knock> {
    return this.#once('knock', async () => knock(await this.place(), this.#wallMs));
  }

  /** Who we are. Throws StoreError. */
  access(): Promise<Access> {
    return this.#once('access', async () => {
      const source = this.#sourceOf(await this.settings());
      const credentials = await source.current();
      return { credentials, origin: source.origin() };
    });
  }

  /** The first question to the bucket, as a mount asks it. Throws StoreError with a remedy. */
  probe(): Promise<ProbeResult> {
    return this.#once('probe', async () => {
      const [connection, { probeBucket }] = await Promise.all([
        this.connection(),
        import('../../engine/store/probe.js'),
      ]);
      return probeBucket(connection);
    });
  }

  /** For requests, at the bucket's own region once it was probed. Throws StoreError. */
  connection(): Promise<S3Connection> {
    return this.#once('connection', async () => {
      await this.access();
      const settings = await this.settings();
      return this.#connect(settings, this.#sourceOf(settings));
    });
  }

  /** An object with bytes in it, and the largest of the first keys; undefined in an empty place. Throws as `probe`. */
  sample(): Promise<{ readonly small: SampleObject | undefined; readonly large: SampleObject | undefined }> {
    return this.#once('sample', async () => {
      await this.probe();
      const { ListObjectsV2Command } = await import('@aws-sdk/client-s3');
      const { bucket, prefix } = this.options;
      const answer = await this.send((client, abortSignal) =>
        client.send(
          new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: SAMPLE_KEYS, ...this.parameters() }),
          { abortSignal },
        ),
      );
      const objects = (answer.Contents ?? []).flatMap(({ Key, Size, StorageClass }): SampleObject[] =>
        Key === undefined || !Size ? [] : [{ key: Key, sizeBytes: Size, storageClass: StorageClass ?? '' }],
      );
      const large = [...objects].sort((one, other) => other.sizeBytes - one.sizeBytes)[0];
      return { small: objects[0], large };
    });
  }

  /** What every request of a mount carries beside its own. */
  parameters(): { readonly RequestPayer?: 'requester'; readonly ExpectedBucketOwner?: string } {
    const { requesterPays, expectedBucketOwner } = this.options;
    return {
      ...(requesterPays ? { RequestPayer: 'requester' as const } : {}),
      ...(expectedBucketOwner === undefined ? {} : { ExpectedBucketOwner: expectedBucketOwner }),
    };
  }

  /** One request, few attempts, bounded. Throws the SDK's errors. */
  async send<T>(ask: (client: S3Client, abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    const connection = await this.#once('hasty', async () => (await this.connection()).withAttempts(ATTEMPTS));
    return ask(connection.client, AbortSignal.timeout(REQUEST_MS));
  }

  /** The same, when only yes or no is wanted. Never throws. */
  async reply(ask: (client: S3Client, abortSignal: AbortSignal) => Promise<unknown>): Promise<Reply> {
    try {
      await this.send(ask);
      return { status: 200, code: '', message: '' };
    } catch (error) {
      const { status, code, message } = failureFacts(error);
      return { status, code, message };
    }
  }

  close(): void {
    this.#source?.close();
    this.#transport?.destroy();
  }

  /** The loading of the SDK goes on meanwhile. */
  async #connect(settings: StoreSettings, credentials: CredentialSource): Promise<S3Connection> {
    const { S3Connection } = await import('../../engine/store/s3-connection.js');
    const transport = this.#transportOf(settings);
    return new S3Connection({ settings, credentials, transport, clock: this.#clock, log: silentLog });
  }

  #transportOf({ caPem, proxyFor }: StoreSettings): Transport {
    return (this.#transport ??= new Transport({ caPem, proxyFor }));
  }

  #sourceOf(settings: StoreSettings): CredentialSource {
    return (this.#source ??= createCredentialSource(settings, {
      clock: this.#clock,
      log: silentLog,
      transport: this.#transportOf(settings),
      env: this.#env,
    }));
  }

  #once<T>(name: string, work: () => Promise<T>): Promise<T> {
    const known = this.#steps.get(name) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const begun = work();
    // Whoever asks hears of the failure; nobody needs to.
    begun.catch(() => undefined);
    this.#steps.set(name, begun);
    return begun;
  }
}

const proxyVariables = ['https_proxy', 'http_proxy', 'all_proxy', 'no_proxy'].flatMap((name) => [
  name,
  name.toUpperCase(),
]);

/** proxyFromEnvironment for another environment than this process': it reads process.env, in one turn. */
function proxyOf(env: NodeJS.ProcessEnv): ProxyFor {
  if (env === process.env) return proxyFromEnvironment;
  return (url) => {
    const ours = proxyVariables.map((name) => process.env[name]);
    try {
      proxyVariables.forEach((name) => assign(name, env[name]));
      return proxyFromEnvironment(url);
    } finally {
      proxyVariables.forEach((name, index) => assign(name, ours[index]));
    }
  };
}

function assign(name: string, value: string | undefined): void {
  if (value === undefined) Reflect.deleteProperty(process.env, name);
  else process.env[name] = value;
}
