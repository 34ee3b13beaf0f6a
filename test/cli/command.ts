/**
 * Runs the built command as a person does, in a place of its own: private runtime and state directories, no AWS settings
 * of the caller, and nothing left mounted whatever happens.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { cliPath, isMounted, run, serverEnvironment, type Result } from '../support/mount.js';
import type { TestServer } from '../support/servers/server.js';

export interface Place {
  readonly root: string;
  /** An empty directory to mount at. */
  readonly mountPoint: string;
  readonly env: NodeJS.ProcessEnv;
  /** Runs `mount-s3x` with these arguments; code null when it took longer than `timeoutMs`. */
  command(args: readonly string[], options?: { env?: NodeJS.ProcessEnv; timeoutMs?: number }): Promise<Result>;
  /** Everything that daemons of this place logged to their files. */
  log(): string;
}

/** The promise is a line within 10 seconds. */
export const ANSWER_WITHIN_MS = 10_000;

export function makePlace(t: Test, server?: TestServer): Place {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'mount-s3x-cli-')));
  const mountPoint = join(root, 'mnt');
  mkdirSync(mountPoint);
  const env: NodeJS.ProcessEnv = {
    ...(server === undefined ? process.env : serverEnvironment(server)),
    HOME: root,
    XDG_RUNTIME_DIR: join(root, 'run'),
    XDG_STATE_HOME: join(root, 'state'),
  };
  t.teardown(async () => {
    if (isMounted(mountPoint)) await run('umount', ['-l', mountPoint], { timeoutMs: 10_000 });
    if (isMounted(mountPoint)) await run('fusermount3', ['-u', '-z', mountPoint], { timeoutMs: 10_000 });
    rmSync(root, { recursive: true, force: true });
  });
  return {
    root,
    mountPoint,
    env,
    command: (args, { env: more = {}, timeoutMs = ANSWER_WITHIN_MS } = {}) =>
      run(process.execPath, [cliPath, ...args], { env: { ...env, ...more }, timeoutMs, cwd: root }),
    log() {
      const directory = join(root, 'state/mount-s3x');
      return readdirSync(directory)
        .map((name) => readFileSync(join(directory, name), 'utf8'))
        .join('');
    },
  };
}

/** Arguments that reach a test server. */
export function serverFlags(server: TestServer): string[] {
  const flags = ['--endpoint-url', server.endpoint, '--force-path-style'];
  if (server.tlsCaFile !== undefined) flags.push('--ca-bundle', server.tlsCaFile);
  return flags;
}
