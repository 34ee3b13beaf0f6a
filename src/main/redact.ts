/**
 * Keeps secrets out of logs and messages. Two nets, because neither is enough: fields are looked at by name before they
 * are printed, and the finished line is looked at for things that look like secrets wherever they came from.
 * Access key ids are shortened, not hidden: which key was used is the first question when one is refused.
 * Refuses to trust callers: no layer below has to remember what may be logged.
 */

const HIDDEN = '[redacted]';

/** Field names (any case, - and _ ignored) whose values are never shown. */
const secretNames =
  /^(.*secret.*|.*password.*|.*passwd.*|.*passphrase.*|authorization|proxyauthorization|cookie|setcookie|.*securitytoken|.*sessiontoken|.*accesstoken|.*authtoken|.*bearertoken|.*idtoken|.*refreshtoken|.*clienttoken|token|xamzsignature|signature|signingkey|.*privatekey|xamzcredential|ssecustomerkey|.*customerkey)$/;

/** Deepest nesting of logged fields that is followed; what lies deeper is named, not shown. */
const DEPTH_MAX = 6;
/** Elements of an array, and fields of an object, that are shown. */
const ELEMENTS_MAX = 64;

/** `fields` as plain data without secrets. Errors become {name, message, code, stack}. Never throws on cycles. */
export function redactFields(fields: object): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) result[name] = redactValue(name, value, 0);
  return result;
}

function redactValue(name: string, value: unknown, depth: number): unknown {
  if (isSecretName(name) && value !== undefined && value !== null && typeof value !== 'boolean') return HIDDEN;
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Error) return redactError(value, depth);
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof URL) return scrubText(value.href);
  if (depth >= DEPTH_MAX) return '[deeper]';
  if (Array.isArray(value)) {
    const shown: unknown[] = value.slice(0, ELEMENTS_MAX).map((element) => redactValue(name, element, depth + 1));
    if (value.length > ELEMENTS_MAX) shown.push(`and ${value.length - ELEMENTS_MAX} more`);
    return shown;
  }
  const result: Record<string, unknown> = {};
  const entries: [string, unknown][] =
    value instanceof Map ? [...value].map(([k, v]) => [String(k), v]) : Object.entries(value);
  for (const [field, inner] of entries.slice(0, ELEMENTS_MAX)) result[field] = redactValue(field, inner, depth + 1);
  if (entries.length > ELEMENTS_MAX) result['…'] = `and ${entries.length - ELEMENTS_MAX} more`;
  return result;
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = { name: error.name, message: error.message };
  for (const field of ['code', 'errno', 'status', 'resource', 'remedy', 'kind'] as const) {
    const value: unknown = Reflect.get(error, field);
    if (typeof value === 'string' || typeof value === 'number') result[field] = value;
  }
  result['stack'] = error.stack;
  if (error.cause !== undefined && depth < DEPTH_MAX) result['cause'] = redactValue('cause', error.cause, depth + 1);
  return result;
}

function isSecretName(name: string): boolean {
  return secretNames.test(name.toLowerCase().replace(/[-_\s]/g, ''));
}

/** Values that must not appear anywhere, registered once known (environment, resolved credentials). */
const knownSecrets = new Set<string>();
/** Shorter values (`minioadmin`) are likely to be words of an innocent line. */
const KNOWN_SECRET_CHARS_MIN = 16;
/** Rotated session credentials arrive for weeks; the newest are the ones that can still leak usefully. */
const KNOWN_SECRETS_MAX = 64;

/** From now on `secret` is hidden wherever it appears in a line. Bounded: the oldest is forgotten. */
export function registerSecret(secret: string | undefined): void {
  if (secret === undefined || secret.length < KNOWN_SECRET_CHARS_MIN) return;
  // Also as it stands in a query.
  for (const form of new Set([encodeURIComponent(secret), secret])) {
    knownSecrets.delete(form);
    knownSecrets.add(form);
  }
  while (knownSecrets.size > KNOWN_SECRETS_MAX) {
    for (const oldest of knownSecrets) {
      knownSecrets.delete(oldest);
      break;
    }
  }
}

/** Registers the secrets that the environment holds. */
export function registerEnvironmentSecrets(env: NodeJS.ProcessEnv): void {
  registerSecret(env['AWS_SECRET_ACCESS_KEY']);
  registerSecret(env['AWS_SESSION_TOKEN']);
  registerSecret(env['AWS_SECURITY_TOKEN']);
  registerSecret(env['AWS_CONTAINER_AUTHORIZATION_TOKEN']);
  // `name=value,name=value`: keys of whoever takes the metrics.
  for (const name of ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_METRICS_HEADERS']) {
    for (const header of (env[name] ?? '').split(',')) registerSecret(header.slice(header.indexOf('=') + 1).trim());
  }
}

/** Each pattern keeps its first group and loses the rest. Header and query spelling, JSON escapes included. */
const patterns: readonly (readonly [RegExp, string])[] = [
  // user:password@ in URLs (proxies, endpoints)
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^/\s@"'<>]*:[^/\s@"'<>]*@/gi, `$1${HIDDEN}@`],
  // SigV4 header and bearer or basic credentials
  [
    /(\bauthorization\\*["']?\s*[:=]\s*\\*["']?)(?:AWS4-[A-Z0-9-]+|AWS|Bearer|Basic|Digest|Token)\s[^"'\r\n\\]*/gi,
    `$1${HIDDEN}`,
  ],
  // and without a scheme, as container credentials have it
  [/(\bauthorization\\*["']?\s*[:=]\s*\\*["']?)(?!\[redacted\])[^\s"'\\,;}]{12,}/gi, `$1${HIDDEN}`],
  [/\b(AWS4-HMAC-SHA256\s+Credential=)[^"'\r\n\\]*/g, `$1${HIDDEN}`],
  // name = value in headers, queries, JSON and shell words
  [
    /(\b(?:x-amz-security-token|x-amz-signature|x-amz-credential|x-amz-server-side-encryption-customer-key|aws_?secret_?access_?key|secret_?access_?key|secret_?key|aws_?session_?token|session_?token|proxy-authorization|client_?secret|x-goog-signature|x-goog-credential)\\*["']?\s*(?:[:=]|%3d)\s*\\*["']?)(?:[^\s"'&,;}\\]|\\[/u])+/gi,
    `$1${HIDDEN}`,
  ],
  // presigned by the older signature
  [/([?&]Signature=)[^&\s"'\\]+/g, `$1${HIDDEN}`],
  [/(<(?:SecretAccessKey|SessionToken|StringToSign|CanonicalRequest)>)[^<]*/g, `$1${HIDDEN}`],
  // access key ids: enough is left to tell two keys apart
  [/\b((?:AKIA|ASIA)[A-Z0-9]{4})[A-Z0-9]{8,}\b/g, '$1…'],
];

/** `text` without anything that looks like, or is known to be, a secret. */
export function scrubText(text: string): string {
  let scrubbed = text;
  for (const secret of knownSecrets) if (scrubbed.includes(secret)) scrubbed = scrubbed.replaceAll(secret, HIDDEN);
  for (const [pattern, replacement] of patterns) scrubbed = scrubbed.replace(pattern, replacement);
  return scrubbed;
}
