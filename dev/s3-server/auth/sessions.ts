/**
 * Sessions of directory buckets: keys and tokens that CreateSession gave away, until they end.
 *
 * Only what is alive is kept, and a little longer, so that a late request is told ExpiredToken and not InvalidToken.
 */
import { randomBytes } from 'node:crypto';
import { S3Error } from '../errors.js';
import { SESSIONS_MAX } from '../limits.js';

export type SessionMode = 'ReadOnly' | 'ReadWrite';

export interface Session {
  readonly bucketName: string;
  readonly mode: SessionMode;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly token: string;
  readonly expiresMs: number;
}

export class SessionBook {
  readonly #lifeMs: number;
  readonly #sessions = new Map<string, Session>();
  /** Sessions begun before are over (`endAll`). */
  #endedTokens = new Set<string>();

  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs;
  }

  open(bucketName: string, mode: SessionMode, nowMs: number): Session {
    const session = {
      bucketName,
      mode,
      accessKey: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretKey: randomBytes(30).toString('base64'),
      token: randomBytes(96).toString('base64'),
      expiresMs: nowMs + this.#lifeMs,
    };
    this.#sessions.set(session.token, session);
    for (const oldest of this.#sessions.keys()) {
      if (this.#sessions.size <= SESSIONS_MAX) break;
      this.#sessions.delete(oldest);
      this.#endedTokens.delete(oldest);
    }
    return session;
  }

  /** The session of a token, for requests to `bucketName`. Throws InvalidToken, ExpiredToken, AccessDenied. */
  find(token: string, bucketName: string, nowMs: number): Session {
    const session = this.#sessions.get(token);
    if (session === undefined) throw new S3Error('InvalidToken', { elements: { 'Token-0': token } });
    if (session.bucketName !== bucketName) throw new S3Error('AccessDenied');
    if (nowMs >= session.expiresMs || this.#endedTokens.has(token)) {
      throw new S3Error('ExpiredToken', { elements: { 'Token-0': token } });
    }
    return session;
  }

  /** All sessions end now, whatever was promised. */
  endAll(): void {
    this.#endedTokens = new Set(this.#sessions.keys());
  }
}
