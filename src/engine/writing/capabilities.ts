/**
 * What holds of a store beside the plain requests: what the user said (--store-capabilities), else what is expected.
 * Nothing is found out by trying: the answer to a conditional write that a store has ignored is an object overwritten. So
 * what AWS has is expected of every store, but for RenameObject (directory buckets only) and conditional copies, which are
 * younger (AWS has them since 2025) and which versitygw, for one, ignores; a HEAD before costs little there, since only
 * renames that must not replace anything ask for them. Checksums of copied parts are expected of AWS only, too: MinIO refuses to copy
 * into an upload that was begun with checksums, versitygw answers with the checksum of the whole source; without them edits work on all,
 * and only --verify strict has less to go by.
 */
import type { StoreCapabilities } from '../write-api.js';

/** A store without conditional writes is not expected to have conditional copies. */
export function capabilitiesOf(
  said: Partial<StoreCapabilities>,
  isAws: boolean,
  isDirectory = false,
): StoreCapabilities {
  return {
    conditionalWrites: true,
    conditionalCopies: isAws && !isDirectory && said.conditionalWrites !== false,
    copyParts: true,
    renames: isDirectory,
    checksums: true,
    copyChecksums: isAws && said.checksums !== false,
    unequalParts: true,
    ...said,
  };
}
