/** The text of `explain`: where a mount started, where it is, what was decided. */
import t from 'tap';
import { GIB, MIB } from '../../src/base/units.js';
import type { Decision, Setting } from '../../src/engine/scheduler/api.js';
import { explanationText } from '../../src/cli/explain.js';
import type { Explanation } from '../../src/main/stats/explanation.js';
import { controllerBounds } from '../../src/main/sizing-bounds.js';
import { deriveSizing } from '../../src/main/sizing.js';
import { plainProfile } from '../main/sample-profile.js';

const hardware = plainProfile(8, 64 * GIB, 10);
const sizing = deriveSizing(hardware, { bindNics: [] });
const setting: Setting = { connections: 46, partBytes: 4 * MIB, netThreads: 1 };

const quiet: Explanation = {
  format: 1,
  wallMs: Date.UTC(2026, 0, 1, 12),
  mountPoint: '/mnt/data',
  source: 's3://bucket/',
  hardware,
  sizing,
  bounds: controllerBounds(sizing, {}),
  setting,
  share: { networkShare: 1, activeMounts: 1, memoryTargetBytes: sizing.memoryTargetBytes },
  claim: { nics: ['eth0'], linkGbps: 10, targetGbps: 10, defaultMemoryBytes: undefined, activity: 'idle' },
  others: [],
  decisions: [],
};

t.test('a mount that has just begun', (t) => {
  const text = explanationText(quiet);
  t.match(text, /^s3:\/\/bucket\/ at \/mnt\/data$/m);
  for (const { setting: name } of sizing.reasons) t.match(text, new RegExp(`^ {2}${name}: .*because`, 'm'), name);
  t.match(text, /Override:\s+--max-connections\./);
  t.match(text, /^ {2}connections +46 +started with 25, moved between 2 and 128 by what is measured$/m);
  t.match(text, /^ {2}network +100 % +nobody else uses it now$/m);
  t.match(text, /The scheduler has changed nothing so far\./);
  t.end();
});

t.test('fixed, shared, decided', (t) => {
  const fixed = { bindNics: [], connectionsMax: 46, netThreads: 1 };
  const decision = (connections: number): Decision & { wallMs: number; agoMs: number } => ({
    wallMs: quiet.wallMs - 1000,
    agoMs: 1000,
    atMs: 0,
    before: { ...setting, connections: connections - 1 },
    after: { ...setting, connections },
    reason: `reason ${connections}`,
  });
  const text = explanationText({
    ...quiet,
    bounds: controllerBounds(deriveSizing(hardware, fixed), fixed),
    share: { networkShare: 0.5, activeMounts: 2, memoryTargetBytes: GIB },
    others: [
      {
        ...quiet.claim,
        ...{ pid: 7, startTicks: 1, pidNamespace: '', mountPoint: '/mnt/other', activity: 'active' },
      },
    ],
    decisions: [
      ...Array.from({ length: 24 }, (_, at) => decision(at + 2)),
      { ...decision(1), before: setting, after: { ...setting, partBytes: 8 * MIB }, reason: 'a larger part' },
      { ...decision(1), before: setting, after: setting, reason: 'all is well' },
    ],
  });
  t.match(text, /^ {2}connections +46 +fixed: you said so$/m);
  t.match(text, /^ {2}memory target +1 GiB +of .* that mounts without --memory-target have together$/m);
  t.match(text, /^ {2}network +50 % +2 mounts use the same cards now$/m);
  t.match(text, /^ {2}beside +active +\/mnt\/other \(pid 7\)$/m);
  t.match(text, /the last 20 of 26, oldest first/);
  t.notMatch(text, /reason 7\b/);
  t.match(text, /connections 24 → 25: reason 25/);
  t.match(text, /part 4 MiB → 8 MiB: a larger part/);
  t.match(text, /nothing changed: all is well/);
  t.end();
});
