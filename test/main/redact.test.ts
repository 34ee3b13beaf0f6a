/** Secrets in every place they have been seen in logs of other programs: fields, headers, URLs, JSON, XML, errors. */
import t from 'tap';
import type { LineSink } from '../../src/main/log-sinks.js';
import { createLog } from '../../src/main/logging.js';
import { redactFields, registerSecret, scrubText } from '../../src/main/redact.js';

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const TOKEN = 'FwoGZXIvYXdzEJr//////////wEaDExampleToken==';

const texts: readonly string[] = [
  `Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, Signature=${SECRET}`,
  `"authorization":"Bearer ${TOKEN}"`,
  `{"headers":"{\\"authorization\\":\\"Bearer ${TOKEN}\\"}"}`,
  `GET /k?X-Amz-Security-Token=${TOKEN}&X-Amz-Expires=60`,
  `GET /k?X-Amz-Signature=${SECRET}&a=1`,
  `x-amz-security-token: ${TOKEN}`,
  `"x-amz-security-token":"${TOKEN}"`,
  `AWS_SECRET_ACCESS_KEY=${SECRET} mount-s3x b d`,
  `aws_session_token = ${TOKEN}`,
  `{"SecretAccessKey":"${SECRET}","Token":1}`,
  `<SecretAccessKey>${SECRET}</SecretAccessKey>`,
  `<StringToSign>AWS4-HMAC-SHA256 ${SECRET}</StringToSign>`,
  `connect to http://user:${SECRET.replaceAll('/', '_')}@proxy.example:3128 failed`,
  `Proxy-Authorization: Basic ${SECRET}`,
];

function secretsIn(text: string): string[] {
  return [SECRET, TOKEN, SECRET.replaceAll('/', '_'), 'AKIAIOSFODNN7EXAMPLE'].filter((secret) => text.includes(secret));
}

t.test('text', (t) => {
  for (const text of texts) t.strictSame(secretsIn(scrubText(text)), [], text.slice(0, 40));
  t.match(scrubText('key AKIAIOSFODNN7EXAMPLE was refused'), 'AKIAIOSF…', 'enough of the key id is left to know it');
  const innocent = 'GET s3://bucket/authorization/token/secret.txt bytes=0-7 etag "abc" https://host:9000/x@y/z';
  t.equal(scrubText(innocent), innocent);
  t.end();
});

t.test('fields by name, at any depth', (t) => {
  const cyclic: Record<string, unknown> = { name: 'loop' };
  cyclic['self'] = cyclic;
  const shown = JSON.stringify(
    redactFields({
      credentials: { accessKeyId: 'AKIA', secretAccessKey: SECRET, sessionToken: TOKEN },
      headers: { Authorization: `AWS4 ${SECRET}`, 'x-amz-security-token': TOKEN, host: 'h' },
      list: [{ password: SECRET }],
      map: new Map([['proxyPassword', SECRET]]),
      key: 'train/secret.txt',
      continuationToken: 'page-2',
      hasSecret: true,
      bytes: new Uint8Array(9),
      big: 12n,
      cyclic,
      url: new URL(`http://u:${SECRET.replaceAll('/', '_')}@h/`),
    }),
  );
  t.strictSame(secretsIn(shown), []);
  t.match(shown, '"key":"train/secret.txt"');
  t.match(shown, '"continuationToken":"page-2"');
  t.match(shown, '"host":"h"');
  t.match(shown, '[9 bytes]');
  t.end();
});

t.test('through the logger: errors, causes, messages, values known to be secret', (t) => {
  const lines: string[] = [];
  const sink: LineSink = {
    lastLevel: 0,
    description: 'test',
    write: (line) => void lines.push(line),
    close: () => undefined,
  };
  const log = createLog(sink, 'debug');
  const odd = 'a-secret-that-looks-like-nothing';
  registerSecret(odd);
  const error = Object.assign(new Error(`refused x-amz-security-token=${TOKEN}`, { cause: new Error(odd) }), {
    code: 'ExpiredToken',
    $response: { secretAccessKey: SECRET },
  });
  log.error({ err: error, sessionToken: TOKEN }, `failed with ${odd}`);
  log.debug({ other: error }, 'again');
  log.trace({}, 'below the level');
  t.equal(lines.length, 2);
  for (const line of lines) t.strictSame([...secretsIn(line), ...(line.includes(odd) ? [odd] : [])], [], line);
  const first = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  t.match(first, {
    level: 'error',
    err: { name: 'Error', code: 'ExpiredToken', stack: String, cause: { name: 'Error' } },
  });
  t.match(first['time'], /^\d{4}-\d\d-\d\dT/);
  t.equal(sink.lastLevel, 20, 'sinks learn the level');
  t.end();
});
