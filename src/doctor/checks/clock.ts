/** The clock: whether it can be right at all, whether something keeps it so, and how far the store's is from it. */
import { exists } from '../../hwdetect/read.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';

/** This program is younger. */
const PLAUSIBLE_FROM_MS = Date.UTC(2025, 0, 1);
/** And will have been replaced. */
const PLAUSIBLE_TO_MS = Date.UTC(2060, 0, 1);
/** A Date header has whole seconds, and the answer some way to go. */
const SKEW_MS = 60_000;

/** What tells that a time service runs, and the file that it keeps while the clock is right. */
const services = [
  ['/run/systemd/timesync', '/run/systemd/timesync/synchronized'],
  ['/run/chrony/chronyd.pid', '/run/chrony/chronyd.pid'],
  ['/run/chronyd.pid', '/run/chronyd.pid'],
  ['/run/ntpd.pid', '/run/ntpd.pid'],
  ['/run/ntpsec/ntpd.pid', '/run/ntpsec/ntpd.pid'],
] as const;

export const clockCheck: Check = {
  name: 'clock',
  deadlineMs: 20_000,
  async run({ host, store }) {
    const nowMs = host.wallMs();
    const findings: Finding[] = [];
    const now = new Date(nowMs).toISOString();
    if (nowMs < PLAUSIBLE_FROM_MS || nowMs > PLAUSIBLE_TO_MS) {
      findings.push(finding('clock.implausible', `it is ${now} here`));
    }
    const found = await Promise.all(
      services.map(async ([service, mark]) => ({
        runs: await exists(host.sysRoot, service),
        isRight: await exists(host.sysRoot, mark),
      })),
    );
    // Where nothing of the kind is seen the host may keep the clock (containers, small virtual machines): nothing to say.
    const running = found.filter(({ runs }) => runs);
    if (running.length > 0 && !running.some(({ isRight }) => isRight)) {
      findings.push(finding('clock.not-synchronised', 'systemd-timesyncd has not reached a time server'));
    }
    const knock = await store?.knock().catch(() => undefined);
    if (knock?.dateMs === undefined) return { summary: now, findings };
    const skewMs = knock.dateMs - knock.askedWallMs;
    const seconds = Math.round(Math.abs(skewMs) / 1000);
    if (Math.abs(skewMs) > SKEW_MS) {
      const which = skewMs > 0 ? 'behind' : 'before';
      findings.push(finding('clock.skewed', `this machine's clock is ${seconds} s ${which} the store's`));
    }
    return { summary: `${now}, ${seconds} s from the store's`, findings };
  },
};
