/**
 * The short form of the soak (`npm run soak` is the long one): a minute of everything at once beside a store that fails now
 * and then and credentials that last 25 seconds. No call fails, all bytes are right, descriptors and threads do not grow.
 * A minute says little about memory: it must stay below the target's sum, the slope is the long form's business.
 */
import t from 'tap';
import { whyNoMount } from '../../support/mount.js';
import { findPython } from '../support/python.js';
import { runSoak } from './run-soak.js';
import { soakVerdict, type Sample } from './verdict.js';

const MIB = 1024 * 1024;
const SECONDS = 60;
const MEMORY_TARGET_MIB = 384;
/** What may be resident beyond the target: heaps between two looks of the governor, and the supervisor. */
const BEYOND_MIB = 150;

t.setTimeout(300_000);

t.test('verdict', (t) => {
  const samples = (memory: (at: number) => number, descriptors: (at: number) => number): Sample[] =>
    Array.from({ length: 100 }, (_, at) => ({
      ...{ seconds: at, residentBytes: memory(at), descriptors: descriptors(at), threads: 20, processes: 2 },
    }));
  const flat = (): number => 100 * MIB;
  t.same(soakVerdict(samples(flat, () => 50)).findings, []);
  t.match(
    soakVerdict(
      samples(
        (at) => (100 + at / 4) * MIB,
        () => 50,
      ),
    ).findings,
    [/memory grew from 103 to 122 MiB/],
  );
  t.match(soakVerdict(samples(flat, (at) => 50 + at)).findings, [/descriptors grew/]);
  t.same(
    soakVerdict(
      samples(
        (at) => (100 + (at % 10)) * MIB,
        (at) => 50 + (at % 7),
      ),
    ).findings,
    [],
  );
  t.end();
});

const noMount = whyNoMount();
const python = findPython();
if (noMount !== undefined || python === undefined) {
  t.pass('soak', { skip: noMount ?? 'no python3' });
} else {
  t.test('a minute of everything', async (t) => {
    const seed = Date.now() % 1_000_000;
    t.comment(`seed ${seed}`);
    const result = await runSoak({
      ...{ python, seconds: SECONDS, warmUpSeconds: 15, rotateSeconds: 10, seed },
      ...{ memoryTargetMib: MEMORY_TARGET_MIB, largeFiles: 8, largeBytes: 24 * MIB },
      say: (line) => t.comment(line),
    });
    t.same(result.faults, [], 'nobody saw an error or a wrong byte', { log: result.log });
    t.ok(result.faultsInjected > 20, `${result.faultsInjected} faults were injected`);
    t.ok(result.rotations >= 5, `${result.rotations} credentials were given out`);
    for (const [role, counts] of Object.entries(result.counts)) {
      t.ok((counts?.done ?? 0) > 0, `${role} worked: ${JSON.stringify(counts)}`);
    }
    const beyond = result.verdict.findings.filter((finding) => !finding.startsWith('memory'));
    t.same(beyond, [], 'no growth of descriptors, threads and processes');
    const most = Math.max(...result.samples.map((sample) => sample.residentBytes)) / MIB;
    t.ok(most <= MEMORY_TARGET_MIB + BEYOND_MIB, `${most.toFixed(0)} MiB at most`);
    t.notOk(result.leftOver, 'nothing is left');
    t.comment(
      `slowest call ${result.slowestSeconds.toFixed(1)} s, growth ${(result.verdict.growth * 100).toFixed(1)} %`,
    );
  });
}
