/**
 * Starts a server and a mount and lets operations.py loose on it beside a local directory: whatever it does must come out
 * the same. At the end the mount is taken down and the bucket is read over S3 and compared, too.
 * MODEL_SEED repeats one seed, MODEL_OPERATIONS says how many operations.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { runPython } from '../e2e/support/python.js';
import { storeView } from '../e2e/support/store-view.js';
import { startMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';

const BUCKET = 'model';

export interface ModelPlan {
  readonly seed: number;
  readonly operations: number;
  readonly flags?: readonly string[];
}

/** Start-up, shrinking and a slow machine; an operation takes 1-5 ms (measured). */
const SHRINK_SECONDS = 90;
const OPERATION_KILL_MS = 60;
const START_KILL_MS = 120_000 + SHRINK_SECONDS * 1000;

/** The plans as they are, or the one that the environment asks for. */
export function plansOf(seeds: readonly number[], operations: number): ModelPlan[] {
  const count = Number(process.env['MODEL_OPERATIONS'] ?? operations);
  const one = process.env['MODEL_SEED'];
  return (one === undefined ? seeds : [Number(one)]).map((seed) => ({ seed, operations: count }));
}

export async function runModel(t: Test, python: string, plan: ModelPlan): Promise<void> {
  t.comment(`seed ${plan.seed}, ${plan.operations} operations`);
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-model-'));
  t.teardown(() => rmSync(work, { recursive: true, force: true }));
  const reference = join(work, 'reference');
  mkdirSync(reference);
  const server = await startBuiltinProcess({ buckets: [BUCKET] });
  t.teardown(() => server.stop());
  const flags = ['--spool-dir', join(work, 'spool'), '--memory-target', '384', ...(plan.flags ?? [])];
  const mount = await startMount(server, { bucket: BUCKET, flags });
  t.teardown(() => mount.stop());
  const log = join(work, 'operations.jsonl');
  const args = [mount.path, reference, String(plan.seed), String(plan.operations)];
  const lines: string[] = [];
  // What the mount said before, and what the bucket holds, when they first differ: shrinking writes much more.
  let found: Promise<{ log: string; keys: string[] }> | undefined;
  const look = async (): Promise<{ log: string; keys: string[] }> => {
    const before = mount.log().slice(-6000);
    const view = storeView(server, BUCKET);
    const keys = await view.keys('tree/');
    view.close();
    return { log: before, keys: [...keys.keys()] };
  };
  const done = await runPython(
    python,
    '../../model/operations.py',
    [...args, '--log', log, '--shrink', String(SHRINK_SECONDS)],
    {
      killMs: START_KILL_MS + plan.operations * OPERATION_KILL_MS,
      onLine: (line) => {
        if (line.startsWith('{"finding"')) found ??= look();
        lines.push(line);
      },
    },
  );
  t.comment(lines.at(-1) ?? 'no output');
  if (done.code !== 0) {
    const last = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-5);
    t.fail('the mount and the local directory differ', {
      lines,
      ...(lines.length === 0 && { last, stderr: done.stderr.slice(-2000) }),
      timedOut: done.timedOut,
      signal: done.signal,
      ...(await found),
    });
    return;
  }
  await mount.stop();
  const store = storeView(server, BUCKET);
  t.teardown(() => store.close());
  const wrong: string[] = [];
  const keys = await store.keys('tree/');
  const wanted = treeOf(join(reference, 'tree'), 'tree/');
  for (const key of keys.keys()) {
    if (!key.endsWith('/') && !wanted.has(key)) wrong.push(`${key} is in the bucket and should not be`);
  }
  for (const [key, path] of wanted) {
    if (path === undefined) {
      if (![...keys.keys()].some((each) => each.startsWith(key))) wrong.push(`directory ${key} is not in the bucket`);
      continue;
    }
    const body = await store.get(key);
    if (!body) wrong.push(`${key} is not in the bucket`);
    else if (!body.equals(readFileSync(path))) wrong.push(`${key} has other bytes in the bucket (${body.length})`);
  }
  t.same(wrong, [], 'the bucket, read over S3, agrees');
  t.same(await store.uploads(), [], 'no upload is left open');
}

/** Key → file of the reference; undefined for a directory. */
function treeOf(path: string, prefix: string): Map<string, string | undefined> {
  const found = new Map<string, string | undefined>([[prefix, undefined]]);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isFile()) found.set(prefix + entry.name, join(path, entry.name));
    else for (const [key, file] of treeOf(join(path, entry.name), `${prefix}${entry.name}/`)) found.set(key, file);
  }
  return found;
}
