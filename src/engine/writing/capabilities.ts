/**
 * What holds of a store beside the plain requests: what the user said (--store-capabilities), else what is expected.
 * Nothing is found out by trying: the answer to a conditional write that a store has ignored is an object overwritten. So
 * what AWS has is expected of every store, but for RenameObject (directory buckets only) and conditional copies, which are
 * younger (AWS has them since 2025) and which versitygw, for one, ignores; a HEAD before costs little there, since only
 * renames that must not replace anything ask for them.
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
    unequalParts: true,
    ...said,
  };
}
