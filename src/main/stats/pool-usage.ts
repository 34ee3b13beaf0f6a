/**
 * What the pool's memory is used for, at one moment. Pins are counted over all rows, a millisecond for a pool of 16 GiB: only
 * when somebody asks. Refuses to change anything.
 */
import type { BlockTable } from '../../base/pool/block-table.js';
import { BLOCK_BYTES, SMALL_BYTES, slotNumbers } from '../../base/pool/layout.js';
import type { BlockIndex } from '../../prefetch/block-index.js';
import type { MountSnapshot } from './snapshot.js';

export function poolUsage(index: BlockIndex): MountSnapshot['memory']['pool'] {
  const { table, fillingBytes } = index;
  const { slotCount } = table.view.memory;
  const touchedBytes = table.touchedSlots * BLOCK_BYTES;
  const idleBytes = (table.idleSlots + table.asideSlots) * BLOCK_BYTES;
  const writersBytes = table.lentSlots * BLOCK_BYTES;
  return {
    plannedBytes: slotCount * BLOCK_BYTES,
    usableBytes: table.usableSlots * BLOCK_BYTES,
    touchedBytes,
    idleBytes,
    fillingBytes,
    // Parts of carved slots that are free count as used: they are of no use to large blocks.
    residentBytes: Math.max(0, touchedBytes - idleBytes - writersBytes - fillingBytes),
    writersBytes,
    pinnedBytes: pinnedBytes(table),
  };
}

function pinnedBytes(table: BlockTable): number {
  const { slotCount } = table.view.memory;
  let bytes = 0;
  for (let slot = 0; slot < slotNumbers(slotCount); slot++) {
    if (table.pins(slot) > 0) bytes += slot < slotCount ? BLOCK_BYTES : SMALL_BYTES;
  }
  return bytes;
}
