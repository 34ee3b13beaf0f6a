/**
 * Secrets in every place where a log line can have one, as they have been seen to get there: for tests that look for them in
 * what comes out. None is a real one.
 */
import type { Log } from '../../src/base/log.js';

export const PLANTED = {
  secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYPLANTEDKEY',
  sessionToken: 'FwoGZXIvYXdzEPLANTED//////////wEaDPlantedSessionToken+abc==',
  signature: 'fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024',
  bearer: 'eyJhbGciOiJIUzI1NiPLANTED.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N',
  containerToken: 'planted-container-token-0123456789abcdef',
  processKey: 'PlantedFromCredentialProcess/0123456789+abc',
  password: 'planted-proxy-password',
  customerKey: 'cGxhbnRlZC1jdXN0b21lci1rZXktMDEyMzQ1Njc4OQ==',
  oldSignature: 'plantedOldSignature%2Bvalue%3D',
  known: 'planted value/that looks+like nothing',
  otlpHeader: 'planted-otlp-api-key-000111',
} as const;

const S = PLANTED;
const PRESIGNED =
  `https://b.s3.amazonaws.com/data/ordinary-key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAPLANTEDPLANTED12%2F20260101%2Fus-east-1%2Fs3%2Faws4_request` +
  `&X-Amz-Date=20260101T000000Z&X-Amz-Expires=900&X-Amz-Security-Token=${encodeURIComponent(S.sessionToken)}&X-Amz-SignedHeaders=host&X-Amz-Signature=${S.signature}`;
const AUTHORIZATION = `AWS4-HMAC-SHA256 Credential=AKIAPLANTEDPLANTED12/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=${S.signature}`;
const PROCESS_OUTPUT = JSON.stringify({
  Version: 1,
  AccessKeyId: 'AKIAPLANTEDPLANTED12',
  SecretAccessKey: S.processKey,
  SessionToken: S.sessionToken,
});

function* lines(log: Log): Generator<() => void> {
  const error = Object.assign(new Error(`refused: Authorization: ${AUTHORIZATION}`, { cause: new Error(PRESIGNED) }), {
    code: 'SignatureDoesNotMatch',
    $metadata: { secretAccessKey: S.secretKey },
  });
  error.stack = `Error: ${PROCESS_OUTPUT}\n    at signed (${PRESIGNED}:1:1)`;
  yield () => log.trace({ key: 'data/ordinary-key' }, `GET ${PRESIGNED}`);
  yield () => log.debug({ headers: { Authorization: AUTHORIZATION, 'x-amz-security-token': S.sessionToken } }, 'sent');
  yield () => log.debug({ url: new URL(PRESIGNED), line: `authorization: Bearer ${S.bearer}` }, 'redirected');
  yield () => log.info({ credentials: { accessKeyId: 'AKIAPLANTEDPLANTED12', secretAccessKey: S.secretKey } }, 'found');
  yield () => log.info({ deep: [{ er: { still: { sessionToken: S.sessionToken } } }] }, 'nested');
  yield () => log.info({ map: new Map([['password', S.password]]) }, `proxy http://user:${S.password}@proxy:3128/`);
  yield () => log.warn({ stdout: PROCESS_OUTPUT }, `credential_process said ${PROCESS_OUTPUT}`);
  yield () => log.warn({ twice: JSON.stringify({ said: PROCESS_OUTPUT }) }, JSON.stringify({ output: PROCESS_OUTPUT }));
  yield () => log.error({ err: error }, `failed: ${error.message}`);
  yield () =>
    log.error({ other: { cause: error } }, `AWS_SECRET_ACCESS_KEY=${S.secretKey} AWS_SESSION_TOKEN=${S.sessionToken}`);
  yield () => log.error({ body: `<Error><StringToSign>${S.signature}</StringToSign></Error>` }, 'answered');
  yield () => log.warn({}, `Authorization: ${S.containerToken}`);
  yield () => log.warn({}, `x-amz-server-side-encryption-customer-key: ${S.customerKey}`);
  yield () =>
    log.warn(
      {},
      `http://b/data/ordinary-key?AWSAccessKeyId=AKIAPLANTEDPLANTED12&Expires=1&Signature=${S.oldSignature}`,
    );
  yield () => log.warn({ note: S.known }, `in a query ${encodeURIComponent(S.known)}, or plain ${S.known}`);
  yield () => log.warn({}, `OTLP said ${S.otlpHeader}`);
  yield () => log.info({}, 'last planted line');
}

/** Logs them all. `plant.lines`: one by one. */
export function plant(log: Log): void {
  for (const line of lines(log)) line();
}
plant.lines = lines;
