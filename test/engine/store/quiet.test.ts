/**
 * Nothing of the SDK reaches the screen, and nothing keeps the process alive: each situation in which the SDK is known to
 * print (or that waits in the background) runs in a child, whose standard error must be empty.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { StoreOptions } from '../../../src/engine/api.js';
import {
  answerXml,
  errorXml,
  isolateEnvironment,
  listXml,
  setKeys,
  startScripted,
  storeOptions,
  writeHomeFile,
} from './harness.js';

const child = fileURLToPath(new URL('./probe-child.js', import.meta.url));

interface Outcome {
  readonly code: string;
  readonly message?: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** Runs the child with this process's environment; a child that does not end by itself is killed and fails. */
function run(options: Partial<StoreOptions>): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [child, JSON.stringify(storeOptions(options))],
      { timeout: 30_000 },
      (error, stdout, stderr) => {
        if (error !== null && error.killed === true) {
          reject(new Error(`the child did not end by itself: ${stdout}${stderr}`));
          return;
        }
        const said = stdout === '' ? {} : (JSON.parse(stdout) as { code: string; message?: string });
        resolve({ code: 'nothing', ...said, stderr, exitCode: typeof error?.code === 'number' ? error.code : 0 });
      },
    );
  });
}

function quietly(t: Test, outcome: Outcome, code: string, name: string): void {
  t.match(outcome, { code, stderr: '', exitCode: 0 }, name);
}

t.test('silence', async (t) => {
  const home = isolateEnvironment(t);
  // The notice about the Node version must be silenced by us, not by what this process inherited.
  delete process.env['NODE_OPTIONS'];
  delete process.env['NODE_NO_WARNINGS'];
  setKeys();
  let answer: 'list' | 'html' | 'move' | 'slow' = 'list';
  const server = await startScripted(t, (request, response) => {
    if (answer === 'html') response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
    else if (answer === 'slow') answerXml(response, 503, errorXml('SlowDown', 'x'));
    else if (answer === 'move' && !(request.headers.authorization ?? '').includes('/eu-west-2/')) {
      answerXml(response, 301, errorXml('PermanentRedirect', 'x'), { 'x-amz-bucket-region': 'eu-west-2' });
    } else if (request.method === 'HEAD') response.writeHead(404).end();
    else answerXml(response, 200, listXml());
  });
  const endpointUrl = server.url;

  quietly(t, await run({ endpointUrl }), 'ok', 'a good start');
  answer = 'move';
  quietly(t, await run({ endpointUrl }), 'ok', 'a region found');
  answer = 'html';
  quietly(t, await run({ endpointUrl }), 'NotAnS3Server', 'a web page');
  answer = 'slow';
  quietly(t, await run({ endpointUrl }), 'SlowDown', 'throttled');
  answer = 'list';
  quietly(t, await run({ endpointUrl, anonymous: true }), 'ok', 'anonymous');
  quietly(t, await run({ endpointUrl: 'not a url' }), 'InvalidEndpoint', 'a bad endpoint');
  quietly(t, await run({ endpointUrl: 'http://[::bad' }), 'InvalidEndpoint', 'an endpoint that no URL parser takes');
  quietly(t, await run({ endpointUrl, bucket: 'data--use1-az4--x-s3' }), 'NotAnS3Server', 'no session');

  writeHomeFile(home, '.aws/credentials', '[lab]\naws_access_key_id = AKLAB\naws_secret_access_key = s\n');
  writeHomeFile(home, '.aws/config', '[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = lab\n');
  process.env['AWS_PROFILE'] = 'lab';
  quietly(t, await run({ endpointUrl }), 'ok', 'AWS_PROFILE beside keys');
  process.env['AWS_ENDPOINT_URL_STS'] = server.url;
  quietly(
    t,
    await run({ endpointUrl, profile: 'role' }),
    'CredentialsFailed',
    'STS without a region, answering nonsense',
  );
  delete process.env['AWS_PROFILE'];
  delete process.env['AWS_ACCESS_KEY_ID'];
  delete process.env['AWS_SECRET_ACCESS_KEY'];
  process.env['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'] = '/r';
  process.env['AWS_CONTAINER_CREDENTIALS_FULL_URI'] = `${server.url}/x`;
  process.env['AWS_CONTAINER_AUTHORIZATION_TOKEN'] = 'a';
  process.env['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'] = '/nowhere';
  quietly(t, await run({ endpointUrl }), 'CredentialsFailed', 'container settings that contradict each other');
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_CONTAINER')) delete process.env[name];
  quietly(t, await run({ endpointUrl }), 'NoCredentials', 'no credentials at all');
});
