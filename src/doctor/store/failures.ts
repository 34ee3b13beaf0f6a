/**
 * From what the store, or the way to it, failed with to a finding. One table for all checks, so that one failure is one finding
 * wherever it shows up; which check tells it is decided by who owns its area (ownerOf).
 */
import { isAwayStatus } from '../../engine/s3-errno.js';
import { StoreError } from '../../engine/store-error.js';
import { createAdvice } from '../../engine/store/probe-advice.js';
import { failureFacts } from '../../engine/store/sdk-error.js';
import { isAwsEndpoint } from '../../engine/endpoint/aws-endpoint.js';
import {
  EXIT_ACCESS_DENIED,
  EXIT_CREDENTIALS,
  EXIT_NO_BUCKET,
  EXIT_REGION,
  EXIT_USAGE,
} from '../../main/exit-codes.js';
import { exitCodeOfStore } from '../../main/failure.js';
import type { FindingId } from '../catalogue.js';
import { finding, type Finding } from '../finding.js';
import type { StoreExamination } from './examination.js';
import { KNOCK_MS } from './knock.js';

/** Our words for failures of the way (sdk-error.ts). */
const wayIds: Readonly<Record<string, FindingId>> = {
  HostNotFound: 'dns.fails',
  NameServerFailed: 'dns.fails',
  ConnectionRefused: 'endpoint.unreachable',
  HostUnreachable: 'endpoint.unreachable',
  Timeout: 'endpoint.unreachable',
  ConnectionReset: 'endpoint.unreachable',
  ConnectionFailed: 'endpoint.unreachable',
  NotHttp: 'endpoint.not-s3',
  NotAnS3Server: 'endpoint.not-s3',
  CertificateNotTrusted: 'tls.untrusted',
  CertificateExpired: 'tls.expired',
  CertificateWrongName: 'tls.wrong-name',
  TlsFailed: 'tls.failed',
};

const timeCodes = new Set(['RequestTimeTooSkewed', 'RequestExpired']);
/** Set by the chain of credentials, before anything is sent. */
const chainIds: Readonly<Record<string, FindingId>> = {
  NoCredentials: 'credentials.none',
  CredentialsFailed: 'credentials.failed',
  CredentialsTimeout: 'credentials.failed',
  NoSuchProfile: 'settings.refused',
};

/** True for failures that are told by `dns` and `endpoint`, which try the way by themselves. */
export function isOfTheWay(error: unknown): boolean {
  return error instanceof StoreError && error.status === 0 && Object.hasOwn(wayIds, error.code);
}

/** What a StoreError of settings, credentials or the first question means. */
export function storeFinding(error: StoreError): Finding {
  return finding(idOf(error), error.message, { remedy: error.remedy ?? 'run it again', host: error.resource });
}

function idOf({ code, status }: StoreError): FindingId {
  // Whatever page a gateway has for it.
  if (isAwayStatus(status)) return 'bucket.busy';
  const known = chainIds[code] ?? (status === 0 || code === 'NotAnS3Server' ? wayIds[code] : undefined);
  if (known !== undefined) return known;
  if (status === 0 && code === 'ExpiredToken') return 'credentials.expired';
  if (timeCodes.has(code)) return 'clock.refused';
  if (status >= 500 || code === 'SlowDown') return 'bucket.busy';
  switch (exitCodeOfStore(code, status)) {
    case EXIT_CREDENTIALS:
      return 'credentials.refused';
    case EXIT_NO_BUCKET:
      return 'bucket.missing';
    case EXIT_REGION:
      return 'bucket.wrong-region';
    case EXIT_ACCESS_DENIED:
      return 'permissions.list-denied';
    case EXIT_USAGE:
      return 'settings.refused';
    default:
      // What the settings' own reader refuses (EINVAL) has no status either.
      return status === 0 ? 'settings.refused' : 'bucket.refused';
  }
}

/** What the knock at the endpoint failed with. */
export async function wayFinding(error: unknown, store: StoreExamination): Promise<Finding> {
  const settings = await store.settings();
  const place = await store.place();
  const scheme = place.tls ? 'https' : 'http';
  const facts = failureFacts(error);
  const advice = createAdvice(facts, {
    bucket: store.options.bucket,
    prefix: store.options.prefix,
    region: settings.region,
    regionFromOption: settings.regionSource === 'option',
    endpointUrl: settings.endpointUrl ?? `${scheme}://${place.hostHeader}`,
    onAws: isAwsEndpoint(settings.endpointUrl),
    proxyUrl: place.proxyUrl,
    ownCaBundle: place.caPem !== undefined,
    anonymous: store.options.anonymous,
    credentialsOrigin: 'none',
    waitedMs: KNOCK_MS,
  });
  const id = wayIds[facts.code] ?? 'endpoint.unreachable';
  return finding(id, advice.message, { remedy: advice.remedy, host: place.hostname });
}
