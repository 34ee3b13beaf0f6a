/**
 * The language of fault rules: which requests, when, and what goes wrong.
 *
 * Plain JSON, so that a file, a test and the admin endpoint share it. Every rule that matches and fires contributes; for
 * one effect the first rule in the list wins, and rates of several rules all apply. README.md has the same table in
 * prose. `checkFaultRules` refuses unknown names, so that a misspelt fault is never silently no fault.
 */

/** One rule. All fields are optional; an empty rule matches everything and does nothing. */
export interface FaultRule {
  // Which requests.
  /** Operation name or names as in the S3 API (`GetObject`, `ListObjectsV2`, ...). */
  readonly operation?: string | readonly string[];
  readonly bucket?: string;
  /** Regular expression that the key must match. */
  readonly key?: string;

  // Which of those.
  /** Only the n-th match, counted from 1. */
  readonly nth?: number;
  /** Every n-th match. */
  readonly every?: number;
  /** Not the first n matches. */
  readonly skip?: number;
  /** 0 to 1, drawn for each match. */
  readonly probability?: number;
  /** Fires at most so often. */
  readonly times?: number;
  /** Seed of this rule's random draws, so that a run can be repeated. */
  readonly seed?: number;

  // Time.
  /** The first byte leaves not before this long after the request's head. */
  readonly firstByteMs?: number;
  /** Added to firstByteMs: uniform between 0 and this. */
  readonly jitterMs?: number;
  /** Added with a probability. */
  readonly longTail?: { readonly probability: number; readonly ms: number };
  /** Body bytes a second of each connection, both ways. */
  readonly bytesPerSecond?: number;
  /** Body bytes a second of all requests this rule matches together, both ways. */
  readonly totalBytesPerSecond?: number;
  /** Sends this many body bytes, then nothing for stallMs, then the rest. */
  readonly stallAfterBytes?: number;
  readonly stallMs?: number;

  // Answers.
  /** Answers this error instead of doing anything. Either implies the usual value of the other. */
  readonly status?: number;
  readonly code?: string;
  readonly message?: string;
  /** 503 SlowDown for matches above this rate (a bucket of one second). */
  readonly slowDownAbovePerSecond?: number;
  /** Does the work, then answers 200 with an error document of this code (Complete, Copy and UploadPartCopy can). */
  readonly errorInBody?: string;
  /** Does the work, then stays silent for this long and closes the connection. */
  readonly hangAfterSuccessMs?: number;
  /** The same for CompleteMultipartUpload only, for 600 seconds: it succeeded and nobody hears of it. */
  readonly completeTimesOutAfterSuccess?: boolean;

  // The connection.
  /** RST before any byte of the answer. */
  readonly resetBeforeHead?: boolean;
  /** FIN before any byte of the answer. */
  readonly closeBeforeHead?: boolean;
  /** Bytes that are not HTTP instead of the head, then FIN. */
  readonly garbageHead?: boolean;
  /** RST after so many body bytes (head included when 0). */
  readonly resetAfterBytes?: number;
  /** RST once more than so many bytes of the request's body have arrived: nothing of it is kept. */
  readonly resetAfterReceivedBytes?: number;
  /** FIN after so many body bytes, though Content-Length promised more. */
  readonly closeAfterBytes?: number;
  /** FIN that many bytes before the end of the body; Content-Length is that of the whole. */
  readonly truncateBytes?: number;
  /** The body lacks so many bytes at its end and Content-Length agrees; Content-Range still names the whole range. */
  readonly shortBodyBytes?: number;
  /** Inverts the lowest bit of the body byte at this offset. */
  readonly flipByteAt?: number;
  /** Another ETag in the header. */
  readonly wrongEtag?: boolean | string;
  /** Another Content-Range: this text, or the true one moved up by one byte. */
  readonly wrongContentRange?: boolean | string;
}

type Kind = 'number' | 'boolean' | 'string';

const FIELDS: Record<keyof FaultRule, readonly Kind[] | 'names' | 'tail'> = {
  operation: 'names',
  bucket: ['string'],
  key: ['string'],
  nth: ['number'],
  every: ['number'],
  skip: ['number'],
  probability: ['number'],
  times: ['number'],
  seed: ['number'],
  firstByteMs: ['number'],
  jitterMs: ['number'],
  longTail: 'tail',
  bytesPerSecond: ['number'],
  totalBytesPerSecond: ['number'],
  stallAfterBytes: ['number'],
  stallMs: ['number'],
  status: ['number'],
  code: ['string'],
  message: ['string'],
  slowDownAbovePerSecond: ['number'],
  errorInBody: ['string'],
  hangAfterSuccessMs: ['number'],
  completeTimesOutAfterSuccess: ['boolean'],
  resetBeforeHead: ['boolean'],
  closeBeforeHead: ['boolean'],
  garbageHead: ['boolean'],
  resetAfterBytes: ['number'],
  resetAfterReceivedBytes: ['number'],
  closeAfterBytes: ['number'],
  truncateBytes: ['number'],
  shortBodyBytes: ['number'],
  flipByteAt: ['number'],
  wrongEtag: ['boolean', 'string'],
  wrongContentRange: ['boolean', 'string'],
};

/** Fields whose value must be above zero: a rate or a count of nothing is a mistake. */
const POSITIVE: readonly (keyof FaultRule)[] = ['nth', 'every', 'bytesPerSecond', 'totalBytesPerSecond'];

/**
 * Checks rules read from a file or a request.
 * @throws Error that names the rule and the field
 */
export function checkFaultRules(value: unknown): readonly FaultRule[] {
  if (!Array.isArray(value)) throw new Error('fault rules must be a JSON array of objects');
  value.forEach((rule: unknown, at) => {
    const where = `fault rule ${at + 1}`;
    if (typeof rule !== 'object' || rule === null) throw new Error(`${where} is not an object`);
    for (const [name, content] of Object.entries(rule)) {
      if (content === undefined) continue;
      if (!Object.hasOwn(FIELDS, name)) {
        throw new Error(`${where} has an unknown field "${name}"; known: ${Object.keys(FIELDS).join(', ')}`);
      }
      checkField(where, name as keyof FaultRule, content);
    }
  });
  return value as readonly FaultRule[];
}

function checkField(where: string, name: keyof FaultRule, content: unknown): void {
  const kinds = FIELDS[name];
  let isGood: boolean;
  if (kinds === 'names') {
    isGood = typeof content === 'string' || (Array.isArray(content) && content.every((one) => typeof one === 'string'));
  } else if (kinds === 'tail') {
    const tail = content as { probability?: unknown; ms?: unknown } | null;
    isGood = typeof tail === 'object' && typeof tail?.probability === 'number' && typeof tail.ms === 'number';
  } else {
    isGood = kinds.includes(typeof content as Kind);
    if (typeof content === 'number') {
      isGood &&= Number.isFinite(content) && content >= 0 && (content > 0 || !POSITIVE.includes(name));
    }
  }
  if (!isGood) throw new Error(`${where}: ${name} cannot be ${JSON.stringify(content)}`);
  if (name === 'key') {
    try {
      new RegExp(content as string, 'u');
    } catch {
      throw new Error(`${where}: key is not a regular expression: ${String(content)}`);
    }
  }
}
