/** The load generator on a plain directory: what it does, what it counts, what it says when something is wrong. */
import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Content, makeContentBase } from '../../src/workload/content.js';
import { doChoreInChild, generate, type GeneratorOptions } from '../../src/workload/generator.js';
import { StepError } from '../../src/workload/lane.js';
import { ProcessMeter } from '../../src/workload/process-meter.js';
import type { FileRef, Lane, StepFailure } from '../../src/workload/steps.js';
import { until } from '../support/until.js';

const directory = mkdtempSync(join(tmpdir(), 'mount-s3x-workload-'));
t.teardown(() => rmSync(directory, { recursive: true, force: true }));
const options: GeneratorOptions = { waitMs: 60_000, signal: new AbortController().signal };

const file = (name: string, bytes: number, contentId: number): FileRef => ({
  path: join(directory, name),
  bytes,
  contentId,
});
const files = [file('a', 3_000_000, 1), file('b', 70_000, 2), file('c', 1, 3)];

function lane(...steps: Lane['steps']): Lane {
  return { group: 'all', steps };
}

async function failureOf(work: Promise<unknown>): Promise<StepFailure> {
  try {
    await work;
  } catch (error) {
    if (error instanceof StepError) return error.failure;
    throw error;
  }
  throw new Error('it did not fail');
}

/** Some file systems refuse O_DIRECT; false when this one has it. */
function whyNoDirect(): string | false {
  const path = join(directory, 'direct');
  writeFileSync(path, '');
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_DIRECT));
    return false;
  } catch (error) {
    return `no O_DIRECT in ${directory}: ${(error as Error).message}`;
  } finally {
    rmSync(path);
  }
}

t.before(async () => {
  await generate({ lanes: [lane({ op: 'write', files, blockBytes: 65_536, isSynced: true })] }, options);
});

t.test('writes the content that it says', (t) => {
  const content = new Content(makeContentBase());
  for (const { path, bytes, contentId } of files) {
    const got = readFileSync(path);
    t.equal(got.length, bytes);
    t.equal(content.firstDifference(contentId, 0, got), undefined, path);
  }
  t.end();
});

t.test('reads and counts, several lanes at once', async (t) => {
  const step = { op: 'read', files, blockBytes: 1_048_576, isDirect: false, isVerified: true } as const;
  const result = await generate({ lanes: [lane(step), lane(step, step)], dropped: [files[0]?.path ?? ''] }, options);
  t.same(
    result.lanes.map(({ bytes, operations, latenciesMs }) => [bytes, operations, latenciesMs.length]),
    [
      [3_070_001, 3, 3],
      [6_140_002, 6, 6],
    ],
  );
  for (const { startMs, endMs } of result.lanes) t.ok(endMs > startMs);
  t.ok(result.generatorCpuSeconds > 0);
  // Kernels before 6.5 do not say what stayed.
  if (result.cached) t.equal(result.cached.lookedAtBytes, 3_000_000);
});

t.test('O_DIRECT reads the odd end of a file', { skip: whyNoDirect() }, async (t) => {
  const step = { op: 'read', files, blockBytes: 1_048_576, isDirect: true, isVerified: true } as const;
  const result = await generate({ lanes: [lane(step)] }, options);
  t.equal(result.lanes[0]?.bytes, 3_070_001);
});

t.test('random places, first bytes, lists', async (t) => {
  const [a] = files;
  if (!a) throw new Error('no file');
  const result = await generate(
    {
      lanes: [
        lane({ op: 'read-at', file: a, offsets: [0, 8192, 4096], blockBytes: 4096, isDirect: false }),
        lane({ op: 'first-byte', files }),
        lane({ op: 'list', path: directory }),
      ],
    },
    options,
  );
  t.same(
    result.lanes.map(({ bytes, operations }) => [bytes, operations]),
    [
      [12_288, 3],
      [3, 3],
      [0, 3],
    ],
  );
});

t.test('a repeated lane goes on until the others have ended', async (t) => {
  const written = Array.from({ length: 200 }, (_, at) => file(`beside-${at}`, 40_000, at));
  const reader: Lane = {
    group: 'readers',
    isRepeated: true,
    steps: [{ op: 'read', files: files.slice(2), blockBytes: 4096, isDirect: false }],
  };
  const writer: Lane = { group: 'writer', steps: [{ op: 'write', files: written, blockBytes: 4096, isSynced: false }] };
  const { lanes } = await generate({ lanes: [reader, writer] }, options);
  t.equal(lanes[1]?.operations, 200);
  t.ok((lanes[0]?.operations ?? 0) > 1, 'more than once through its one file');
  await generate({ lanes: [lane({ op: 'remove', files: written.map(({ path }) => path) })] }, options);
});

t.test('failures name the call, the file and the bytes', async (t) => {
  const read = (wanted: readonly FileRef[]) =>
    generate(
      { lanes: [lane({ op: 'read', files: wanted, blockBytes: 65_536, isDirect: false, isVerified: true })] },
      options,
    );
  const missing = await failureOf(read([file('missing', 1, 1)]));
  t.equal(missing.code, 'ENOENT');
  t.match(missing.path, /missing$/);
  t.match((await failureOf(read([file('b', 70_001, 2)]))).message, /b ends at byte 70000, before the 70001/);
  const spoiled = file('spoiled', 70_000, 2);
  const bytes = readFileSync(join(directory, 'b'));
  bytes[65_600] = (bytes[65_600] ?? 0) ^ 0x10;
  writeFileSync(spoiled.path, bytes);
  t.match((await failureOf(read([spoiled]))).message, /WRONG BYTES: .*spoiled .* first at byte 65600/);
});

t.test('chores', async (t) => {
  const top = join(directory, 'tree');
  await doChoreInChild({ chore: 'make-directories', paths: [top, join(top, 'sub')] }, options);
  t.ok(statSync(join(top, 'sub')).isDirectory());
  writeFileSync(join(top, 'sub', 'one'), 'x');
  writeFileSync(join(top, 'two'), 'yy');
  const { found = [] } = await doChoreInChild({ chore: 'find', path: top, most: 10 }, options);
  t.same(found, [
    { path: join(top, 'two'), bytes: 2 },
    { path: join(top, 'sub', 'one'), bytes: 1 },
  ]);
  const few = await doChoreInChild({ chore: 'find', path: top, most: 1 }, options);
  t.equal(few.found?.length, 1);
  const busy = await failureOf(doChoreInChild({ chore: 'remove-directories', paths: [top] }, options));
  t.equal(busy.code, 'ENOTEMPTY', 'only empty ones go');
  t.ok(((await doChoreInChild({ chore: 'free-space', path: top }, options)).freeBytes ?? 0) > 0);
  t.equal((await failureOf(doChoreInChild({ chore: 'look', path: join(top, 'two') }, options))).code, 'ENOTDIR');
  t.equal((await failureOf(doChoreInChild({ chore: 'look', path: join(top, 'no') }, options))).code, 'ENOENT');
});

t.test('what hangs is given up', async (t) => {
  const fifo = join(directory, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const hanging = { lanes: [lane({ op: 'first-byte', files: [{ path: fifo, bytes: 1, contentId: 0 }] })] };
  const late = await failureOf(generate(hanging, { ...options, waitMs: 500 }));
  t.match(late.message, /nothing came back within/);
  const abort = new AbortController();
  const given = generate(hanging, { ...options, signal: abort.signal });
  setTimeout(() => abort.abort(new Error('enough')), 200);
  await t.rejects(given, /enough/);
  await t.rejects(generate(hanging, { ...options, signal: abort.signal }), /enough/, 'and not begun afterwards');
});

t.test('the meter sees the CPU and the memory of a process and its children', async (t) => {
  mkdirSync(join(directory, 'meter'), { recursive: true });
  const child = spawn(
    'sh',
    ['-c', `node -e "const b=Buffer.alloc(1e8,1);const end=Date.now()+30000;while(Date.now()<end);" ; true`],
    {
      detached: true,
    },
  );
  const meter = new ProcessMeter(child.pid ?? 0);
  const seen = (): number => new ProcessMeter(child.pid ?? 0).stop().peakResidentBytes;
  await until('the child has taken its memory', () => seen() > 1e8);
  const cost = meter.stop();
  process.kill(-(child.pid ?? 0), 'SIGKILL');
  t.ok(cost.cpuSeconds > 0, `${cost.cpuSeconds} s`);
  t.ok(cost.peakResidentBytes > 1e8, `${cost.peakResidentBytes} bytes, its child's included`);
  const gone = new ProcessMeter(2 ** 22);
  t.same(gone.stop(), { cpuSeconds: 0, peakResidentBytes: 0 });
});
