/**
 * S3 servers of other makers, for a look at how the mount does on each: MinIO, rclone, S3Proxy, Adobe's S3Mock, moto, and any store that
 * runs already ($MOUNT_S3X_TEST_STORE, for Ceph and what needs more than one process). Their programs are looked for and never installed
 * from here; docs/DEVELOPING.md says where each comes from. What a mount of each needs stands beside it, and in docs/STORES.md.
 * Refuses to say what a server cannot do: that is the test's to find out.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, ServerStartError, startServerProcess, type ServerProcess } from './child.js';
import { findProgram } from './find-program.js';
import { TEST_ACCESS_KEY, TEST_REGION, TEST_SECRET_KEY, type ServerUnavailable, type StoreAddress } from './server.js';

/** Another process may take the port between finding it free and binding it. */
const START_TRIES_MAX = 3;

export interface OtherStore extends StoreAddress {
  /** What the mount is told of it. */
  readonly flags: readonly string[];
  /** Tests that it cannot pass, with the reason. */
  readonly gaps?: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

interface Maker {
  readonly name: string;
  /** Name on PATH and the variable that names it elsewhere; a jar has a variable only. */
  readonly program?: string;
  readonly variable: string;
  readonly install: string;
  readonly flags: readonly string[];
  readonly gaps?: Readonly<Record<string, string>>;
  command(found: string, port: number, work: string): Command | Promise<Command>;
}

const makers: readonly Maker[] = [
  {
    name: 'minio',
    program: 'minio',
    variable: 'MINIO',
    install: 'go install github.com/minio/minio@latest',
    flags: [],
    command: async (program, port, work) => ({
      program,
      args: [
        ...['server', '--quiet', '--address', `127.0.0.1:${port}`],
        ...['--console-address', `127.0.0.1:${await freePort()}`, join(work, 'data')],
      ],
      env: { MINIO_ROOT_USER: TEST_ACCESS_KEY, MINIO_ROOT_PASSWORD: TEST_SECRET_KEY, MINIO_UPDATE: 'off' },
    }),
  },
  {
    name: 'rclone',
    program: 'rclone',
    variable: 'RCLONE',
    install: 'go install github.com/rclone/rclone@latest',
    flags: [],
    gaps: {
      '--posix-metadata': 'metadata of markers is lost',
      'somebody else changes an object that is being written':
        'a range beyond a shorter object is 416 without its size',
    },
    command: (program, port, work) => ({
      program,
      args: [
        ...['serve', 's3', join(work, 'data'), '--addr', `127.0.0.1:${port}`, '--vfs-cache-mode', 'full'],
        ...['--auth-key', `${TEST_ACCESS_KEY},${TEST_SECRET_KEY}`, '--config', '', '--cache-dir', join(work, 'cache')],
      ],
    }),
  },
  {
    name: 's3proxy',
    variable: 'S3PROXY_JAR',
    install: 'mvn dependency:copy -Dartifact=org.gaul:s3proxy:LATEST:jar:jar-with-dependencies -DoutputDirectory=.',
    flags: [],
    command: async (jar, port, work) => {
      const properties = join(work, 's3proxy.conf');
      await writeFile(
        properties,
        [
          `s3proxy.endpoint=http://127.0.0.1:${port}`,
          's3proxy.authorization=aws-v2-or-v4',
          `s3proxy.identity=${TEST_ACCESS_KEY}`,
          `s3proxy.credential=${TEST_SECRET_KEY}`,
          'jclouds.provider=filesystem-nio2',
          'jclouds.identity=local',
          'jclouds.credential=local',
          `jclouds.filesystem.basedir=${join(work, 'data')}`,
          '',
        ].join('\n'),
      );
      return { program: 'java', args: ['-jar', jar, '--properties', properties] };
    },
  },
  {
    name: 's3mock',
    variable: 'S3MOCK_JAR',
    install: 'mvn dependency:copy -Dartifact=com.adobe.testing:s3mock:LATEST:jar:exec -DoutputDirectory=.',
    flags: [],
    gaps: {
      'somebody else changes an object that is being written': 'aborting an upload deletes the object of that name',
    },
    command: async (jar, port, work) => ({
      program: 'java',
      args: ['-jar', jar, `--server.port=${await freePort()}`, `--com.adobe.testing.s3mock.http-port=${port}`],
      env: { COM_ADOBE_TESTING_S3MOCK_STORE_ROOT: join(work, 'data') },
    }),
  },
  {
    name: 'moto',
    program: 'moto_server',
    variable: 'MOTO_SERVER',
    install: "pip install 'moto[server]'",
    flags: ['--store-capabilities', 'no-conditional-writes'],
    gaps: {
      'what is in the bucket': 'copies of objects in parts have a checksum that is not theirs',
      strict: 'copies of objects in parts have a checksum that is not theirs',
      'rm -r': 'a continuation token is 500 when its key was deleted',
    },
    command: (program, port) => ({ program, args: ['-H', '127.0.0.1', '-p', `${port}`] }),
  },
];

export const OTHER_STORES: readonly string[] = makers.map(({ name }) => name);

/** Starts one of OTHER_STORES without any bucket, or says why this machine cannot. */
export async function startOtherStore(name: string): Promise<OtherStore | ServerUnavailable> {
  const maker = makers.find((each) => each.name === name);
  if (maker === undefined) return { skip: `no such store: ${name}` };
  const { program, variable, install, flags, gaps = {} } = maker;
  const named = process.env[variable];
  const found = program === undefined ? named : await findProgram(program, variable);
  if (found === undefined || found === '' || !existsSync(found)) {
    const looked = program === undefined ? `$${variable}` : `$${variable}, PATH, the Go bin folder and .cache/bin`;
    return { skip: `${name} not found (looked at ${looked}): ${install}` };
  }
  const work = await mkdtemp(join(tmpdir(), `s3x-${name}-`));
  await mkdir(join(work, 'data'));
  const release = (): Promise<void> => rm(work, { recursive: true, force: true });
  const start = async (triesLeft: number): Promise<{ port: number; child: ServerProcess }> => {
    const port = await freePort();
    const command = await maker.command(found, port, work);
    try {
      return { port, child: await startServerProcess(command.program, command.args, port, command.env) };
    } catch (error) {
      if (error instanceof ServerStartError && /address already in use/i.test(error.output) && triesLeft > 1) {
        return start(triesLeft - 1);
      }
      throw error;
    }
  };
  try {
    const { port, child } = await start(START_TRIES_MAX);
    return {
      endpoint: `http://127.0.0.1:${port}`,
      region: TEST_REGION,
      accessKey: TEST_ACCESS_KEY,
      secretKey: TEST_SECRET_KEY,
      flags,
      gaps,
      stop: async () => {
        await child.stop();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** The store that the environment names: its URL, and flags of the mount in MOUNT_S3X_TEST_STORE_FLAGS. Keys as AWS_* or the tests' own. */
export function givenStore(): OtherStore | ServerUnavailable {
  const endpoint = process.env['MOUNT_S3X_TEST_STORE'];
  if (endpoint === undefined || endpoint === '') {
    return {
      skip: 'no store given (MOUNT_S3X_TEST_STORE=http://127.0.0.1:PORT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)',
    };
  }
  return {
    endpoint,
    region: process.env['AWS_REGION'] ?? TEST_REGION,
    accessKey: process.env['AWS_ACCESS_KEY_ID'] ?? TEST_ACCESS_KEY,
    secretKey: process.env['AWS_SECRET_ACCESS_KEY'] ?? TEST_SECRET_KEY,
    flags: (process.env['MOUNT_S3X_TEST_STORE_FLAGS'] ?? '').split(' ').filter((word) => word !== ''),
    stop: () => Promise.resolve(),
  };
}
