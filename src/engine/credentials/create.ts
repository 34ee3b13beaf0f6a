/**
 * Puts the credential source of a mount together: anonymous, or the chain of links behind a refreshing cache.
 * Loading starts with the first `current()`, so that the caller can let it run while the SDK is being imported.
 */
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { Transport } from '../endpoint/http-handler.js';
import type { StoreSettings } from '../endpoint/settings.js';
import { createChain } from './chain.js';
import { createLinks } from './links.js';
import { anonymousCredentials, RefreshingCredentials, type CredentialSource } from './source.js';

export interface CredentialDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly transport: Transport;
  readonly random?: () => number;
  readonly env?: NodeJS.ProcessEnv;
}

/** The caller closes it. */
export function createCredentialSource(settings: StoreSettings, deps: CredentialDeps): CredentialSource {
  if (settings.options.anonymous) return anonymousCredentials;
  const links = createLinks({ settings, env: deps.env ?? process.env, transport: deps.transport, log: deps.log });
  const load = createChain(links, { clock: deps.clock, profileName: settings.profile.name });
  return new RefreshingCredentials(load, deps);
}
