/**
 * One request and its answer, as a connection sees them: what is sent after the head, and where the answer goes. Implemented
 * by who asks (transfer.ts, the LISTs' and the calls' transfers), called by connection.ts.
 * Refuses to know of sockets.
 */
import type { Failure } from './failure.js';
import type { ResponseHead } from './http-head.js';

/** What follows a request's head. Read to its end once; `next` is not called after the exchange has ended. */
export interface RequestBody {
  readonly bytes: number;
  /** 1 to `bytesMax` bytes, which must stay as they are until the exchange is over; undefined after the last. */
  next(bytesMax: number): Uint8Array | undefined;
}

/** One request's side of a connection. Calls come in the order listed; `failed` may replace any of the later ones. */
export interface Exchange {
  /**
   * The answer's head. 'slots' = the body was verified and goes to `view`; 'body' = it goes to `body` as it comes, whatever
   * its framing; 'payload' = that, and one that only drips is given up as in slots; 'text' = an error, collect it; 'none' = the answer to a HEAD, which has no body whatever its length says;
   * a Failure = useless.
   */
  head(head: ResponseHead): 'slots' | 'body' | 'payload' | 'text' | 'none' | Failure;
  /**
   * Borrowed bytes of a 'body'; a Failure ends the exchange, 'last' says that whatever comes behind them is not wanted.
   * `done` follows the last ones.
   */
  body?(bytes: Buffer): Failure | 'last' | undefined;
  /** Where the next body bytes go: never empty, never more than `remainingBytes`. */
  view(remainingBytes: number): Uint8Array;
  /** So many bytes now stand in the last view. */
  filled(bytes: number): void;
  /** All body bytes are there. The connection is idle or closed already and may be used for another request. */
  done(): void;
  /** The error's text is there; like `done`. */
  text(body: Buffer): void;
  /** No more calls come. The connection is closed. */
  failed(failure: Failure): void;
  /** Some of the body has left. */
  sent?(): void;
  /** How long the answer may take once the request has left, and how long it may pause, if not as usual. */
  readonly answerMs?: number;
  /** A READ waits for its bytes: it goes on first when bandwidth is limited. May change. */
  readonly isUrgent?: boolean;
  /** The head says `Expect: 100-continue`: the body waits for that, or for a while. */
  readonly asksFirst?: boolean;
}
