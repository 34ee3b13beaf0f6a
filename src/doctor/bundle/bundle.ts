/**
 * `--bundle FILE`: what somebody who helps wants to see, in one archive: the report, the settings, the machine, what the mount
 * says of itself, the end of its log, run files, mounts, last words, the newest diagnostic report.
 *
 * No secrets: every entry goes through redact.ts, by field names where it is data, and by pattern and known values line by line in
 * any case; of the environment only names are told, and values of a few that are no secrets. Diagnostic reports lose their
 * environment and command line. Keys, bucket names and paths stay: they are what the question is about; the list of entries
 * is printed so that the user can look first.
 * The file is 0600 and new: an existing one is not replaced.
 */
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { codeOrName } from '../../base/thrown.js';
import { CommandError } from '../../main/command-error.js';
import { EXIT_FAILURE } from '../../main/exit-codes.js';
import { redactFields, registerEnvironmentSecrets, registerSecret, scrubText } from '../../main/redact.js';
import type { Owner } from '../../main/state-directory.js';
import { runtimeSearchPath, stateCandidates } from '../../main/state-directory.js';
import type { Examined } from '../examine.js';
import { diagnosticReports } from '../left/reports.js';
import { factsOf, namesIn } from '../left/runtime-files.js';
import { isSystemLog, journalLines, lastLogLines } from '../mount/log-tail.js';
import { environmentOf } from '../mount/ask-mount.js';
import { makeTar, type TarEntry } from './tar.js';

/** Of one file that is packed. */
const FILE_BYTES_MAX = 1024 * 1024;
const RUN_FILES_MAX = 64;
const LOGS_MAX = 4;

/** Variables whose values are no secret and explain much. */
const shownVariables =
  /^(AWS_(REGION|DEFAULT_REGION|PROFILE|ENDPOINT_URL.*|CA_BUNDLE|CONFIG_FILE|SHARED_CREDENTIALS_FILE|MAX_ATTEMPTS|RETRY_MODE|EC2_METADATA_.*|USE_.*)|(HTTPS?|ALL|NO)_PROXY|XDG_.*|TMPDIR|HOME|NODE_OPTIONS|UV_THREADPOOL_SIZE|MOUNT_S3X_.*|CONTAINER|KUBERNETES_SERVICE_HOST)$/i;

/** Writes the archive; the names of what is in it. Throws CommandError. */
export async function writeBundle(file: string, examined: Examined, owner: Owner): Promise<string[]> {
  const entries = await gather(examined, owner);
  const bytes = gzipSync(makeTar(entries, examined.report.wallMs));
  let fd: number;
  try {
    fd = openSync(file, 'wx', 0o600);
  } catch (error) {
    const code = codeOrName(error);
    const remedy = code === 'EEXIST' ? 'name another file, or delete it first' : 'name a file in a directory of yours';
    throw new CommandError(EXIT_FAILURE, `${file} cannot be written (${code})`, remedy);
  }
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return entries.map(({ name }) => name);
}

/** The entries, without secrets. */
export async function gather(examined: Examined, owner: Owner): Promise<TarEntry[]> {
  const { report, config, hardware, sizing, mount } = examined;
  const env = (mount?.run && environmentOf(mount.run.pid)) ?? owner.env;
  registerEnvironmentSecrets(env);
  registerSecretVariables(env);
  const entries: TarEntry[] = [];
  const add = (name: string, text: string): void => {
    entries.push({ name: `mount-s3x-doctor/${name}`, text: text.split('\n').map(scrubText).join('\n') });
  };
  const addData = (name: string, data: object): void => add(name, `${JSON.stringify(redactDeep(data), null, 2)}\n`);

  addData('doctor.json', report);
  addData('config.json', config);
  addData('environment.json', environmentNames(env));
  addData('hwinfo.json', { profile: hardware, sizing });
  add('versions.txt', versions(report.versions.mountS3x));
  add('mounts.txt', read('/proc/self/mountinfo'));
  if (mount?.stats !== undefined) addData('stats.json', mount.stats);
  if (typeof mount?.explanation === 'object' && mount.explanation !== null) {
    addData('explain.json', mount.explanation);
  }
  if (isSystemLog(mount?.run?.log)) {
    add('log/journal.log', ((await journalLines([])) ?? ['there is no journal to be read']).join('\n') + '\n');
  }
  for (const path of await logFiles(mount?.run?.log, owner)) {
    const lines = await lastLogLines(path);
    add(`log/${basename(path).slice(-60)}`, lines.map(({ text }) => text).join('\n') + '\n');
  }
  add('run-files.txt', await runFiles(owner));
  const wallMs = (): number => report.wallMs;
  const [newest] = await diagnosticReports(examined.reportDirectories, { owner, wallMs });
  if (newest !== undefined) add('report.json', withoutEnvironment(read(newest.name)));
  return entries;
}

/**
 * redactFields looks 6 levels deep and shows 64 elements, which is right for a log line; here nothing is left out, so each level
 * is handed to it by itself.
 */
function redactDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each: unknown) => redactDeep(each));
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) {
    const isPlain = typeof inner !== 'object' || inner === null;
    const shown = redactFields({ [name]: isPlain ? (inner as unknown) : 'x' })[name];
    result[name] = isPlain || shown !== 'x' ? shown : redactDeep(inner);
  }
  return result;
}

/** Names of all, values of the harmless ones. */
function environmentNames(env: NodeJS.ProcessEnv): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(env).sort(([one], [other]) => (one < other ? -1 : 1))) {
    result[name] = shownVariables.test(name) ? (value ?? '') : '[set]';
  }
  return result;
}

/** Whatever has a name that says so: proxies' passwords, other programs' tokens. */
function registerSecretVariables(env: NodeJS.ProcessEnv): void {
  for (const [name, value] of Object.entries(env)) {
    if (/(secret|password|passwd|token|credential|private|api_?key|passphrase)/i.test(name)) registerSecret(value);
  }
}

function versions(mountS3x: string): string {
  const { versions: of } = process;
  return [
    `mount-s3x ${mountS3x}`,
    `node ${of.node}, v8 ${of.v8}, uv ${of.uv}, openssl ${of.openssl}`,
    read('/proc/version').trim(),
    read('/etc/os-release').trim(),
    '',
  ].join('\n');
}

async function logFiles(log: string | undefined, owner: Owner): Promise<string[]> {
  if (log !== undefined) return log.startsWith('/') ? [log] : [];
  const files: string[] = [];
  for (const directory of stateCandidates(owner)) {
    for (const name of await namesIn(directory)) if (name.endsWith('.log')) files.push(join(directory, name));
  }
  return files.slice(0, LOGS_MAX);
}

function read(path: string): string {
  try {
    const bytes = readFileSync(path);
    return bytes.toString('utf8', 0, FILE_BYTES_MAX);
  } catch (error) {
    return `cannot be read: ${codeOrName(error)}\n`;
  }
}

/** Run files and last words, newest first, each below its path. */
async function runFiles(owner: Owner): Promise<string> {
  const found: { readonly path: string; readonly atMs: number }[] = [];
  for (const directory of runtimeSearchPath(owner)) {
    for (const name of await namesIn(directory)) {
      if (!/\.(json|stderr)$/.test(name)) continue;
      const path = join(directory, name);
      const facts = await factsOf(path, owner);
      if (facts !== undefined && facts.bytes > 0) found.push({ path, atMs: facts.atMs });
    }
  }
  found.sort((one, other) => other.atMs - one.atMs);
  return found
    .slice(0, RUN_FILES_MAX)
    .map(({ path, atMs }) => `== ${path} ${new Date(atMs).toISOString()}\n${read(path)}`)
    .join('\n');
}

/** A diagnostic report holds the whole environment and the command line. */
function withoutEnvironment(text: string): string {
  try {
    const report: unknown = JSON.parse(text);
    if (typeof report !== 'object' || report === null) return '';
    const { environmentVariables: _environment, ...rest } = report as Record<string, unknown>;
    return `${JSON.stringify(redactDeep(rest), null, 2)}\n`;
  } catch {
    // Cut off, or none: lines of it may be anything.
    return 'not shown: it is no whole report\n';
  }
}
