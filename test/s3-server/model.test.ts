/**
 * Random sequences of operations on the embedded server, compared with a map.
 *
 * The contract table says what each operation does alone; here they meet: keys that are folders of each other, keys that cannot be file
 * names, copies onto themselves, renames over folders, multipart uploads finished late, and a server that is stopped and started in between
 * and must find everything again. Failures print the seed and the shrunk sequence.
 */
import assert from 'node:assert/strict';
import { CopyObjectCommand, DeleteObjectCommand, RenameObjectCommand } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import t from 'tap';
import { startBuiltin, type BuiltinServer } from '../support/servers/builtin.js';
import { prepareDataDir } from '../support/servers/data-dir.js';
import { clientOf, createBucket, expectFailure, type CaseContext } from './cases/context.js';
import { etagOf } from './cases/checksums.js';
import { complete, createUpload, get, put, uploadPart } from './cases/helpers.js';
import { encodeUri, expectStatus, pathOf, sendSigned, xmlText, xmlTexts } from './cases/raw.js';

const RUNS = 30;
const COMMANDS_MAX = 30;

/** Segments that meet each other: prefixes, case, escapes, order above U+FFFF, things that are no file names. */
const segment = fc.constantFrom(
  '',
  '.',
  '..',
  'a',
  'b',
  'A',
  'a ',
  'a%2F',
  '~',
  'é',
  '\uFFFD',
  '\u{1F600}',
  '-',
  '0',
  '\n',
);
/** Keys that sequences come back to, so that deletes, overwrites and prefixes meet something. */
const POOL = [
  'a',
  'a/',
  'a/b',
  'a/b/c',
  'a//b',
  'a/../b',
  'b',
  '..',
  '//',
  'a-',
  'a0',
  'A',
  'é/\uFFFD',
  'é/\u{1F600}',
  'k'.repeat(300),
];
const key = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...POOL) },
  {
    weight: 1,
    arbitrary: fc
      .array(segment, { minLength: 1, maxLength: 4 })
      .map((segments) => segments.join('/'))
      .filter((text) => text !== ''),
  },
);
const body = fc.nat(9).map((number) => `body ${number}`);

type Command =
  | { readonly kind: 'put' | 'multipart'; readonly key: string; readonly body: string }
  | { readonly kind: 'delete' | 'get'; readonly key: string }
  | { readonly kind: 'copy' | 'rename'; readonly from: string; readonly to: string }
  | {
      readonly kind: 'list';
      readonly prefix: string;
      readonly delimiter: string;
      readonly after: string;
      readonly maxKeys: number;
    }
  | { readonly kind: 'restart' };

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('put' as const), key, body }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('multipart' as const), key, body }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), key }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('get' as const), key }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('copy' as const, 'rename' as const), from: key, to: key }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('list' as const),
      prefix: fc.oneof(
        fc.constant(''),
        key,
        key.map((text) => `${text}/`),
      ),
      delimiter: fc.constantFrom('', '/', 'a', '//'),
      after: fc.oneof(fc.constant(''), key),
      maxKeys: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
);

function sorted(keys: Iterable<string>): string[] {
  return [...keys].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
}

/** What ListObjectsV2 answers, all pages joined, straight from its definition. */
function expectedListing(
  model: ReadonlyMap<string, string>,
  prefix: string,
  delimiter: string,
  after: string,
): string[] {
  const rows: string[] = [];
  for (const one of sorted(model.keys())) {
    if (!one.startsWith(prefix) || Buffer.compare(Buffer.from(one), Buffer.from(after)) <= 0) continue;
    const at = delimiter === '' ? -1 : one.indexOf(delimiter, prefix.length);
    const row = at < 0 ? `key ${one}` : `prefix ${one.slice(0, at + delimiter.length)}`;
    if (rows.at(-1) !== row) rows.push(row);
  }
  return rows;
}

async function listing(
  ctx: CaseContext,
  prefix: string,
  delimiter: string,
  after: string,
  maxKeys: number,
): Promise<string[]> {
  const rows: string[] = [];
  let token: string | undefined;
  do {
    const answer = await sendSigned(ctx, {
      method: 'GET',
      path: pathOf(ctx.bucket),
      query: {
        ...{ 'list-type': '2', 'encoding-type': 'url', prefix, delimiter, 'max-keys': String(maxKeys) },
        ...(token === undefined ? { 'start-after': after } : { 'continuation-token': token }),
      },
    });
    expectStatus(answer, 200);
    const xml = answer.body.toString();
    const decode = (text: string): string => decodeURIComponent(text.replace(/\+/g, ' '));
    const common = xmlTexts(xml.slice(Math.max(0, xml.indexOf('<CommonPrefixes>'))), 'Prefix');
    const page = [
      ...xmlTexts(xml, 'Key').map((one) => `key ${decode(one)}`),
      ...(xml.includes('<CommonPrefixes>') ? common : []).map((one) => `prefix ${decode(one)}`),
    ];
    assert.ok(page.length <= maxKeys, 'no more than max-keys');
    const name = (row: string): string => row.slice(row.indexOf(' ') + 1);
    page.sort((left, right) => Buffer.compare(Buffer.from(name(left)), Buffer.from(name(right))));
    rows.push(...page);
    token = xmlText(xml, 'IsTruncated') === 'true' ? xmlText(xml, 'NextContinuationToken') : undefined;
  } while (token !== undefined);
  return rows;
}

/** A server that can be stopped and started again on its folder. */
class Restartable {
  readonly #dataDir: string;
  server: BuiltinServer;
  ctx: CaseContext;

  constructor(dataDir: string, server: BuiltinServer, bucket: string) {
    this.#dataDir = dataDir;
    this.server = server;
    const s3 = clientOf(server);
    this.ctx = { server, s3, bucket, newBucket: () => createBucket(s3) };
  }

  async restart(): Promise<void> {
    await this.stop();
    this.server = await startBuiltin({ dataDir: this.#dataDir });
    const s3 = clientOf(this.server);
    this.ctx = { ...this.ctx, server: this.server, s3, newBucket: () => createBucket(s3) };
  }

  async stop(): Promise<void> {
    this.ctx.s3.destroy();
    await this.server.stop();
    assert.deepEqual(this.server.reports, []);
  }
}

async function apply(one: Command, model: Map<string, string>, host: Restartable): Promise<void> {
  const { ctx } = host;
  switch (one.kind) {
    case 'put':
      await put(ctx, one.key, one.body);
      model.set(one.key, one.body);
      return;
    case 'multipart': {
      const uploadId = await createUpload(ctx, one.key);
      const part = await uploadPart(ctx, one.key, uploadId, 1, Buffer.from(one.body));
      await complete(ctx, one.key, uploadId, [part]);
      model.set(one.key, one.body);
      return;
    }
    case 'delete':
      await ctx.s3.send(new DeleteObjectCommand({ Bucket: ctx.bucket, Key: one.key }));
      model.delete(one.key);
      return;
    case 'get':
      await expectSame(ctx, one.key, model.get(one.key));
      return;
    case 'copy': {
      const source = model.get(one.from);
      const call = ctx.s3.send(
        new CopyObjectCommand({ Bucket: ctx.bucket, Key: one.to, CopySource: encodeUri(`${ctx.bucket}/${one.from}`) }),
      );
      if (source === undefined) await expectFailure(call, 404, 'NoSuchKey');
      else if (one.from === one.to) await expectFailure(call, 400, 'InvalidRequest');
      else {
        await call;
        model.set(one.to, source);
      }
      return;
    }
    case 'rename': {
      const source = model.get(one.from);
      const RenameSource = `${ctx.bucket}/${one.from.split('/').map(encodeUri).join('/')}`;
      const call = ctx.s3.send(new RenameObjectCommand({ Bucket: ctx.bucket, Key: one.to, RenameSource }));
      if (one.from.endsWith('/') || one.to.endsWith('/')) await expectFailure(call, [400, 404]);
      else if (source === undefined) await expectFailure(call, 404, 'NoSuchKey');
      else if (one.from === one.to) await call.catch(() => undefined);
      else {
        await call;
        model.delete(one.from);
        model.set(one.to, source);
      }
      return;
    }
    case 'list': {
      const { prefix, delimiter, after, maxKeys } = one;
      const expected = expectedListing(model, prefix, delimiter, after);
      assert.deepEqual(await listing(ctx, prefix, delimiter, after, maxKeys), expected);
      return;
    }
    case 'restart':
      await host.restart();
      return;
  }
}

async function expectSame(ctx: CaseContext, one: string, expected: string | undefined): Promise<void> {
  if (expected === undefined) {
    await expectFailure(get(ctx, one), 404, 'NoSuchKey');
    return;
  }
  const { answer, bytes } = await get(ctx, one);
  assert.equal(bytes.toString(), expected);
  if (!(answer.ETag ?? '').includes('-')) assert.equal(answer.ETag, etagOf(expected));
}

t.setTimeout(180_000);

t.test(`${RUNS} random sequences of up to ${COMMANDS_MAX} operations`, async () => {
  const data = await prepareDataDir({});
  const property = fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: COMMANDS_MAX }), async (commands) => {
    const first = await startBuiltin({ dataDir: data.path });
    const s3 = clientOf(first);
    const host = new Restartable(data.path, first, await createBucket(s3));
    s3.destroy();
    try {
      const model = new Map<string, string>();
      for (const one of commands) await apply(one, model, host);
      for (const restarted of [false, true]) {
        if (restarted) await host.restart();
        const rows = await listing(host.ctx, '', '', '', 1000);
        assert.deepEqual(rows, expectedListing(model, '', '', ''), restarted ? 'after a restart' : 'before a restart');
        for (const [one, expected] of model) await expectSame(host.ctx, one, expected);
      }
    } finally {
      await host.stop();
    }
  });
  try {
    await fc.assert(property, { numRuns: RUNS });
  } finally {
    await data.release();
  }
});
