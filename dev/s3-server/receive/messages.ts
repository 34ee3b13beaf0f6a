/**
 * What the main thread and a receive thread tell each other about bodies on their way to files. Plain data; pieces are
 * transferred, not copied. The receive thread writes to descriptors of the main thread, which both share as one process.
 */
import type { ChecksumName } from '../storage/object-record.js';

export type ToReceiver =
  /** Bytes of `id` go to `fd` from `position` on. */
  | {
      readonly type: 'open';
      readonly id: number;
      readonly fd: number;
      readonly position: number;
      readonly checksum: ChecksumName | null;
    }
  | { readonly type: 'bytes'; readonly id: number; readonly pieces: readonly Uint8Array[] }
  /** All bytes are there: answered by `done`. */
  | { readonly type: 'end'; readonly id: number }
  /** Forget it: answered by `cancelled`, after which the descriptor is not used any more. */
  | { readonly type: 'cancel'; readonly id: number };

export type FromReceiver =
  /** So many bytes of a `bytes` message are written and hashed. */
  | { readonly type: 'taken'; readonly id: number; readonly bytes: number }
  | { readonly type: 'done'; readonly id: number; readonly md5: Uint8Array; readonly checksum: Uint8Array | null }
  | { readonly type: 'cancelled'; readonly id: number }
  /** Nothing more of it is written; `end` and `cancel` are still answered, the first by this again. */
  | { readonly type: 'failed'; readonly id: number; readonly message: string };
