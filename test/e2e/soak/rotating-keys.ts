/**
 * Credentials that end: a credential_process whose answer changes, and a server that takes what it has given out until that
 * ends, as STS does. The old ones go on working for as long as they said, not longer.
 */
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FaultyServer } from '../support/faulty-server.js';

export interface RotatingKeys {
  /** Environment of a mount that gets its credentials here. */
  readonly env: NodeJS.ProcessEnv;
  /** Pairs given out so far. */
  rotations(): number;
  stop(): void;
}

/** Begins to give out credentials, new ones every `everyMs`, each good for `lifeMs`. */
export async function startRotatingKeys(
  server: FaultyServer,
  directory: string,
  options: { readonly everyMs: number; readonly lifeMs: number },
): Promise<RotatingKeys> {
  const answer = join(directory, 'credentials.json');
  const config = join(directory, 'aws-config');
  writeFileSync(config, `[default]\nregion = ${server.region}\ncredential_process = /bin/cat ${answer}\n`, {
    mode: 0o600,
  });
  type Given = { accessKey: string; secretKey: string; sessionToken: string; expiresMs: number };
  let given: Given[] = [];
  let rotations = 0;
  const rotate = async (): Promise<void> => {
    rotations++;
    const fresh: Given = {
      accessKey: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretKey: randomBytes(20).toString('hex'),
      sessionToken: randomBytes(100).toString('base64'),
      expiresMs: Date.now() + options.lifeMs,
    };
    given = [...given.filter((one) => one.expiresMs > Date.now() - options.lifeMs), fresh];
    // The store knows a key before anybody is given it.
    await server.setCredentials(given);
    const text = JSON.stringify({
      Version: 1,
      AccessKeyId: fresh.accessKey,
      SecretAccessKey: fresh.secretKey,
      SessionToken: fresh.sessionToken,
      Expiration: new Date(fresh.expiresMs).toISOString(),
    });
    writeFileSync(`${answer}.new`, text, { mode: 0o600 });
    renameSync(`${answer}.new`, answer);
  };
  await rotate();
  let failure: unknown;
  const timer = setInterval(() => void rotate().catch((error: unknown) => (failure ??= error)), options.everyMs);
  return {
    env: {
      AWS_ACCESS_KEY_ID: undefined,
      AWS_SECRET_ACCESS_KEY: undefined,
      AWS_CONFIG_FILE: config,
      AWS_SHARED_CREDENTIALS_FILE: join(directory, 'no-such-file'),
    },
    rotations: () => {
      if (failure instanceof Error) throw failure;
      return rotations;
    },
    stop: () => clearInterval(timer),
  };
}
