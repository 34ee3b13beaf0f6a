/**
 * The machine that the test runs on, as it is, under taskset, and in a control group with a CPU quota and a memory limit
 * (version 2 where it has the controllers, else version 1). What cannot be set up here is skipped with the reason.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { MIB } from '../../src/base/units.js';
import { countCpuList, parseCpuList } from '../../src/hwdetect/cpu-list.js';
import type { HardwareProfile } from '../../src/hwdetect/profile.js';

/** This file runs as dist/test/hwdetect/this-machine.test.js. */
const cli = fileURLToPath(new URL('../../bin/mount-s3x.js', import.meta.url));
const ANSWER_WAIT_MS = 30_000;

interface Answer {
  readonly profile: HardwareProfile;
  readonly sizing: { readonly netThreads: number; readonly memoryTargetBytes: number };
}

/** hwinfo --json of a process that is started so; `before` and the command line of hwinfo make one command. */
function hwinfo(before: readonly string[]): Answer {
  const [program = process.execPath, ...args] = [...before, process.execPath, cli, 'hwinfo', '--json'];
  const env = { ...process.env, AWS_EC2_METADATA_DISABLED: 'true' };
  return JSON.parse(execFileSync(program, args, { encoding: 'utf8', timeout: ANSWER_WAIT_MS, env })) as Answer;
}

const allowed = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';

t.test('as it is', (t) => {
  const { profile } = hwinfo([]);
  t.ok(profile.cores.value > 0 && profile.cores.value <= (countCpuList(allowed) ?? 0));
  t.ok(profile.memoryLimitBytes.value > 0);
  t.match(profile.memoryLimitBytes.source, /^\//);
  t.match(profile.kernel.release.value, /^\d+\.\d+/);
  t.equal(
    profile.limits.openFilesMax.value !== undefined || /unlimited/.test(profile.limits.openFilesMax.source),
    true,
  );
  t.end();
});

t.test('under taskset', { skip: spawnSync('taskset', ['-V']).status === 0 ? false : 'there is no taskset' }, (t) => {
  const [cpu] = parseCpuList(allowed) ?? [];
  const { profile, sizing } = hwinfo(['taskset', '-c', String(cpu)]);
  t.equal(profile.cpu.allowed.value, String(cpu));
  t.equal(profile.cores.value, Math.min(1, profile.cpu.quotaCores.value ?? 1));
  t.equal(sizing.netThreads, 1);
  t.end();
});

/** Directories of a control group's controllers for this test, by what to write where; a reason where there are none. */
function groupFolders(): { readonly cpu: string; readonly memory: string; readonly version: 1 | 2 } | string {
  if (process.getuid?.() !== 0) return 'making a control group needs root';
  const name = `mount-s3x-test-${process.pid}`;
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const version1 = (controller: string): string | undefined =>
    mounts
      .map((line) => line.split(' '))
      .find((fields) => fields.includes('cgroup') && (fields.at(-1) ?? '').split(',').includes(controller))?.[4];
  const version2 = mounts.map((line) => line.split(' ')).find((fields) => fields.includes('cgroup2'))?.[4];
  if (version2 !== undefined) {
    const has = readFileSync(join(version2, 'cgroup.controllers'), 'utf8').split(/\s+/);
    if (has.includes('cpu') && has.includes('memory')) {
      const folder = join(version2, name);
      return { cpu: folder, memory: folder, version: 2 };
    }
  }
  const [cpu, memory] = [version1('cpu'), version1('memory')];
  if (cpu === undefined || memory === undefined) return 'no control groups with cpu and memory are mounted';
  // Below our own group of memory: it may be all that we see of the hierarchy.
  const own = /^\d+:memory:(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  return {
    cpu: join(cpu, name),
    memory: join(existsSync(join(memory, own)) ? join(memory, own) : memory, name),
    version: 1,
  };
}

t.test('in a control group with 0.75 cores and 700 MiB', (t) => {
  const folders = groupFolders();
  if (typeof folders === 'string') {
    t.comment(`skipped: ${folders}`);
    t.end();
    return;
  }
  const { cpu, memory, version } = folders;
  const made: string[] = [];
  t.teardown(() => made.forEach((folder) => rmdirSync(folder)));
  try {
    for (const folder of new Set([cpu, memory])) {
      mkdirSync(folder);
      made.push(folder);
    }
    if (version === 2) {
      writeFileSync(join(cpu, 'cpu.max'), '75000 100000');
      writeFileSync(join(memory, 'memory.max'), String(700 * MIB));
    } else {
      writeFileSync(join(cpu, 'cpu.cfs_period_us'), '100000');
      writeFileSync(join(cpu, 'cpu.cfs_quota_us'), '75000');
      writeFileSync(join(memory, 'memory.limit_in_bytes'), String(700 * MIB));
    }
  } catch (error) {
    t.comment(`skipped: control groups cannot be changed here: ${String(error)}`);
    t.end();
    return;
  }
  t.comment(`control groups of version ${version}`);
  const enter = `for folder in "$@"; do echo $$ > "$folder/cgroup.procs"; done; exec "$0" ${JSON.stringify(cli)} hwinfo --json`;
  const { status, stdout, stderr } = spawnSync('sh', ['-c', enter, process.execPath, ...made], {
    encoding: 'utf8',
    timeout: ANSWER_WAIT_MS,
    env: { ...process.env, AWS_EC2_METADATA_DISABLED: 'true' },
  });
  t.equal(status, 0, stderr);
  const { profile, sizing } = JSON.parse(stdout) as Answer;
  t.equal(profile.cores.value, Math.min(0.75, availableParallelism()));
  t.match(profile.cores.source, version === 2 ? /cpu\.max$/ : /cpu\.cfs_quota_us$/);
  t.equal(profile.memoryLimitBytes.value, 700 * MIB);
  t.match(profile.memoryLimitBytes.source, version === 2 ? /memory\.max$/ : /memory\.limit_in_bytes$/);
  t.ok((profile.memoryAvailableBytes.value ?? Infinity) <= 700 * MIB);
  t.equal(sizing.netThreads, 1);
  t.equal(sizing.memoryTargetBytes, 350 * MIB, 'half of it');
  t.end();
});
