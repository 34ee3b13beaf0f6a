/** A mount's settings from all places, as the command reads them, without a process: a directory of files, an environment. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { declareMount, readMount, type ReadMount } from '../../../src/cli/mount.js';
import { createParser, type ParsedArguments } from '../../../src/cli/parse.js';
import { CommandError } from '../../../src/main/command-error.js';

export interface Places {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Text of the file that --config names. */
  readonly file?: string | Uint8Array;
  /** Text of the file that --profile-file names. */
  readonly profile?: string;
}

export interface Desk {
  readonly directory: string;
  readonly read: (places: Places) => ReadMount;
  /** `message | remedy`; `accepted` when there was none. Throws what is no CommandError. */
  readonly refusal: (places: Places) => string;
}

/** Bucket `bucket` at `/mnt` unless `args` begin with other words. */
export function makeDesk(t: Test): Desk {
  const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-settings-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const read = ({ args = [], env = {}, file, profile }: Places): ReadMount => {
    const all = args[0]?.startsWith('-') === false ? [...args] : ['bucket', '/mnt', ...args];
    if (file !== undefined) {
      writeFileSync(join(directory, 'c.yaml'), file);
      all.push('--config', 'c.yaml');
    }
    if (profile !== undefined) {
      writeFileSync(join(directory, 'p.yaml'), profile);
      all.push('--profile-file', 'p.yaml');
    }
    let parsed: ParsedArguments = {};
    createParser(all)
      .command(['$0 [bucket] [directory]', 'mount [bucket] [directory]'], '', declareMount, (given) => {
        parsed = given;
      })
      .parseSync();
    return readMount(parsed, { owner: { env, uid: 1000 }, gid: 100, cwd: directory });
  };
  return {
    directory,
    read,
    refusal(places) {
      try {
        read(places);
      } catch (error) {
        if (error instanceof CommandError) return `${error.message} | ${error.remedy ?? ''}`;
        throw error;
      }
      return 'accepted';
    },
  };
}
