#!/usr/bin/env node
/**
 * The command line of the embedded S3 server: flags to options, one line when ready, clean end on SIGINT and SIGTERM.
 *
 * It refuses flags it does not know and values that make no sense, in one line, with exit code 2; exit code 1 is a
 * server that could not start.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { FaultRule } from './faults/fault-rule.js';
import type { S3ServerOptions } from './options.js';
import { startS3Server } from './server.js';

const HELP = `Usage: s3-server --dir DIR [options]

Serves every folder of DIR as an S3 bucket; see dev/s3-server/README.md.

  --dir DIR                data directory (required)
  --port PORT              default 0: a free port, printed when ready
  --host ADDRESS           default 127.0.0.1
  --access-key KEY         with --secret-key: verify signatures
  --secret-key SECRET      without both: accept everything, check nothing
  --session-token TOKEN    the key pair is temporary and needs this token
  --tls-cert FILE          with --tls-key: HTTPS (PEM files)
  --tls-key FILE
  --region REGION          default us-east-1
  --bucket-region B=REGION bucket B lives in another region (repeatable)
  --public-bucket BUCKET   anonymous requests may read it (repeatable)
  --domain NAME            BUCKET.NAME addresses a bucket, as BUCKET.localhost
                           and BUCKET.s3.localhost do anyway (repeatable)
  --min-part-size BYTES    smallest part but the last, default 5242880
  --session-seconds N      life of a directory bucket's session, default 300
  --faults FILE            JSON array of fault rules
  --admin                  serve /-/stats, /-/faults, ... unauthenticated
  --help

Example:
  s3-server --dir /tmp/s3 --port 9000 --access-key TEST --secret-key SECRET
`;

class UsageError extends Error {}

function optionsOf(argv: readonly string[]): S3ServerOptions | null {
  const string = { type: 'string' } as const;
  const strings = { type: 'string', multiple: true } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        dir: string,
        port: string,
        host: string,
        'access-key': string,
        'secret-key': string,
        'session-token': string,
        'tls-cert': string,
        'tls-key': string,
        region: string,
        'bucket-region': strings,
        'public-bucket': strings,
        domain: strings,
        'min-part-size': string,
        'session-seconds': string,
        faults: string,
        admin: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help === true) return null;
  if (values.dir === undefined) throw new UsageError('--dir is required');
  const accessKey = values['access-key'];
  const secretKey = values['secret-key'];
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    throw new UsageError('--access-key and --secret-key go together');
  }
  const sessionToken = values['session-token'];
  const certFile = values['tls-cert'];
  const keyFile = values['tls-key'];
  if ((certFile === undefined) !== (keyFile === undefined))
    throw new UsageError('--tls-cert and --tls-key go together');
  const bucketRegions = Object.fromEntries(
    (values['bucket-region'] ?? []).map((text): [string, string] => {
      const equals = text.indexOf('=');
      if (equals <= 0) throw new UsageError(`--bucket-region wants BUCKET=REGION, not ${text}`);
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
  return {
    dir: values.dir,
    port: integer('--port', values.port ?? '0', 65_535),
    host: values.host ?? '127.0.0.1',
    region: values.region ?? 'us-east-1',
    bucketRegions,
    publicBuckets: values['public-bucket'] ?? [],
    domains: values.domain ?? [],
    admin: values.admin ?? false,
    ...(values['min-part-size'] === undefined
      ? {}
      : { minPartBytes: integer('--min-part-size', values['min-part-size'], 5 * 1024 ** 3) }),
    ...(values['session-seconds'] === undefined
      ? {}
      : { sessionSeconds: integer('--session-seconds', values['session-seconds'], 86_400) }),
    ...(accessKey === undefined || secretKey === undefined
      ? {}
      : { credentials: [{ accessKey, secretKey, ...(sessionToken === undefined ? {} : { sessionToken }) }] }),
    ...(certFile === undefined || keyFile === undefined
      ? {}
      : { tls: { cert: read('--tls-cert', certFile), key: read('--tls-key', keyFile) } }),
    ...(values.faults === undefined ? {} : { faults: readRules(values.faults) }),
  };
}

function integer(flag: string, text: string, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > max) throw new UsageError(`${flag} wants a number from 0 to ${max}, not ${text}`);
  return value;
}

function read(flag: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UsageError(`${flag}: cannot read ${file} (${(error as NodeJS.ErrnoException).code ?? ''})`);
  }
}

function readRules(file: string): readonly FaultRule[] {
  try {
    return JSON.parse(read('--faults', file).toString()) as readonly FaultRule[];
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`--faults: ${file} is not JSON: ${(error as Error).message}`);
  }
}

async function main(): Promise<void> {
  let options: S3ServerOptions | null;
  try {
    options = optionsOf(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`s3-server: ${error.message} (--help lists all flags)`);
    process.exitCode = 2;
    return;
  }
  if (options === null) {
    process.stdout.write(HELP);
    return;
  }
  try {
    const server = await startS3Server(options);
    console.log(`s3-server ready at ${server.url}, serving ${options.dir}`);
    const stop = (): void => void server.close().then(() => process.exit(0));
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
  } catch (error) {
    console.error(`s3-server: cannot start: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}

await main();
