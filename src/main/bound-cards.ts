/**
 * From the cards of --bind to the local addresses that connections are bound to. Pure but for the error.
 * One address of each family and card: a card with many addresses is to carry no more than the others.
 * Each net thread begins with another card; otherwise threads with one connection each would all use the first.
 * Refuses link-local addresses, from which no S3 endpoint is reached.
 */
import type { NetworkInterfaceInfo } from 'node:os';
import { EINVAL } from '../base/errno.js';
import { StoreError } from '../engine/store-error.js';

/** As os.networkInterfaces() gives them. */
export type Cards = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** Local addresses for the net thread of this index, from 0; empty without --bind. Throws StoreError for a card without one. */
export function addressesFor(threadIndex: number, nics: readonly string[], cards: Cards): string[] {
  return nics.flatMap((_, turn) => addressesOf(nics[(threadIndex + turn) % nics.length] ?? '', cards));
}

function addressesOf(nic: string, cards: Cards): string[] {
  const usable = (cards[nic] ?? []).filter(({ address }) => !address.startsWith('fe80:'));
  const first = [usable.find(({ family }) => family === 'IPv4'), usable.find(({ family }) => family === 'IPv6')];
  const addresses = first.flatMap((info) => (info === undefined ? [] : [info.address]));
  if (addresses.length > 0) return addresses;
  throw new StoreError({
    errno: EINVAL,
    code: 'NoSuchInterface',
    status: 0,
    resource: nic,
    message: `--bind ${nic}: there is no network card of this name with an address`,
    remedy: `this machine has ${Object.keys(cards).join(', ')}`,
  });
}
