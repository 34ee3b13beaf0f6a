/**
 * What the control plane's tests share: an environment without any trace of the machine's AWS settings, and a scripted
 * HTTP server on 127.0.0.1 that records what it was asked. Every test file is a process of its own under tap, so that
 * changing process.env here reaches nobody else.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { systemClock } from '../../../src/base/clock.js';
import type { Log, LogFields } from '../../../src/base/log.js';
import type { StoreOptions } from '../../../src/engine/api.js';
import { StoreError } from '../../../src/engine/store-error.js';
import { openStoreAccess, type ControlPlaneDeps, type StoreAccess } from '../../../src/engine/store/control-plane.js';

/** Removes every AWS and proxy variable and points HOME to an empty folder, whose path it returns. */
export function isolateEnvironment(t: Test): string {
  const home = mkdtempSync(join(tmpdir(), 'mount-s3x-home-'));
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (/^AWS_|_proxy$/i.test(name)) delete process.env[name];
  process.env['HOME'] = home;
  process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
  t.teardown(() => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
    rmSync(home, { recursive: true, force: true });
  });
  return home;
}

/** Writes `home`/`path`, folders included. */
export function writeHomeFile(home: string, path: string, text: string): string {
  const full = join(home, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  return full;
}

export interface SeenRequest {
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export interface ScriptedServer {
  /** http://127.0.0.1:PORT */
  readonly url: string;
  readonly port: number;
  readonly requests: SeenRequest[];
  readonly server: Server;
}

export type Script = (request: SeenRequest, response: ServerResponse, count: number) => void;

/** `script` gets each request with its number, from 1. Closed at the end of the test. */
export async function startScripted(
  t: Test,
  script: Script,
  wrap?: (listener: RequestListener) => Server,
): Promise<ScriptedServer> {
  const requests: SeenRequest[] = [];
  const listener: RequestListener = (request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const seen = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body };
      requests.push(seen);
      script(seen, response, requests.length);
    });
  };
  const server = wrap === undefined ? createServer(listener) : wrap(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, requests, server };
}

/** A port on which nobody listens. */
export async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

export function answerXml(
  response: ServerResponse,
  status: number,
  xml: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/xml', ...headers });
  response.end(`<?xml version="1.0" encoding="UTF-8"?>\n${xml}`);
}

export function errorXml(code: string, message: string, extra = ''): string {
  return `<Error><Code>${code}</Code><Message>${message}</Message>${extra}<RequestId>r</RequestId></Error>`;
}

/** A ListObjectsV2 answer with `inner` between its fixed fields. */
export function listXml(inner = '', truncated = false): string {
  return (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix></Prefix>' +
    `<MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType><IsTruncated>${truncated}</IsTruncated>${inner}</ListBucketResult>`
  );
}

export function contentsXml(key: string, etag = 'e1', size = 3): string {
  return (
    `<Contents><Key>${key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;${etag}&quot;</ETag>` +
    `<Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`
  );
}

export function storeOptions(some: Partial<StoreOptions> = {}): StoreOptions {
  return {
    bucket: 'bucket-one',
    prefix: '',
    forcePathStyle: false,
    transferAcceleration: false,
    dualStack: false,
    fips: false,
    requesterPays: false,
    anonymous: false,
    ...some,
  };
}

export interface LogLine extends LogFields {
  readonly level: string;
  readonly message: string;
}

/** Collects lines. */
export function recordingLog(): Log & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (fields: LogFields, message: string): void => {
      lines.push({ ...fields, level, message });
    };
  return { lines, trace: at('trace'), debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Settings, credentials and client for `options`; closed at the end of the test. */
export async function openAccess(
  t: Test,
  options: Partial<StoreOptions>,
  deps: Partial<ControlPlaneDeps> = {},
): Promise<StoreAccess> {
  const access = await openStoreAccess(storeOptions(options), { clock: systemClock, log: recordingLog(), ...deps });
  t.teardown(() => access.close());
  return access;
}

/** The StoreError that `work` rejects with; anything else fails the test by throwing. */
export async function storeErrorOf(work: Promise<unknown>): Promise<StoreError> {
  let result: unknown;
  try {
    result = await work;
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
  throw new Error(`expected a StoreError, got ${JSON.stringify(result)}`);
}

/** Keys that no test needs to be secret. */
export function setKeys(accessKeyId = 'AKIDEXAMPLE', secretAccessKey = 'secret'): void {
  process.env['AWS_ACCESS_KEY_ID'] = accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = secretAccessKey;
}
