/**
 * What holds of a store beside the plain requests: what the user said (--store-capabilities), else what is expected.
 * Nothing is found out by trying: the answer to a conditional write that a store has ignored is an object overwritten. So
 * everything is expected of every store but RenameObject (directory buckets only), and the user says what is not there
 * (docs/CLI.md).
 */
import type { StoreCapabilities } from '../write-api.js';

const EXPECTED: StoreCapabilities = {
  conditionalWrites: true,
  conditionalCopies: true,
  copyParts: true,
  renames: false,
  checksums: true,
};

/** A store without conditional writes is not expected to have conditional copies. */
export function capabilitiesOf(said: Partial<StoreCapabilities>): StoreCapabilities {
  const conditionalCopies = said.conditionalWrites ?? EXPECTED.conditionalCopies;
  return { ...EXPECTED, conditionalCopies, ...said };
}
