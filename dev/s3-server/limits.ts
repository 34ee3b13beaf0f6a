/**
 * Every bound of the embedded S3 server, in one place.
 *
 * S3's own limits are marked "specified" (Amazon S3 User Guide, "Multipart upload limits" and "Object key names");
 * the rest are guesses that only guard memory. Nothing here is a tuning knob for benchmarks: those are options.
 */

/** Largest request head (request line and headers). S3 allows 8 KiB of headers; presigned URLs and cookies get room. */
export const HEAD_BYTES_MAX = 64 * 1024;

/** Input held for a connection before its socket is paused. */
export const INPUT_BYTES_MAX = 1024 * 1024;

/** Bytes of one file read and one socket write of a GET body. Measured: 256 KiB to 1 MiB are equal within noise. */
export const BODY_CHUNK_BYTES = 512 * 1024;

/** Body chunks kept for reuse; more are allocated when more connections send at once, and dropped afterwards. */
export const BODY_CHUNKS_KEPT_MAX = 64;

/** A GET body up to this size is sent with its head in one write. */
export const INLINE_BODY_BYTES_MAX = 256 * 1024;

/** Upload bytes gathered before they are written to the temporary file. */
export const WRITE_BATCH_BYTES = 1024 * 1024;

/** Bytes moved at a time when parts are joined or objects copied. */
export const COPY_CHUNK_BYTES = 4 * 1024 * 1024;

/** Unread request body that is swallowed after an early answer before the connection is given up. */
export const DRAIN_BYTES_MAX = 64 * 1024 * 1024;

/** How long a connection that is being given up may keep sending before it is destroyed. */
export const LINGER_MS = 2_000;

/** Idle keep-alive connections end after this long (S3 itself: some 20 seconds, unspecified). */
export const IDLE_MS = 120_000;

/** Largest XML request body: a Complete with 10,000 parts and checksums is about 2 MiB. */
export const XML_BODY_BYTES_MAX = 8 * 1024 * 1024;

/** Open files kept for GET. */
export const OPEN_FILES_MAX = 256;

/** Keys in one index leaf before it splits. */
export const INDEX_LEAF_KEYS_MAX = 1024;

/** Specified: longest key, in UTF-8 bytes. */
export const KEY_BYTES_MAX = 1024;

/** Specified: part numbers run from 1 to this. */
export const PART_NUMBER_MAX = 10_000;

/** Specified: every part but the last is at least this long (`--min-part-size` lowers it for tests). */
export const PART_BYTES_MIN = 5 * 1024 * 1024;

/** Specified: largest object of one PUT or of one copy. */
export const SINGLE_PUT_BYTES_MAX = 5 * 1024 ** 3;

/** Specified: keys in one DeleteObjects request, keys in one LIST page, parts in one ListParts page. */
export const PAGE_ENTRIES_MAX = 1000;

/** Specified: user metadata of one object, names and values. */
export const USER_METADATA_BYTES_MAX = 2 * 1024;

/** Specified: tags of one object. */
export const TAGS_MAX = 10;

/** Specified: a signature's time may differ from ours by this. */
export const CLOCK_SKEW_MS_MAX = 15 * 60 * 1000;

/** Specified: a presigned URL lives at most a week. */
export const PRESIGN_SECONDS_MAX = 7 * 24 * 3600;

/** Specified: every chunk of an aws-chunked body but the last is at least this long. */
export const SIGNED_CHUNK_BYTES_MIN = 8 * 1024;

/** Specified: a session of a directory bucket lives five minutes (`--session-seconds` shortens it for tests). */
export const SESSION_SECONDS = 300;

/** Sessions remembered, ended ones too. */
export const SESSIONS_MAX = 10_000;

/** Recent requests remembered for tests. */
export const RECENT_REQUESTS_MAX = 1000;
