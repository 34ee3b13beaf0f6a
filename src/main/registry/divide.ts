/**
 * How mounts of one host divide what they share: pure, the same sum in each of them, so that nobody has to be asked.
 *
 * Network: of those that are active on the same cards, each gets what it wants up to a level that makes the sum the link
 * (max-min fairness: who wants little keeps it, the others get the same). Idle ones hold nobody back.
 * Memory: mounts that take the default target have one default together. One that nobody has used for long keeps the least
 * with which a mount works, those in use divide the rest. Below that least nobody goes: with more mounts than fit, the sum
 * is more than one default, because a mount that cannot work is worth nothing.
 * Refuses to divide what the user said (--memory-target).
 */
import { MIB } from '../../base/units.js';
import type { HostShare } from '../scheduler/share.js';
import { MEMORY_TARGET_LEAST } from '../sizing.js';
import type { Claim } from './announcement.js';
import type { Use } from './fair-trim.js';

/** `saidMemoryBytes`: the target that the user gave; it stands when `mine` claims no default. */
export function divide(mine: Claim, others: readonly Claim[], saidMemoryBytes: number): HostShare {
  const rivals = others.filter((other) => other.activity === 'active' && sharesCards(mine, other));
  return {
    networkShare: networkShare(mine, rivals),
    activeMounts: rivals.length + 1,
    memoryTargetBytes:
      mine.defaultMemoryBytes === undefined
        ? saidMemoryBytes
        : memoryShare(
            mine.defaultMemoryBytes,
            mine,
            others.filter((other) => other.defaultMemoryBytes !== undefined),
          ),
  };
}

/** What those that are active on the same cards say that they use. */
export function usesBeside(mine: Claim, others: readonly Claim[]): Use[] {
  return others.flatMap((other) =>
    other.activity === 'active' && other.use && sharesCards(mine, other) ? [other.use] : [],
  );
}

/** Does any traffic of one meet the other's? Unknown cards may be any. */
function sharesCards(one: Claim, other: Claim): boolean {
  if (one.nics.length === 0 || other.nics.length === 0) return true;
  return one.nics.some((nic) => other.nics.includes(nic));
}

function networkShare(mine: Claim, rivals: readonly Claim[]): number {
  const all = [mine, ...rivals];
  // Who was told to use more than the card says knows more than the card.
  const linkGbps = Math.max(...all.map((claim) => Math.max(claim.linkGbps, claim.targetGbps)));
  let leftGbps = linkGbps;
  let left = all.length;
  let levelGbps = Infinity;
  for (const wanted of all.map((claim) => claim.targetGbps).sort((a, b) => a - b)) {
    levelGbps = leftGbps / left;
    if (wanted > levelGbps) break;
    leftGbps -= wanted;
    left--;
    levelGbps = Infinity;
  }
  return Math.min(1, levelGbps / mine.targetGbps);
}

function memoryShare(defaultBytes: number, mine: Claim, others: readonly Claim[]): number {
  if (others.length === 0) return defaultBytes;
  const all = [mine, ...others];
  const asleep = all.filter((claim) => claim.activity === 'asleep').length;
  const awake = all.length - asleep;
  const leastBytes = Math.min(MEMORY_TARGET_LEAST, defaultBytes);
  if (awake > 0 && mine.activity === 'asleep') return leastBytes;
  const share = awake === 0 ? defaultBytes / all.length : (defaultBytes - asleep * leastBytes) / awake;
  return Math.max(leastBytes, Math.floor(share / MIB) * MIB);
}
