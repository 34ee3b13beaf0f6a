/**
 * A bucket without a mount, for commands: lists, deletes and uploads go through a net thread as in a daemon, so that they
 * are signed, retried and checked by the same code. A small pool holds the bodies of uploads.
 * The caller closes it. Refuses to read more of an object than a part of an upload.
 */
import { systemClock } from '../base/clock.js';
import { EIO, ErrnoError } from '../base/errno.js';
import { silentLog } from '../base/log.js';
import { allocatePool } from '../base/pool/layout.js';
import type { ObjectStore, StoreOptions } from '../engine/api.js';
import { CallPlane } from '../engine/calls/call-plane.js';
import { ObjectHeads } from '../engine/calls/object-heads.js';
import { StoreCaller } from '../engine/calls/store-caller.js';
import { ListPlane, MountedStore } from '../engine/listing/list-plane.js';
import { hasSessions } from '../engine/endpoint/directory-bucket.js';
import { openControlPlane, openStoreAccess, type ControlPlane } from '../engine/store/control-plane.js';
import type { StoreAway } from '../engine/store/wait-for-store.js';
import type { ListUploads, ObjectWriter } from '../engine/write-api.js';
import type { ObjectWriteOptions } from '../engine/write-options.js';
import { S3Uploads } from '../engine/writing/list-uploads.js';
import { S3Writer } from '../engine/writing/s3-writer.js';
import { NetThreads } from './net-threads.js';

const CONNECTIONS_MAX = 32;
/** Blocks of bodies on their way; a command sends one part at a time. */
const POOL_BLOCKS = 32;

/** For a few MiB, all attempts together. */
const READ_DEADLINE_MS = 60_000;

/** For commands that make no objects. */
const noObjects: ObjectWriteOptions = { checksums: 'off', tags: [], capabilities: {} };

export interface StandaloneStore {
  readonly store: ObjectStore;
  readonly writer: ObjectWriter;
  readonly uploads: ListUploads;
  /** Bytes [from, to) of a version, a few MiB at most. Throws StoreError, ESTALE when it is another version now. */
  readonly readObject: (key: string, etag: string, from: number, to: number) => Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface StandaloneDeps {
  readonly env: NodeJS.ProcessEnv;
  /** The store is away, and waited for. */
  readonly onAway: (away: StoreAway) => void;
}

/** Finds the bucket and starts the thread. Throws StoreError with a remedy. */
export async function openStandaloneStore(
  options: StoreOptions,
  { env, onAway }: StandaloneDeps,
  objects: ObjectWriteOptions = noObjects,
): Promise<StandaloneStore> {
  const control = await openControlPlane(
    options,
    { clock: systemClock, log: silentLog, env },
    { patience: { onAway } },
  );
  try {
    const net = new NetThreads(
      [
        {
          target: control.target,
          pool: allocatePool(POOL_BLOCKS),
          connectionsMax: CONNECTIONS_MAX,
          anonymous: options.anonymous,
          verify: 'auto',
        },
      ],
      {
        onEvent: (_index, event) => {
          if (event.type === 'credentialsRefused') void renew(event.code);
          else if (!lists.handle(event)) calls.handle(event);
        },
        onFatal: (error) => {
          throw error;
        },
      },
    );
    const lists: ListPlane = new ListPlane(
      { bucket: options.bucket, asksRestore: false },
      { ports: net.ports, clock: systemClock },
    );
    const calls: CallPlane = new CallPlane(net.ports);
    const post = async (): Promise<void> => {
      if (options.anonymous) return;
      const credentials = await control.credentials.current();
      for (const port of net.ports) port.post({ type: 'credentials', credentials });
    };
    const renew = async (code: string): Promise<void> => {
      await control.credentials.refresh(code).catch(() => false);
      await post();
    };
    await Promise.all([net.ready, post()]);
    const caller = new StoreCaller(options.bucket, calls);
    let reading: Promise<Reading> | undefined;
    return {
      store: new MountedStore(new ObjectHeads(caller, control.store), lists),
      writer: new S3Writer(objects, { caller, clock: systemClock, isDirectory: hasSessions(options) }),
      uploads: new S3Uploads(caller),
      readObject: async (key, etag, from, to) => {
        reading ??= openReading(options, env, control);
        return await (await reading).read(key, etag, from, to);
      },
      close: async () => {
        await reading?.then((opened) => opened.close()).catch(() => undefined);
        await net.close();
        control.close();
      },
    };
  } catch (error) {
    control.close();
    throw error;
  }
}

interface Reading {
  read(key: string, etag: string, from: number, to: number): Promise<Uint8Array>;
  close(): void;
}

/** Reads through the SDK, for the few bytes of an edited object that are too few to be copied by the store. */
async function openReading(options: StoreOptions, env: NodeJS.ProcessEnv, control: ControlPlane): Promise<Reading> {
  const [{ GetObjectCommand }, { callS3 }, access] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('../engine/store/s3-call.js'),
    openStoreAccess(options, { clock: systemClock, log: silentLog, env }),
  ]);
  const { connection } = access;
  connection.moveToRegion(control.target.signingRegion);
  return {
    read: async (key, etag, from, to) => {
      const call = { operation: 'GetObject', resource: `s3://${options.bucket}/${key}`, deadlineMs: READ_DEADLINE_MS };
      const bytes = await callS3(connection, call, async (abortSignal) => {
        const input = { Bucket: options.bucket, Key: key, IfMatch: etag, Range: `bytes=${from}-${to - 1}` };
        const { Body } = await connection.client.send(new GetObjectCommand(input), { abortSignal });
        return (await Body?.transformToByteArray()) ?? new Uint8Array();
      });
      if (bytes.length !== to - from)
        throw new ErrnoError(EIO, `${call.resource}: ${bytes.length} bytes of ${to - from}`);
      return bytes;
    },
    close: () => access.close(),
  };
}
