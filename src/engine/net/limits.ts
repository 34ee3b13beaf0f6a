/**
 * Every bound of a net thread in one place: sizes, counts and waits, each with its reason and what would change it.
 * No deadlock: a fetch waits only for (1) a connection, of which at most connectionsMax exist and each is given back or
 * torn down within connectMs + firstByteMs + stallMs of silence; (2) a back-off of at most backoffCapMs; (3) credentials,
 * at most credentialsWaitMs. Nothing holds a connection while it waits for another thing. READs that wait are over
 * after readDeadlineMs, whatever their fetch does.
 */
import { KIB, MIB } from '../../base/units.js';

/** Most bytes of one response head (guessed; S3's are under 1 KiB, user metadata adds up to 2 KiB). */
export const HEAD_BYTES_MAX = 64 * KIB;
/** Most bytes of an error body that are read (S3's are under 2 KiB). */
export const ERROR_BODY_BYTES_MAX = 64 * KIB;
/** Interim (1xx) heads before one answer (guessed; S3 sends none to a GET). */
export const INTERIM_HEADS_MAX = 8;
/** A request's body up to this size is copied behind its head and leaves in one write (guessed: a copy of 64 KiB is 5 µs). */
export const BODY_INLINE_BYTES = 64 * KIB;
/**
 * Larger ones leave in pieces of this size at most, each within sendStallMs. Smaller pieces cost calls, larger ones would
 * call a slow link dead, and TLS encrypts a piece as a whole before any of it leaves.
 */
export const BODY_PIECE_BYTES = 256 * KIB;
/**
 * After a body of this size or more that was answered at 5 MB/s or more the pieces of the next one on the same connection may be so
 * large, which is a slot of the pool: a quarter of the calls. A link that becomes 150 times slower in the middle of one is
 * called dead, and the next attempt, on another connection, begins with small pieces again.
 */
export const BODY_QUICK_PIECE_BYTES = MIB;
export const QUICK_BYTES_PER_MS = 5_000;
/**
 * What a read of the socket is given when the head, not the body, is expected. A small file comes with its head, and needs no
 * second read when it fits: 40 kB files with 64 KiB instead of 16 cost the net thread 0.37 ms instead of 0.39 (five rounds in
 * turn); of larger ones so much is copied.
 */
export const SCRATCH_BYTES = 64 * KIB;
/**
 * A body slower than this over a whole stallMs is given up and resumed elsewhere. At this rate a READ of 1 MiB just misses
 * the deadline of 30 s, so nothing slower can serve one.
 */
export const DRIP_BYTES_PER_MS = 32;
/** A cancelled fetch with no more than this to come is drained: cheaper than another connection. */
export const DRAIN_BYTES_MAX = 64 * KIB;

/** Where bytes go that are read only to be summed up, or not at all: as much as a socket gives at a time (measured). */
export const SKIP_BYTES = 256 * KIB;
/** Largest unit that --verify strict fetches to verify a byte of it (guessed: what an upload in parts uses at most). */
export const STRICT_UNIT_BYTES_MAX = 64 * MIB;
/** Objects whose cut into parts is remembered. */
export const LAYOUTS_MAX = 4096;

/** Extra requests that hedging may cost, as a share of all (specified). */
export const HEDGE_SHARE = 0.05;
/** Hedges that a quiet time may save up for a bad one, and what a thread begins with (guessed). */
export const HEDGES_SAVED_MAX = 32;
export const HEDGES_SAVED_FIRST = 8;
/** Whatever was saved: in no so many requests in a row are more than HEDGE_SHARE of them hedged (specified). */
export const HEDGE_SPAN_REQUESTS = 1_000;
/** Answers that quantiles are taken of, and how many are needed for one. */
export const HEDGE_SAMPLES = 128;
export const HEDGE_SAMPLES_MIN = 16;
/** A first byte is late after this many times the 95th percentile, and never before the other (a busy machine's pauses). */
export const HEDGE_LATE_FACTOR = 2;
/** The same of a request that younger ones have overtaken: it does not stand in a line that is long for all. */
export const HEDGE_OVERTAKEN_FACTOR = 1.25;
export const HEDGE_LATE_MIN_MS = 20;
/** So many must have overtaken it (guessed: one does by chance where first bytes take between 20 and 100 ms). */
export const OVERTAKERS = 3;
/** How often one that may be overtaken is looked at. */
export const LATE_LOOK_MS = 10;
/**
 * Before the quantile is known: after this many times the longest of the answers so far, of which there are so many at
 * least, and never before so long (guessed). A mount's first file would wait a whole second for a late answer otherwise.
 */
export const HEDGE_SAMPLES_FIRST = 4;
export const HEDGE_LATE_FIRST_FACTOR = 4;
export const HEDGE_LATE_FIRST_MIN_MS = 100;
/** A body is slow below this share of the median rate, over at least this time, with at least so much to come. */
export const HEDGE_SLOW_SHARE = 1 / 8;
export const HEDGE_SLOW_WINDOW_MS = 1_000;
export const HEDGE_SLOW_BYTES_MIN = 64 * KIB;
/**
 * A body that has paused for so many times the pause that 95 % of bodies never make, at least as long as the first byte
 * of another answer may take, and never less than the least, has stalled: what is missing is asked for elsewhere, while the
 * first may still go on. (A busy machine's pauses are 20-50 ms; guessed.) When several bodies are on their way and nothing
 * at all arrives, it is the network that pauses, or we: then twice as long.
 */
export const STALL_FACTOR = 2;
export const STALL_MIN_MS = 70;
/** Before pauses are known (guessed: a round trip to another continent and a half). */
export const STALL_FIRST_MS = 400;
/** How often pauses are looked at while bodies are on their way; a look this late means that we were stopped. */
export const STALL_LOOK_MS = 20;
export const STALL_GAP_MS = 60;
/** What resuming may cost: this share of the requests, and so many saved up. Nothing is fetched twice by it, so more than hedges. */
export const RESUME_SHARE = 0.1;
export const RESUMES_SAVED_MAX = 32;
/** A sweep this many times later than it should be means that we were stopped, not the bodies. */
export const SWEEP_GAP_FACTOR = 5;
/** Shorter bodies say nothing about a rate. */
export const HEDGE_RATE_BYTES_MIN = 256 * KIB;

/** Connections that only waiting readers get: this share of the bound, and at most so many (guessed). */
export const RESERVED_SHARE = 1 / 8;
export const RESERVED_MAX = 4;
/**
 * Where more than those wait at a time, as many as waited lately, up to this share and number: a part of a stream on a full
 * link holds a connection for half a second (measured beside 4 streams: p99 of 256 KiB 195 ms with 4 kept for 8 readers).
 */
export const RESERVED_BUSY_SHARE = 1 / 2;
export const RESERVED_BUSY_MAX = 16;
/**
 * Connections that uploads get before reads ahead when both want more, and before READs that wait, as shares of those for
 * the background, one at least: neither can starve the other (guessed).
 */
export const UPLOADS_SHARE = 1 / 4;
export const UPLOADS_LEAST_SHARE = 1 / 8;
/** What is left each sweep of how many waited: a tenth after 2 s. */
export const RESERVED_FADES = 0.89;
/** A connection ends after so many requests or so long: new ones go to addresses that were added since (guessed). */
export const CONNECTION_REQUESTS_MAX = 10_000;
export const CONNECTION_AGE_MAX_MS = 10 * 60_000;
/**
 * When the server closes a connection that was idle for t, idle ones are closed after this share of t, not before the
 * least; a restart of the server teaches the wrong thing, so it is forgotten after a while.
 */
export const IDLE_LEARNED_SHARE = 0.8;
export const IDLE_LEARNED_MIN_MS = 1_000;
export const IDLE_RELEARN_MS = 5 * 60_000;

/** Longest wait that a store's Retry-After can ask for; a READ has 30 s in all (guessed). */
export const RETRY_AFTER_MAX_MS = 10_000;

/** Addresses of one endpoint that are remembered (S3 answers with 8 at a time, other ones each time). */
export const ADDRESSES_MAX = 64;
/** Age at which the endpoint's name is looked up again, at the next connect. */
export const ADDRESS_REFRESH_MS = 30_000;
/** Age at which an address that no lookup returned again is dropped. */
export const ADDRESS_EXPIRY_MS = 300_000;
/** How long an address that refused or timed out is passed over. */
export const ADDRESS_PENALTY_MS = 30_000;
/** An address that does not answer for so long gets company (RFC 8305 recommends 250 ms). */
export const CONNECT_STAGGER_MS = 250;
/** Slow answers of an address, each within the penalty's time of the last, that make it one to pass over (guessed). */
export const ADDRESS_SLOW_MAX = 3;
/** Addresses tried within one attempt to connect. */
export const ADDRESSES_PER_CONNECT = 3;

/** READs parked at once: far above what the kernel has in flight (max_background 256 and one each thread that reads). */
export const PARKED_READS_MAX = 16_384;
/** One wait for new credentials in a fetch's life, and one correction of the clock. */
export const CREDENTIAL_WAITS_MAX = 1;

/** Lines of one kind that are logged in one window; the rest are counted and reported as a number. */
export const LOG_LINES_PER_WINDOW = 5;
export const LOG_WINDOW_MS = 10_000;
/** Kinds of lines that are told apart. */
export const LOG_KINDS_MAX = 64;

/** Waits of one net thread; every field can be set by a test or by `tune`. */
export interface NetTimeouts {
  /** TCP, proxy and TLS handshake together, for one address. */
  readonly connectMs: number;
  /** From the request being written to the first byte of an answer. */
  readonly firstByteMs: number;
  /** Between two arrivals of bytes in one answer. */
  readonly stallMs: number;
  /** For BODY_PIECE_BYTES of a request's body to leave: slower than 9 KB/s is dead. */
  readonly sendStallMs: number;
  /** A body that waits for 100 Continue leaves without it after this; curl's figure. */
  readonly continueMs: number;
  /** An unused connection is closed after this; S3 itself closes at about 20 s, so we leave first. */
  readonly idleMs: number;
  /** Full jitter: a wait is random() * min(cap, base * 2^(failures - 1)). */
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** A fetch whose credentials were refused waits this long for others. */
  readonly credentialsWaitMs: number;
  /** Period of the one sweep that looks at all deadlines. */
  readonly sweepMs: number;
}

/**
 * Connect: the figure of AWS's own latency guidance is 1-3 s. First byte and stall: three of them fit into the default
 * read deadline of 30 s, so a READ survives two dead servers. The others are guesses.
 */
export const DEFAULT_TIMEOUTS: NetTimeouts = {
  connectMs: 3_000,
  firstByteMs: 8_000,
  stallMs: 8_000,
  sendStallMs: 30_000,
  continueMs: 1_000,
  idleMs: 15_000,
  backoffBaseMs: 50,
  backoffCapMs: 5_000,
  credentialsWaitMs: 15_000,
  sweepMs: 100,
};

/** Connections of each net thread that are opened with the mount. */
export const OPENED_AHEAD = 2;
/** Between two looks whether somebody is there again (full jitter): who comes back is found within it. */
export const UNREACHED_WAIT_MAX_MS = 2_000;
/** So long an upload waits for a store that nobody answers for; reads and listings wait DEFAULT_READ_DEADLINE_MS. */
export const UNREACHED_UPLOAD_MS = 120_000;
/** Who asks when the store has been away for longer than that already waits so long at least (guessed). */
export const UNREACHED_NEWCOMER_MS = 5_000;
/** So long after the last attempt in vain the next one begins another outage: nobody has looked meanwhile. */
export const OUTAGE_FORGOTTEN_MS = 15_000;

/** No parked READ waits longer (guessed: beyond any answer that S3 still gives, below what people call hung). */
export const DEFAULT_READ_DEADLINE_MS = 30_000;
