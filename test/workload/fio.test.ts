/** The fio job files beside the benchmark: fio understands them, and they have the workloads' names. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { workloadNames } from '../../src/cli/bench/workloads.js';
import { projectRoot } from '../support/mount.js';

const directory = join(projectRoot, 'bench/fio');
const files = readdirSync(directory).filter((name) => name.endsWith('.fio'));
const hasFio = spawnSync('fio', ['--version']).status === 0;

t.test('parsed by fio', { skip: hasFio ? false : 'fio is not installed (Debian package fio)' }, (t) => {
  for (const name of files) {
    const env = { ...process.env, DIR: '/tmp' };
    const done = spawnSync('fio', ['--parse-only', join(directory, name)], { encoding: 'utf8', env });
    t.equal(done.status, 0, `${name}: ${done.stderr}${done.stdout}`);
  }
  t.end();
});

t.test('each section is a workload', (t) => {
  const sections = files.flatMap((name) =>
    [...readFileSync(join(directory, name), 'utf8').matchAll(/^\[([^\]]+)\]$/gm)].map((match) => match[1] ?? ''),
  );
  const named = sections.filter((section) => section !== 'global' && section !== 'readers' && section !== 'checkpoint');
  for (const section of named) t.ok(workloadNames.includes(section), section);
  // fio reads no directories, and its first byte is not a user's.
  const without = ['ttfb', 'list', 'mixed'];
  t.same(
    workloadNames.filter((name) => !without.includes(name) && !named.includes(name)),
    [],
    'and every workload that fio can do is there',
  );
  t.end();
});
