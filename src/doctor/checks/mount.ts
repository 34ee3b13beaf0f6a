/** The health of the mount that was named: by its own word (control socket), and the end of its log. */
import { counted, formatBytes, MIB } from '../../base/units.js';
import { chiefOf, processesOf } from '../../main/run-file.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';
import { isSystemLog, lastLogLines } from '../mount/log-tail.js';

/** The kernel counts pages that are about to be given back, too; above the target by more is worth a word. */
const OVER_SHARE = 1.1;
/** pino's number of `error`. */
const LEVEL_ERROR = 50;

export const mountCheck: Check = {
  name: 'mount',
  deadlineMs: 15_000,
  applies: ({ mount }) => mount !== undefined,
  async run({ host, mount }) {
    if (mount === undefined) return { summary: '', findings: [] };
    const { directory, stats, run } = mount;
    if (!mount.isMounted) {
      const found = `nothing of mount-s3x is mounted at ${directory}`;
      return { summary: 'not mounted', findings: [finding('mount.none', found, { directory })] };
    }
    const findings: Finding[] = [];
    const log = run?.log ?? '';
    const unit = run === undefined ? undefined : await host.oomPolicy(chiefOf(run).pid);
    if (unit !== undefined && unit.policy !== 'continue' && run?.supervisor !== undefined) {
      findings.push(finding('mount.oom-policy', `${unit.unit} has OOMPolicy=${unit.policy}`, { unit: unit.unit }));
    }
    if (run !== undefined && run.supervisor === undefined) {
      findings.push(finding('mount.unsupervised', `${directory} is served by process ${run.pid} alone`));
    }
    const generation = stats?.mount.generation ?? 0;
    if (generation > 0) {
      const found = `daemon number ${generation + 1} of this mount serves it`;
      findings.push(finding('mount.restarted', found, { log }));
    }
    if (stats === undefined) {
      findings.push(finding('mount.not-asked', `the mount at ${directory} does not answer questions`, { directory }));
    } else {
      const { memory, waiting, network } = stats;
      const mib = Math.round(memory.targetBytes / MIB);
      if (waiting.readsForRoom + waiting.writersForRoom > 0) {
        const found = `${waiting.readsForRoom} reads and ${waiting.writersForRoom} writes wait for memory`;
        findings.push(finding('mount.waiting', found, { mib }));
      }
      if (memory.residentBytes > OVER_SHARE * memory.targetBytes) {
        const found = `${formatBytes(memory.residentBytes)} are resident, the target is ${formatBytes(memory.targetBytes)}`;
        const wanted = Math.ceil(memory.peakBytes / MIB / 64) * 64;
        findings.push(finding('mount.over-memory', found, { directory, mib: wanted }));
      }
      if (network.silentThreads > 0) {
        findings.push(finding('mount.threads-silent', `${network.silentThreads} net threads do not answer`));
      }
      if (network.slowDowns > 0) {
        const found = `${network.slowDowns} of ${network.requests} requests since it began`;
        findings.push(finding('mount.throttled', found, { directory }));
      }
    }
    if (run !== undefined && isSystemLog(log)) {
      const pids = processesOf(run).map(({ pid }) => pid);
      const said = (await host.journalErrors(pids)) ?? [];
      const where = `journalctl -t mount-s3x _PID=${run.pid}`;
      const newest = said.at(-1);
      if (newest !== undefined) {
        const found = `${counted(said.length, 'error')} in the journal: ${newest}`;
        findings.push(finding('mount.log-errors', found, { log: where }));
      }
    }
    const lines = log.startsWith('/') ? await lastLogLines(log) : [];
    const errors = lines.filter(({ level }) => level >= LEVEL_ERROR);
    const last = errors.at(-1);
    if (last !== undefined) {
      const found = `${counted(errors.length, 'error')} in its last ${lines.length} lines: ${last.message}`;
      findings.push(finding('mount.log-errors', found, { log }));
    }
    const who = run === undefined ? '' : ` by process ${run.pid} (${run.version}), log ${log}`;
    return { summary: `${stats?.mount.source ?? run?.source ?? directory} served${who}`, findings };
  },
};
