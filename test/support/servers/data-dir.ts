/**
 * The folder that a test server serves: given by the caller and kept, or temporary and removed.
 *
 * Shared by all servers so that "who removes it" is decided in one place. Refuses to touch anything but the folders it is told to create.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommonServerOptions } from './server.js';

/** A data folder with its end of life. */
export interface DataDir {
  readonly path: string;
  release(): Promise<void>;
}

/** Prepares the folder named by the options, or a temporary one, with the asked-for buckets. */
export async function prepareDataDir(options: CommonServerOptions): Promise<DataDir> {
  const given = options.dataDir;
  const path = given ?? (await mkdtemp(join(tmpdir(), 's3x-data-')));
  for (const bucket of options.buckets ?? []) await mkdir(join(path, bucket), { recursive: true });
  return {
    path,
    release: async () => {
      if (given === undefined) await rm(path, { recursive: true, force: true });
    },
  };
}
