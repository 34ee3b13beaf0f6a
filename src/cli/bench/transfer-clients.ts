/**
 * The programs that people use instead of a mount: `aws s3 cp` with its classic and its CRT client, and boto3 with both. Found on this
 * machine by asking them for their versions; what is not there is told with the reason, not installed. Each is given the
 * endpoint, region and profile that the mount was given; credentials come from the environment as always.
 * Refuses to change the user's configuration: the CLI's choice of client is set in a copy.
 */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { StoreOptions } from '../../engine/api.js';
import { ProcessMeter, type ProcessCost } from '../../workload/process-meter.js';

/** A version is told within a second; a Python on a cold disk takes some. */
const ASK_WAIT_MS = 20_000;
const COMPLAINT_CHARS_MAX = 2000;

export interface TransferClient {
  readonly name: string;
  /** `aws-cli/2.15.0` */
  readonly describe: string;
  /** The command that copies between a local directory and keys below `prefix`. */
  command(
    direction: 'upload' | 'download',
    directory: string,
    prefix: string,
    names: readonly string[],
  ): readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

export interface FoundClients {
  readonly clients: readonly TransferClient[];
  /** What was not found, and why. */
  readonly missing: readonly string[];
}

export interface CommandCost extends ProcessCost {
  readonly seconds: number;
}

/** Looks for clients. `scratch` is a directory for copies of configuration. */
export async function findClients(
  store: StoreOptions,
  env: NodeJS.ProcessEnv,
  scratch: string,
  signal: AbortSignal,
): Promise<FoundClients> {
  const clients: TransferClient[] = [];
  const missing: string[] = [];
  const aws = await ask(['aws', '--version'], env, signal);
  const version = /aws-cli\/(\d+)\.\S*/.exec(aws ?? '');
  if (version === null) missing.push('aws s3 cp: the AWS CLI is not installed');
  else {
    clients.push(await cliClient('aws-classic', 'classic', version[0], store, env, scratch, signal));
    if (Number(version[1]) >= 2)
      clients.push(await cliClient('aws-crt', 'crt', version[0], store, env, scratch, signal));
    else missing.push(`aws s3 cp with CRT: ${version[0]} has no CRT client, version 2 has`);
  }
  const python = env['PYTHON'] ?? 'python3';
  const boto3 = (await ask([python, '-c', boto3Probe], env, signal))?.trim().split(' ');
  if (boto3?.[0] === undefined || boto3[0] === '')
    missing.push(`boto3: ${python} cannot import it (PYTHON names another)`);
  else {
    clients.push(boto3Client('boto3-classic', 'classic', boto3[0], python, store, env));
    if (boto3[1] === 'crt') clients.push(boto3Client('boto3-crt', 'crt', boto3[0], python, store, env));
    else missing.push(`boto3 with CRT: awscrt is not installed beside boto3 ${boto3[0]} (pip install "boto3[crt]")`);
  }
  return { clients, missing };
}

async function cliClient(
  name: string,
  transferClient: 'classic' | 'crt',
  describe: string,
  store: StoreOptions,
  env: NodeJS.ProcessEnv,
  scratch: string,
  signal: AbortSignal,
): Promise<TransferClient> {
  const config = join(scratch, `${name}.config`);
  const own = env['AWS_CONFIG_FILE'] ?? join(env['HOME'] ?? homedir(), '.aws/config');
  if (existsSync(own)) copyFileSync(own, config);
  const changed = { ...env, AWS_CONFIG_FILE: config, AWS_PAGER: '' };
  const profile = store.profile === undefined ? [] : ['--profile', store.profile];
  const settings = [
    ['s3.preferred_transfer_client', transferClient],
    ...(store.forcePathStyle ? [['s3.addressing_style', 'path']] : []),
  ];
  for (const setting of settings) await ask(['aws', 'configure', 'set', ...setting, ...profile], changed, signal);
  const flags = [
    ...(store.endpointUrl === undefined ? [] : ['--endpoint-url', store.endpointUrl]),
    ...(store.region === undefined ? [] : ['--region', store.region]),
    ...(store.caBundle === undefined ? [] : ['--ca-bundle', store.caBundle]),
    ...(store.anonymous ? ['--no-sign-request'] : []),
    ...(store.requesterPays ? ['--request-payer', 'requester'] : []),
    ...profile,
  ];
  return {
    name,
    describe,
    env: changed,
    command: (direction, directory, prefix) => {
      const remote = `s3://${store.bucket}/${prefix}`;
      const places = direction === 'upload' ? [directory, remote] : [remote, directory];
      return ['aws', 's3', 'cp', '--recursive', '--only-show-errors', ...places, ...flags];
    },
  };
}

function boto3Client(
  name: string,
  transferClient: 'classic' | 'crt',
  version: string,
  python: string,
  store: StoreOptions,
  env: NodeJS.ProcessEnv,
): TransferClient {
  return {
    name,
    describe: `boto3 ${version}, ${transferClient === 'crt' ? "s3transfer's CRT client" : '16 threads'}`,
    env,
    command: (direction, directory, prefix) => {
      const { bucket, endpointUrl, region, profile, forcePathStyle, anonymous, caBundle } = store;
      const wish = {
        direction,
        directory,
        prefix,
        bucket,
        endpointUrl,
        region,
        profile,
        forcePathStyle,
        anonymous,
        caBundle,
      };
      return [python, '-c', boto3Program, JSON.stringify({ ...wish, transferClient })];
    },
  };
}

/** Prints the version, and `crt` when a transfer can be asked to use it. */
const boto3Probe = `
import boto3
try:
    import awscrt
    import s3transfer.crt
    crt = "crt"
except ImportError:
    crt = "-"
print(boto3.__version__, crt)
`;

const boto3Program = `
import json, os, sys
from concurrent.futures import ThreadPoolExecutor
import boto3
import botocore.session
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config

wish = json.loads(sys.argv[1])
settings = {"max_pool_connections": 64, "s3": {"addressing_style": "path" if wish["forcePathStyle"] else "auto"}}
if wish["anonymous"]:
    settings["signature_version"] = UNSIGNED
core = botocore.session.Session(profile=wish.get("profile"))
# As the session's default, because the CRT transfer makes clients of its own.
core.set_default_client_config(Config(**settings))
region = wish.get("region") or core.get_config_variable("region") or "us-east-1"
endpoint, bundle = wish.get("endpointUrl"), wish.get("caBundle")
client = boto3.Session(botocore_session=core).client("s3", region_name=region, endpoint_url=endpoint, verify=bundle)
bucket, prefix, directory = wish["bucket"], wish["prefix"], wish["directory"]

def classic():
    transfer = TransferConfig(preferred_transfer_client="classic")

    def move(name):
        path = os.path.join(directory, name)
        if wish["direction"] == "upload":
            client.upload_file(path, bucket, prefix + name, Config=transfer)
        else:
            client.download_file(bucket, prefix + name, path, Config=transfer)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(move, names))

def crt():
    # What boto3 does for preferred_transfer_client="crt", which asks for TLS and AWS's own endpoint whatever it is told.
    from s3transfer import crt
    credentials = None
    if not wish["anonymous"]:
        credentials = crt.BotocoreCRTCredentialsWrapper(core.get_credentials()).to_crt_credentials_provider()
    is_tls = not (endpoint or "").startswith("http:")
    s3 = crt.create_s3_crt_client(region, credentials, use_ssl=is_tls, verify=bundle)
    serializer = crt.BotocoreCRTRequestSerializer(core, {"region_name": region, "endpoint_url": endpoint})
    with crt.CRTTransferManager(s3, serializer) as manager:
        futures = []
        for name in names:
            path = os.path.join(directory, name)
            if wish["direction"] == "upload":
                futures.append(manager.upload(path, bucket, prefix + name))
            else:
                futures.append(manager.download(bucket, prefix + name, path))
        for future in futures:
            future.result()

if wish["direction"] == "upload":
    names = os.listdir(directory)
else:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    names = [entry["Key"][len(prefix):] for page in pages for entry in page.get("Contents", [])]
crt() if wish["transferClient"] == "crt" else classic()
`;

/** What a command prints; undefined when it is not there or fails. */
async function ask(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const { output } = await runCommand(command, env, { signal, waitMs: ASK_WAIT_MS });
    return output;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** Runs a program to its end. Throws an Error with its last words when it fails, is late or is given up. */
export function runCommand(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  { signal, waitMs }: { readonly signal: AbortSignal; readonly waitMs: number },
): Promise<CommandCost & { readonly output: string }> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const [program = '', ...args] = command;
    const startMs = performance.now();
    const child = spawn(program, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const meter = new ProcessMeter(child.pid ?? 0);
    let output = '';
    let complaint = '';
    child.stdout
      .setEncoding('utf8')
      .on('data', (text: string) => (output = (output + text).slice(-COMPLAINT_CHARS_MAX)));
    child.stderr
      .setEncoding('utf8')
      .on('data', (text: string) => (complaint = (complaint + text).slice(-COMPLAINT_CHARS_MAX)));
    let gaveUp: Error | undefined;
    const giveUp = (why: Error): void => {
      gaveUp ??= why;
      try {
        // The whole group: the CLI has children of its own.
        process.kill(-(child.pid ?? 0), 'SIGKILL');
      } catch {
        // It has just ended.
      }
    };
    const onAbort = (): void => giveUp(signal.reason as Error);
    const timer = setTimeout(() => giveUp(new Error(`not done within ${waitMs / 1000} s`)), waitMs);
    signal.addEventListener('abort', onAbort, { once: true });
    const over = (outcome: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      outcome();
    };
    child.on('error', (error) => over(() => reject(error)));
    child.on('close', (code) => {
      const seconds = (performance.now() - startMs) / 1000;
      const cost = meter.stop();
      over(() => {
        if (gaveUp) reject(gaveUp);
        else if (code === 0) resolve({ ...cost, seconds, output: output + complaint });
        else reject(new Error(`exit code ${code ?? 'none'}: ${complaint.trim().split('\n').at(-1) ?? ''}`));
      });
    });
  });
}
