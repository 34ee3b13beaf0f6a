/**
 * What tests of writing share: a server with a bucket, mounts of it with a spool of their own, writers that say how each of
 * their calls ended (writer.py), and the state of the bucket over S3.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { startMount, type Mount } from '../../support/mount.js';
import { startFaultyServer, type FaultyServer } from './faulty-server.js';
import { supportDirectory } from './python.js';
import { storeView, type StoreView } from './store-view.js';
import { startUser, type MountUser } from './users.js';

export const MIB = 1024 * 1024;
const BUCKET = 'write';

/** What writer.py says at its end. */
export interface Written {
  readonly sha256: string;
  /** Name of the first errno. */
  readonly error: string | null;
  /** The call that failed first. */
  readonly at: string | null;
  readonly later: readonly string[];
}

export interface Writer extends MountUser {
  /** Its last word. */
  result(): Promise<Written>;
}

export interface WriteBench {
  readonly server: FaultyServer;
  readonly store: StoreView;
  readonly work: string;
  readonly bucket: string;
  /** A mount with a spool directory of its own below `work`, unless `flags` name another. */
  mount(t: Test, flags?: readonly string[], env?: NodeJS.ProcessEnv): Promise<Mount>;
  /** `python3 writer.py HOW mount/PATH ARGS...` */
  writer(t: Test, mount: Mount, how: string, path: string, ...args: readonly (string | number)[]): Writer;
}

export async function startWriteBench(t: Test, python: string): Promise<WriteBench> {
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-write-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const data = join(work, 'buckets');
  mkdirSync(join(data, BUCKET), { recursive: true });
  const server = await startFaultyServer(data);
  t.teardown(() => server.stop());
  const store = storeView(server, BUCKET);
  t.teardown(() => store.close());
  return {
    server,
    store,
    work,
    bucket: BUCKET,
    mount: async (t, flags = [], env) => {
      const spool = flags.includes('--spool-dir') ? [] : ['--spool-dir', mkdtempSync(join(work, 'spool-'))];
      const mount = await startMount(server, { bucket: BUCKET, flags: [...spool, ...flags], ...(env && { env }) });
      t.teardown(() => mount.stop());
      return mount;
    },
    writer: (t, mount, how, path, ...args) => {
      const words = [
        python,
        '-u',
        join(supportDirectory, 'writer.py'),
        how,
        join(mount.path, path),
        ...args.map(String),
      ];
      const user = startUser(t, `exec ${words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')}`);
      const result = async (): Promise<Written> => {
        const line = await user.hear();
        if (!line.startsWith('{')) throw new Error(`the writer says: ${line}`);
        return JSON.parse(line) as Written;
      };
      return { ...user, result };
    },
  };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Digest of an object as the store has it; undefined when there is none. */
export async function storedDigest(store: StoreView, key: string): Promise<string | undefined> {
  const body = await store.get(key);
  return body && sha256(body);
}
