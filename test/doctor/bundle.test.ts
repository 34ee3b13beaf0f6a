/**
 * The support archive: secrets that are planted everywhere where they could be (environment, settings, log, last words, run files,
 * reports, findings) are in none of its entries; it is the user's alone; what is said to be in it is in it.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { writeBundle } from '../../src/doctor/bundle/bundle.js';
import { makeTar } from '../../src/doctor/bundle/tar.js';
import type { Examined } from '../../src/doctor/examine.js';
import { makeReport } from '../../src/doctor/report.js';
import { CommandError } from '../../src/main/command-error.js';
import { mountId } from '../../src/main/state-directory.js';
import { idleSnapshot } from '../main/stats/sample-snapshot.js';
import { sampleConfig } from '../main/sample-config.js';
import { folder, subjectOf } from './subject.js';

/** Each as a leak would look like it: whole words that stand nowhere else. */
const secrets = {
  key: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  token: 'IQoJb3JpZ2luX2VjEXAMPLETOKEN0123456789',
  proxyPassword: 'hunter2-proxy',
  otherToken: 'ghp_0123456789abcdefPLANTED',
  logKey: 'log/SecretKey/PLANTEDPLANTEDPLANTEDPLANTED',
  signature: 'f00dfeed0123456789abcdef0123456789abcdef0123456789abcdef01234567',
  wordsKey: 'words/SecretKey/PLANTEDPLANTEDPLANTEDPLAN',
  configSecret: 'config-secret-PLANTED',
  urlPassword: 'url-password-PLANTED',
  reportVariable: 'report-variable-PLANTED-0123456789',
};
const keyId = 'AKIAIOSFODNN7EXAMPLE';

t.test("no secret is in it, and it is the user's alone", async (t) => {
  const subject = subjectOf(t, {
    env: {
      AWS_ACCESS_KEY_ID: keyId,
      AWS_SECRET_ACCESS_KEY: secrets.key,
      AWS_SESSION_TOKEN: secrets.token,
      AWS_REGION: 'eu-central-1',
      HTTPS_PROXY: `http://user:${secrets.proxyPassword}@proxy.example.com:3128`,
      GITHUB_TOKEN: secrets.otherToken,
    },
  });
  const { env } = subject.owner;
  const state = join(env['XDG_STATE_HOME'] ?? '', 'mount-s3x');
  mkdirSync(join(state, 'reports'), { recursive: true });
  const line = (fields: object): string => `${JSON.stringify({ level: 30, ...fields })}\n`;
  writeFileSync(
    join(state, 'mount-s3x-data.log'),
    line({ msg: 'starting', config: { secretAccessKey: secrets.logKey, bucket: 'a-bucket' } }) +
      line({ msg: `GET / authorization: AWS4-HMAC-SHA256 Credential=${keyId}/x, Signature=${secrets.signature}` }) +
      line({ level: 50, msg: `x-amz-security-token: ${secrets.token} was refused` }),
  );
  writeFileSync(
    join(subject.runtimeDirectory, `${mountId('/mnt/data')}.stderr`),
    `FATAL: AWS_SECRET_ACCESS_KEY=${secrets.wordsKey}\nat https://me:${secrets.urlPassword}@s3.example.com/\n`,
  );
  writeFileSync(
    join(state, 'reports', 'report.20260101.120000.4711.0.001.json'),
    JSON.stringify({
      header: { event: 'crash', commandLine: ['node', 'mount-s3x', 'b', '/mnt'] },
      environmentVariables: { MY_VARIABLE: secrets.reportVariable, AWS_SECRET_ACCESS_KEY: secrets.key },
    }),
  );
  const config = {
    ...sampleConfig({ mountPoint: '/mnt/data' }),
    store: {
      ...sampleConfig().store,
      bucket: 'a-bucket',
      endpointUrl: `https://me:${secrets.urlPassword}@s3.example.com`,
    },
    // Of a version to come: known by its name.
    clientSecret: secrets.configSecret,
  };
  const found = {
    ...{
      name: 'credentials',
      severity: 'note' as const,
      summary: `key ${keyId} secret_key=${secrets.key}`,
      findings: [],
    },
  };
  const examined: Examined = {
    report: makeReport('this machine', [found], subject.host),
    config,
    hardware: await subject.hardware(),
    sizing: await subject.sizing(),
    mount: {
      ...{ directory: '/mnt/data', isMounted: true, run: undefined, config: undefined, stats: idleSnapshot },
      explanation: { format: 1, note: `Bearer token=${secrets.otherToken}` },
    },
    reportDirectories: [join(state, 'reports')],
  };
  const file = join(folder(t), 'help.tar.gz');
  const names = await writeBundle(file, examined, subject.owner);
  t.equal(statSync(file).mode & 0o777, 0o600);
  const tar = (...words: string[]): string => execFileSync('tar', words, { encoding: 'utf8' });
  t.strictSame(tar('-tzf', file).trim().split('\n'), names, 'what is said to be in it is in it');
  t.match(names, [/doctor\.json$/, /config\.json$/, /environment\.json$/, /hwinfo\.json$/, /versions\.txt$/]);
  for (const part of [
    'mounts.txt',
    'stats.json',
    'explain.json',
    'log/mount-s3x-data.log',
    'run-files.txt',
    'report.json',
  ]) {
    t.ok(names.includes(`mount-s3x-doctor/${part}`), part);
  }
  const all = tar('-xzOf', file);
  for (const [name, secret] of Object.entries(secrets)) t.notOk(all.includes(secret), `${name} is not in it`);
  t.notOk(all.includes(keyId), 'nor the whole id of a key');
  t.match(all, /AKIAIOSF…/, 'but its beginning');
  t.match(all, /a-bucket/, 'what the question is about is');
  t.match(all, /"AWS_REGION": "eu-central-1"/);
  t.match(all, /"GITHUB_TOKEN": "\[set\]"/);
  t.notMatch(all, /"name": "\[object/);
  for (const name of names.filter((each) => each.endsWith('.json'))) {
    t.doesNotThrow(() => JSON.parse(tar('-xzOf', file, name)) as unknown, `${name} is whole`);
  }
  await t.rejects(writeBundle(file, examined, subject.owner), CommandError, 'an existing file is not replaced');
  await t.rejects(writeBundle('/nonexistent/x.tar.gz', examined, subject.owner), { message: /cannot be written/ });
});

t.test('the archive is read by tar, whatever is in the files', (t) => {
  const file = join(folder(t), 'x.tar');
  const entries = [
    { name: 'd/empty', text: '' },
    { name: 'd/block', text: 'x'.repeat(512) },
    { name: 'd/umlaut', text: 'ä€😀\n' },
  ];
  writeFileSync(file, makeTar(entries, Date.UTC(2026, 0, 2)));
  t.equal(readFileSync(file).length % 512, 0);
  for (const { name, text } of entries) {
    t.equal(execFileSync('tar', ['-xOf', file, name], { encoding: 'utf8' }), text, name);
  }
  t.match(
    execFileSync('tar', ['-tvf', file], { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } }),
    /-rw------- .*2026-01-02/,
  );
  t.end();
});
