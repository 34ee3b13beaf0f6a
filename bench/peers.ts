/**
 * `npm run bench:peers`: measures every row of the project's table of aims and prints what each reached, beside s3fs where
 * it is installed and beside bare GETs where the network is the floor. One command, on a fresh machine; what cannot be
 * measured there is named with the reason. Exit code 1 when a floor is missed.
 * The parts: options, stores (the embedded server, HTTPS, distance), sides (who is measured), rows (what), run, report.
 */
import { writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { runsWithUserDevFuse } from '../test/support/user-dev-fuse.js';
import { writeBenchDataSet, writeManyKeys } from './data-set.js';
import { touchLine, touchMemory } from './peers/memory-touch.js';
import { HELP, readOptions, type BenchOptions } from './peers/options.js';
import { reportRow } from './peers/report.js';
import { rows, selectRows } from './peers/rows.js';
import { SceneTools } from './peers/scene-tools.js';
import { scenes, type Scene } from './peers/scenes.js';
import type { Verdict } from './peers/floors.js';
import { measureRow, whyNoRow, type RowResult } from './peers/run.js';
import { BUCKET, MANY_BUCKET, Stores } from './peers/stores.js';

/** Enough to see what a page costs that was free for a while. */
const TOUCH_BYTES = 1024 ** 3;

async function main(options: BenchOptions): Promise<void> {
  // Scenes compare several mounts each and take long: only when they are asked for.
  const named = options.rows.filter((name) => name.startsWith('sched'));
  const others = options.rows.filter((name) => !name.startsWith('sched'));
  const playing = scenes.filter((scene) => named.some((name) => scene.name.startsWith(name)));
  if (named.length > 0 && playing.length === 0) throw new Error(`no such row: ${named.join(', ')}`);
  const selected = named.length > 0 && others.length === 0 ? [] : selectRows(others);
  // Rows of one store follow each other: the server is started anew for each kind.
  const leftOut: string[] = [];
  const results: RowResult[] = [];
  const states = { ok: 0, FAIL: 0, open: 0 };
  const stores = new Stores(options);
  // Ctrl-C: what was measured so far is reported.
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  if (options.warmMemoryGib > 0) touchMemory(options.warmMemoryGib * 1024 ** 3);
  const touchBeforeUs = touchMemory(TOUCH_BYTES);
  try {
    writeBenchDataSet(join(options.data, BUCKET));
    for (const row of selected) {
      if (stop.signal.aborted) {
        leftOut.push(`${row.name}: interrupted`);
        continue;
      }
      const why = whyNoRow(row, options);
      if (why !== undefined) {
        leftOut.push(`${row.name}: ${why}`);
        continue;
      }
      if (row.many) writeManyKeys(join(options.data, MANY_BUCKET));
      const result = await measureRow(row, await stores.use(row.store), options, stop.signal);
      if (result.figures.sides().length > 0) results.push(result);
      leftOut.push(...result.leftOut);
    }
    for (const scene of playing) {
      if (stop.signal.aborted) leftOut.push(`${scene.name}: interrupted`);
      else states[await play(scene, new SceneTools(options, await stores.use('plain')))]++;
    }
  } finally {
    await stores.close();
  }
  const machine = `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), Linux ${release()}, Node ${process.version}`;
  console.log(`\n${machine}; medians of ${options.rounds}; --memory-target ${options.memoryTargetMib}`);
  console.log(`${touchLine(touchBeforeUs, touchMemory(TOUCH_BYTES))}\n`);
  for (const result of results) {
    const { lines, state } = reportRow(result, options.memoryTargetMib);
    states[state]++;
    console.log(lines.join('\n'));
  }
  for (const reason of leftOut) console.log(`left out: ${reason}`);
  console.log(
    `\n${states.ok} rows hold, ${states.FAIL} do not, ${states.open} are open, of ${rows.length + scenes.length}`,
  );
  const samples = results.flatMap(({ row, figures }) =>
    figures.sides().map((side) => ({ row: row.name, side, samples: figures.of(side) })),
  );
  writeFileSync(join(tmpdir(), 'mount-s3x-bench.json'), JSON.stringify(samples, null, 2));
  if (states.FAIL > 0) process.exitCode = 1;
}

/** One scene of the scheduler, with its verdicts at once. */
async function play(scene: Scene, tools: SceneTools): Promise<Verdict['state']> {
  console.log(`\n${scene.name}`);
  try {
    const verdicts = await scene.measure(tools, (line) => console.log(`  ${line}`));
    for (const { text } of verdicts) console.log(`${scene.name}: ${text}`);
    if (verdicts.some(({ state }) => state === 'FAIL')) return 'FAIL';
    return verdicts.some(({ state }) => state === 'open') ? 'open' : 'ok';
  } catch (error) {
    console.log(`${scene.name}: failed: ${error instanceof Error ? error.message : String(error)}`);
    return 'FAIL';
  } finally {
    await tools.close();
  }
}

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options.help) process.stdout.write(HELP);
  else if (options.list) console.log([...rows, ...scenes].map(({ name }) => name).join('\n'));
  else if (runsWithUserDevFuse(import.meta.url, process.argv.slice(2))) await main(options);
} catch (error) {
  console.error(`bench:peers: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
