/**
 * Words for the first failure: what happened, to which bucket or address, and what to do now. A pure table from facts to
 * three strings, so that a test can hold every sentence in its hand.
 * Refuses to name secrets: key ids and proxies with passwords never get into a sentence.
 */
import { codeForStatus, isAwayStatus } from '../s3-errno.js';
import type { FailureFacts } from './sdk-error.js';

/** What the sentences may name. */
export interface ProbeSetting {
  readonly bucket: string;
  readonly prefix: string;
  readonly region: string;
  readonly regionFromOption: boolean;
  /** undefined = AWS by the SDK's rules. */
  readonly endpointUrl: string | undefined;
  readonly onAws: boolean;
  readonly proxyUrl: string | undefined;
  readonly ownCaBundle: boolean;
  readonly anonymous: boolean;
  readonly credentialsOrigin: string;
  readonly waitedMs: number;
}

export interface Advice {
  readonly resource: string;
  readonly message: string;
  readonly remedy: string;
}

function endpointName(setting: ProbeSetting): string {
  const name = setting.endpointUrl === undefined ? `AWS S3 in ${setting.region}` : new URL(setting.endpointUrl).origin;
  return setting.proxyUrl === undefined ? name : `${name} (through the proxy ${new URL(setting.proxyUrl).host})`;
}

/** Where to correct the address. */
function addressRemedy(setting: ProbeSetting): string {
  const what =
    setting.endpointUrl === undefined
      ? 'check the network and the region'
      : 'check the endpoint URL and that the server runs';
  return setting.proxyUrl === undefined ? what : `${what}, or correct HTTPS_PROXY / NO_PROXY`;
}

/** Never throws; every failure gets a sentence. */
export function createAdvice(facts: FailureFacts, setting: ProbeSetting): Advice {
  return transportAdvice(facts, setting) ?? answerAdvice(facts, setting);
}

/** There was no answer, or none of S3. */
function transportAdvice(facts: FailureFacts, setting: ProbeSetting): Advice | undefined {
  const endpoint = endpointName(setting);
  const gateway = gatewayAdvice(facts, endpoint);
  if (gateway !== undefined) return gateway;
  const host = setting.endpointUrl === undefined ? endpoint : new URL(setting.endpointUrl).hostname;
  const advice = (message: string, remedy: string): Advice => ({ resource: endpoint, message, remedy });
  const isHttps = setting.endpointUrl === undefined || setting.endpointUrl.startsWith('https:');
  switch (facts.code) {
    case 'ConnectionRefused':
      return advice(`${endpoint} refuses connections`, addressRemedy(setting));
    case 'HostNotFound':
      return (
        bucketHostAdvice(facts, setting) ??
        advice(`the host of ${endpoint} is not known to DNS`, addressRemedy(setting))
      );
    case 'NameServerFailed':
      return advice(
        `the host of ${endpoint} could not be looked up: the name server does not answer`,
        'check DNS (/etc/resolv.conf) and the network',
      );
    case 'HostUnreachable':
      return advice(`${endpoint} cannot be reached: no route`, addressRemedy(setting));
    case 'Timeout':
      return advice(`${endpoint} does not answer within ${setting.waitedMs / 1000} s`, addressRemedy(setting));
    case 'CertificateNotTrusted':
      return advice(
        `the TLS certificate of ${endpoint} is not signed by an authority that is trusted here`,
        setting.ownCaBundle
          ? 'the CA bundle given lacks its authority: add it to that PEM file'
          : 'name the PEM file of its authority with --ca-bundle (or AWS_CA_BUNDLE)',
      );
    case 'CertificateExpired':
      return advice(
        `the TLS certificate of ${endpoint} is not valid at this time`,
        "renew it, or correct this machine's clock",
      );
    case 'CertificateWrongName':
      return advice(
        `the TLS certificate of ${endpoint} is for another host name`,
        `use the name that the certificate has${host.includes(setting.bucket) ? '' : ', or --force-path-style'}`,
      );
    case 'TlsFailed':
      return advice(
        `${endpoint} does not speak TLS on this port`,
        'use http:// if it is a plain server, or the right port',
      );
    case 'ConnectionReset':
    case 'NotHttp':
      return advice(
        `${endpoint} closed the connection without an answer`,
        isHttps ? addressRemedy(setting) : 'use https:// if the port is a TLS port, or correct the port',
      );
    case 'NotAnS3Server':
      return advice(
        `${endpoint} is not an S3 server: it answered${facts.status === 200 ? '' : ` ${facts.status}`} with ${facts.contentType.startsWith('text/html') ? 'a web page' : 'something else'}`,
        'correct the endpoint URL (a console port, a proxy or a login page answers here)',
      );
    case 'ConnectionFailed':
      return advice(
        `${endpoint} cannot be reached: ${facts.message || facts.nodeCode || 'no reason given'}`,
        addressRemedy(setting),
      );
    case 'Cancelled':
      return advice(`the look at s3://${setting.bucket} was cancelled`, 'start again');
    default:
      return undefined;
  }
}

/** BUCKET.HOST was looked up, and few servers but AWS have such names: --force-path-style is what most people forget. */
function bucketHostAdvice({ host }: FailureFacts, setting: ProbeSetting): Advice | undefined {
  if (setting.endpointUrl === undefined || setting.onAws || !host?.startsWith(`${setting.bucket}.`)) return undefined;
  return {
    resource: endpointName(setting),
    message: `the host ${host} is not known to DNS`,
    remedy: `use --force-path-style, which asks ${host.slice(setting.bucket.length + 1)} itself, or check the endpoint URL`,
  };
}

/** A gateway's own answer: what stands behind it is away. A store that is busy itself says so in S3's words. */
function gatewayAdvice(facts: FailureFacts, endpoint: string): Advice | undefined {
  const isOwn = facts.code === 'NotAnS3Server' || facts.code === codeForStatus(facts.status);
  if (!isOwn || !isAwayStatus(facts.status)) return undefined;
  return {
    resource: endpoint,
    message: `${endpoint} answers ${facts.status}: the store behind it is away, or has no room for more`,
    remedy: 'see whether the store runs and its gateway or balancer finds it, then try again',
  };
}

/** S3 said no. */
function answerAdvice(facts: FailureFacts, setting: ProbeSetting): Advice {
  const bucket = `s3://${setting.bucket}`;
  const advice = (message: string, remedy: string): Advice => ({ resource: bucket, message, remedy });
  const origin = setting.credentialsOrigin;
  switch (facts.code) {
    case 'NoSuchBucket':
    case 'NotFound':
      return advice(
        `bucket ${setting.bucket} does not exist at ${endpointName(setting)}`,
        'check its name, or the endpoint and account',
      );
    case 'NoSuchAccessPoint':
      return advice(`access point ${setting.bucket} does not exist`, 'check its name, account and region');
    case 'NoSuchKey': {
      // No listing is answered so: the bucket, or a key, stands in the endpoint.
      const path = setting.endpointUrl === undefined ? '/' : new URL(setting.endpointUrl).pathname;
      if (path === '/') break;
      return advice(
        `${endpointName(setting)}${path} is taken for an object (NoSuchKey)`,
        `leave ${path} out of the endpoint URL: the bucket is named for itself`,
      );
    }
    case 'InvalidBucketName':
      return advice(
        `'${setting.bucket}' cannot be the name of a bucket`,
        'check its name: 3 to 63 of a-z, 0-9, dot and hyphen',
      );
    case 'InvalidAccessKeyId':
    case 'InvalidClientTokenId':
    case 'UnrecognizedClientException':
    case 'XAdminUserNotFound': // versitygw's word
      return advice(
        `${endpointName(setting)} does not know the access key from ${origin}`,
        'check AWS_ACCESS_KEY_ID (or the profile): deleted, mistyped, or of another service?',
      );
    case 'SignatureDoesNotMatch':
      return advice(
        `the secret key from ${origin} does not fit its access key`,
        'check AWS_SECRET_ACCESS_KEY (or the profile): mistyped or cut off?',
      );
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'TokenRefreshRequired':
      return advice(
        `the session token from ${origin} has ended`,
        'log in again (aws sso login, or a new session) and mount again',
      );
    case 'InvalidToken':
      return advice(
        `the session token from ${origin} is not valid`,
        'check AWS_SESSION_TOKEN, or unset it if the keys are permanent ones',
      );
    case 'RequestTimeTooSkewed':
    case 'RequestExpired':
      return advice(
        facts.message === '' ? "this machine's clock differs too much from the store's" : `${bucket}: ${facts.message}`,
        'set the clock (timedatectl set-ntp true)',
      );
    case 'InvalidPayer':
      return advice(`${bucket} does not accept the payer`, 'use --requester-pays');
    case 'SlowDown':
    case 'ServiceUnavailable':
    case 'InternalError':
      return advice(
        `${endpointName(setting)} answers ${facts.code} (${facts.status}) again and again`,
        'try again in a minute',
      );
    default:
      break;
  }
  if (facts.region !== undefined && facts.region !== setting.region && (facts.status === 400 || facts.status === 301)) {
    return advice(
      `${bucket} is in region ${facts.region}, not in ${setting.region}`,
      setting.regionFromOption ? `leave out --region, or use --region ${facts.region}` : `use --region ${facts.region}`,
    );
  }
  if (facts.status === 301 || facts.status === 307) {
    return advice(
      `${bucket} is at another endpoint than ${endpointName(setting)}`,
      'name its region with --region or its address with --endpoint-url',
    );
  }
  if (facts.code === 'AuthorizationHeaderMalformed') {
    return advice(`${bucket}: ${facts.message}`, 'name the region of the store with --region');
  }
  if (facts.status === 401 || facts.status === 403) return deniedAdvice(facts, setting, advice);
  const detail = facts.message === '' ? '' : `: ${facts.message}`;
  return advice(
    `${bucket} cannot be listed: ${facts.code} (${facts.status})${detail}`,
    'check bucket, endpoint and permissions',
  );
}

function deniedAdvice(
  facts: FailureFacts,
  setting: ProbeSetting,
  advice: (message: string, remedy: string) => Advice,
): Advice {
  const bucket = `s3://${setting.bucket}`;
  if (setting.anonymous) {
    return advice(
      `${bucket} does not let anonymous users list it (403)`,
      'leave out --no-sign-request and give credentials',
    );
  }
  const arn = setting.bucket.startsWith('arn:') ? setting.bucket : `arn:aws:s3:::${setting.bucket}`;
  const under = setting.prefix === '' ? '' : ` under ${setting.prefix}`;
  const who =
    setting.credentialsOrigin === 'none' ? 'these credentials' : `the credentials from ${setting.credentialsOrigin}`;
  const objects = setting.bucket.startsWith('arn:') ? `${arn}/object/*` : `${arn}/${setting.prefix}*`;
  // Some stores explain a refusal (an explicit deny, an owner that differs); "Access Denied" explains nothing.
  const reason = /^(access denied\.?|forbidden|unknown ?error|unknown)?$/i.test(facts.message)
    ? ''
    : `: ${facts.message}`;
  return advice(
    `listing ${bucket}${under} is not allowed for ${who} (${facts.code})${reason}`,
    `allow s3:ListBucket on ${arn} and s3:GetObject on ${objects} (docs/CREDENTIALS.md); ` +
      'a bucket of another account may need --requester-pays or a bucket policy',
  );
}
