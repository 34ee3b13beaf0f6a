/**
 * `npm run bench:peers`: this mount beside s3fs on one store, alternating, so that a noisy machine disturbs both sides
 * alike. Prints a table of medians: value, the daemon's CPU seconds per GB, peak memory, and the ratio to s3fs.
 * Usage: node dist/bench/peers.js [--rounds 3] [--tests seq1,seq1d] [--data DIR] [--tls] [--only mount-s3x]
 *        [-- FLAGS FOR mount-s3x]
 * The store is the embedded server, its data set on /dev/shm. Every round of a side starts from a fresh mount.
 * Refuses to compare with a peer that is not installed: that side is left out and said so.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePort } from '../dev/free-port.js';
import { writeBenchDataSet } from './data-set.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dashes = process.argv.indexOf('--');
const ownFlags = dashes >= 0 ? process.argv.slice(dashes + 1) : [];
const { values } = parseArgs({
  args: process.argv.slice(2, dashes >= 0 ? dashes : undefined),
  options: {
    rounds: { type: 'string', default: '3' },
    tests: { type: 'string', default: 'seq1,seq1d,seq4,seq4d' },
    data: { type: 'string', default: '/dev/shm/mount-s3x-bench' },
    only: { type: 'string' },
    tls: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const bucket = 'bench';
const keys = { AWS_ACCESS_KEY_ID: 'bench-key', AWS_SECRET_ACCESS_KEY: 'bench-secret' };
const environment = { ...process.env, ...keys, AWS_REGION: 'us-east-1', AWS_EC2_METADATA_DISABLED: 'true' };

interface Row {
  readonly name: string;
  readonly test: string;
  readonly value: number;
  readonly unit: string;
  readonly cpu_s_per_GB?: number;
  readonly cpu_s: number;
  readonly rss_peak_MiB: number;
  readonly error?: string;
}

interface Side {
  readonly name: string;
  /** Starts the mount in the foreground of a process of its own. */
  start(url: string, mountPoint: string, ca: string | undefined): ChildProcess;
}

const sides: Side[] = [
  {
    name: 'mount-s3x',
    start: (url, mountPoint, ca) =>
      spawn(
        process.execPath,
        [join(root, 'dist/bin/mount-s3x.js'), bucket, mountPoint, '-f', '--no-log', '--endpoint-url', url].concat(
          ['--force-path-style'],
          ca ? ['--ca-bundle', ca] : [],
          ownFlags,
        ),
        { env: environment, stdio: ['ignore', 'ignore', 'inherit'] },
      ),
  },
  {
    name: 's3fs',
    start: (url, mountPoint, ca) => {
      const options = `url=${url},use_path_request_style,parallel_count=16,multipart_size=8,max_stat_cache_size=100000`;
      const env = {
        ...environment,
        AWSACCESSKEYID: keys.AWS_ACCESS_KEY_ID,
        AWSSECRETACCESSKEY: keys.AWS_SECRET_ACCESS_KEY,
      };
      return spawn('s3fs', [bucket, mountPoint, '-f', '-o', options], {
        env: ca ? { ...env, CURL_CA_BUNDLE: ca } : env,
        stdio: ['ignore', 'ignore', 'ignore'],
      });
    },
  },
];

function isMounted(mountPoint: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[4] === mountPoint);
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let waited = 0; waited < 300; waited++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited 15 s for ${what}`);
}

/** A self-signed certificate for 127.0.0.1, by openssl. */
function certificate(directory: string): { cert: string; key: string } {
  const cert = join(directory, 'cert.pem');
  const key = join(directory, 'key.pem');
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  const made = spawnSync('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    key,
    '-out',
    cert,
    ...subject,
  ]);
  if (made.status !== 0) throw new Error('openssl could not make a certificate');
  return { cert, key };
}

async function measure(side: Side, url: string, work: string, ca: string | undefined): Promise<Row[]> {
  const mountPoint = join(work, `mnt-${side.name}`);
  mkdirSync(mountPoint, { recursive: true });
  const child = side.start(url, mountPoint, ca);
  try {
    await until(`the mount of ${side.name}`, () => {
      if (child.exitCode !== null) throw new Error(`${side.name} ended with exit code ${child.exitCode}`);
      return isMounted(mountPoint);
    });
    const bench = spawn(
      'python3',
      [
        join(root, 'bench/mount-bench.py'),
        '--mount',
        mountPoint,
        '--pid',
        String(child.pid),
        '--name',
        side.name,
        '--tests',
        values.tests,
      ],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let out = '';
    bench.stdout.on('data', (piece: Buffer) => (out += piece.toString()));
    await new Promise((resolve) => bench.on('close', resolve));
    return out
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Row);
  } finally {
    spawnSync('umount', [mountPoint]);
    if (isMounted(mountPoint)) spawnSync('umount', ['-l', mountPoint]);
    await until(`the end of ${side.name}`, () => child.exitCode !== null || child.signalCode !== null).catch(() =>
      child.kill('SIGKILL'),
    );
  }
}

function median(numbers: readonly number[]): number {
  const ordered = [...numbers].sort((a, b) => a - b);
  return ordered[Math.floor(ordered.length / 2)] ?? NaN;
}

function table(rows: readonly Row[]): void {
  const names = [...new Set(rows.map((row) => row.name))];
  const of = (name: string, test: string): Row[] =>
    rows.filter((row) => row.name === name && row.test === test && !row.error);
  console.log(['test', ...names.map((name) => `${name} (CPU s/GB; peak MiB)`), 'ratio to s3fs'].join(' | '));
  for (const test of new Set(rows.map((row) => row.test))) {
    const cells = names.map((name) => {
      const own = of(name, test);
      if (own.length === 0) return 'failed';
      const cpu = own.some((row) => row.cpu_s_per_GB !== undefined)
        ? median(own.map((row) => row.cpu_s_per_GB ?? NaN)).toFixed(2)
        : `${median(own.map((row) => row.cpu_s)).toFixed(2)} s`;
      const peak = Math.max(...own.map((row) => row.rss_peak_MiB));
      return `${median(own.map((row) => row.value)).toFixed(1)} ${own[0]?.unit ?? ''} (${cpu}; ${peak})`;
    });
    const ours = median(of('mount-s3x', test).map((row) => row.value));
    const theirs = median(of('s3fs', test).map((row) => row.value));
    const ratio = ours / theirs;
    console.log([test, ...cells, Number.isFinite(ratio) ? `${ratio.toFixed(2)}x` : '-'].join(' | '));
  }
}

async function main(): Promise<void> {
  writeBenchDataSet(join(values.data, bucket));
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-bench-'));
  const port = await freePort();
  const tls = values.tls ? certificate(work) : undefined;
  const url = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  const serverArgs = ['--dir', values.data, '--port', String(port), '--access-key', keys.AWS_ACCESS_KEY_ID];
  serverArgs.push('--secret-key', keys.AWS_SECRET_ACCESS_KEY);
  if (tls) serverArgs.push('--tls-cert', tls.cert, '--tls-key', tls.key);
  const server = spawn(process.execPath, [join(root, 'dist/dev/s3-server/main.js'), ...serverArgs], {
    stdio: 'ignore',
  });
  const rows: Row[] = [];
  try {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const present = sides.filter((side) => {
      if (values.only && side.name !== values.only) return false;
      if (side.name === 'mount-s3x' || ['/usr/bin', '/usr/local/bin'].some((bin) => existsSync(join(bin, side.name))))
        return true;
      console.log(`${side.name} is not installed and left out (Debian package ${side.name})`);
      return false;
    });
    for (let round = 0; round < rounds; round++) {
      // The side that goes first alternates too.
      for (const side of round % 2 === 0 ? present : [...present].reverse()) {
        for (const row of await measure(side, url, work, tls?.cert)) {
          rows.push(row);
          console.log(JSON.stringify({ round: round + 1, ...row }));
        }
      }
    }
    table(rows);
    writeFileSync(join(tmpdir(), 'mount-s3x-bench.json'), JSON.stringify(rows, null, 2));
  } finally {
    server.kill('SIGTERM');
    rmSync(work, { recursive: true, force: true });
  }
}

await main();
