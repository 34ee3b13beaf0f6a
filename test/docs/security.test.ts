/**
 * What docs/SECURITY.md and docs/SERVICE.md hand out to be copied is right: IAM policies that parse and allow what the program
 * asks for and no more, examples for containers and Kubernetes that parse and fit together, tests that exist.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { mountOptionNames } from '../../src/cli/options.js';
import { projectRoot } from '../support/mount.js';

const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8');
const security = read('docs/SECURITY.md');

interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource: string;
  readonly Condition?: unknown;
}

function policy(name: string): Statement[] {
  const text = new RegExp(`\`\`\`json ${name}\n([^]*?)\`\`\``).exec(security)?.[1] ?? '';
  const parsed = JSON.parse(text) as { Version: string; Statement: Statement[] };
  t.equal(parsed.Version, '2012-10-17');
  return parsed.Statement;
}

const actions = (statements: Statement[]): string[] => statements.flatMap(({ Action }) => Action).sort();
const reading = ['s3:GetObject', 's3:ListBucket'];
const writing = [
  ...[
    's3:AbortMultipartUpload',
    's3:DeleteObject',
    's3:ListBucketMultipartUploads',
    's3:ListMultipartUploadParts',
    's3:PutObject',
  ],
  ...reading,
].sort();

t.test('the policies allow what is used, and on the right resource', (t) => {
  t.same(actions(policy('read-only')), reading);
  t.same(actions(policy('read-write')), writing);
  t.same(actions(policy('prefix')), writing);
  t.same(actions(policy('kms')), ['kms:Decrypt', 'kms:GenerateDataKey']);
  for (const name of ['read-only', 'read-write', 'prefix']) {
    for (const { Effect, Action, Resource } of policy(name)) {
      t.equal(Effect, 'Allow');
      // Actions on a bucket with a resource of objects allow nothing, and the other way round.
      for (const action of [Action].flat())
        t.equal(/ListBucket/.test(action), !Resource.includes('/'), `${name}: ${action}`);
    }
  }
  for (const name of ['express-read-write', 'express-read-only']) {
    t.same(actions(policy(name)), ['s3express:CreateSession']);
    t.match(policy(name)[0]?.Resource, /^arn:aws:s3express:us-east-1:\d{12}:bucket\/[a-z-]+--use1-az4--x-s3$/);
  }
  t.match(policy('express-read-only')[0]?.Condition, { StringEquals: { 's3express:SessionMode': 'ReadOnly' } });
  t.match(policy('prefix').find(({ Action }) => Action === 's3:ListBucket')?.Condition, {
    StringLike: { 's3:prefix': ['team/', 'team/*'] },
  });
  t.end();
});

t.test('every test and file that the documents name is there', (t) => {
  for (const document of ['docs/SECURITY.md', 'docs/SERVICE.md']) {
    const text = read(document);
    for (const [, path = ''] of text.matchAll(/\b(test\/[\w./-]+?\.ts)\b/g))
      t.ok(existsSync(join(projectRoot, path)), path);
    for (const [, path = ''] of text.matchAll(/\]\((?!http)([\w./-]+?)(#[\w-]*)?\)/g)) {
      t.ok(existsSync(join(projectRoot, 'docs', path)), path);
    }
  }
  t.end();
});

interface Container {
  readonly name: string;
  readonly args?: readonly string[];
  readonly command: readonly string[];
  readonly restartPolicy?: string;
  readonly securityContext?: { readonly privileged?: boolean };
  readonly readinessProbe?: { readonly exec: { readonly command: readonly string[] } };
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly mountPropagation?: string;
  }[];
}

t.test('the Kubernetes example', (t) => {
  const documents = parseAllDocuments(read('examples/kubernetes/sidecar.yaml'));
  for (const document of documents) t.same(document.errors, []);
  const { kind, spec } = documents[0]?.toJS() as {
    kind: string;
    spec: {
      initContainers: Container[];
      containers: Container[];
      volumes: { name: string }[];
      terminationGracePeriodSeconds: number;
    };
  };
  t.equal(kind, 'Pod');
  const [sidecar, train] = [spec.initContainers[0], spec.containers[0]];
  if (!sidecar || !train) throw new Error('two containers are expected');
  t.equal(sidecar.restartPolicy, 'Always', 'a native sidecar');
  t.equal(sidecar.securityContext?.privileged, true, 'Bidirectional propagation wants it');
  const volume = (container: Container) => container.volumeMounts.find(({ name }) => name === 'shared');
  t.equal(volume(sidecar)?.mountPropagation, 'Bidirectional');
  t.equal(volume(train)?.mountPropagation, 'HostToContainer');
  t.same(sidecar.readinessProbe?.exec.command, ['mountpoint', '-q', sidecar.args?.[1]]);
  t.same(sidecar.lifecycle?.preStop.exec.command, ['mount-s3x', 'unmount', sidecar.args?.[1]]);
  t.ok(train.command.includes(sidecar.args?.[1] ?? ''), 'the trainer reads what is mounted');
  t.ok(spec.terminationGracePeriodSeconds > 75, 'longer than --shutdown-timeout');
  const names = new Set(spec.volumes.map(({ name }) => name));
  for (const { volumeMounts } of [sidecar, train]) for (const { name } of volumeMounts) t.ok(names.has(name), name);
  for (const word of sidecar.args?.slice(2) ?? []) {
    t.ok((mountOptionNames as readonly string[]).includes(word.replace(/^--|=.*/g, '')), word);
  }
  t.end();
});

t.test('the Dockerfile: known instructions, stages that exist, files that exist', (t) => {
  const lines = read('examples/container/Dockerfile')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const stages = new Set<string>();
  for (const line of lines) {
    const [instruction = '', ...words] = line.split(/\s+/);
    t.match(instruction, /^(FROM|WORKDIR|COPY|RUN|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT|CMD|ENV|USER)$/, line);
    if (instruction === 'FROM' && words[1] === 'AS') stages.add(words[2] ?? '');
    const from = /^--from=(.+)$/.exec(words[0] ?? '')?.[1];
    if (from !== undefined) t.ok(stages.has(from), `stage ${from}`);
    else if (instruction === 'COPY')
      for (const file of words.slice(0, -1)) t.ok(existsSync(join(projectRoot, file)), file);
    const list = /^(ENTRYPOINT|CMD|HEALTHCHECK.* CMD) (\[.*\])$/.exec(line)?.[2];
    if (list !== undefined) t.ok(Array.isArray(JSON.parse(list)), line);
  }
  t.comment('built nowhere here: the test reads it, no container engine runs it');
  t.end();
});
