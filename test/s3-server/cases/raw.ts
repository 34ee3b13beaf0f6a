/**
 * Requests that the SDK cannot express: odd headers, wrong signatures, broken bodies, hand-made chunks.
 *
 * Signing is the SDK's own signer, so a case that signs by hand still signs as every client does; only the signed chunks of aws-chunked are
 * made here (chunks.ts). Bodies are read to their end and bounded. Nothing is retried and nothing is decoded.
 */
import assert from 'node:assert/strict';
import { Hash } from '@smithy/hash-node';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { TestServer } from '../../support/servers/server.js';
import type { CaseContext } from './context.js';

/** A case never reads more than this of a raw answer. */
const BODY_BYTES_MAX = 64 * 2 ** 20;
const REQUEST_WAIT_MS_MAX = 30_000;

/** A request as it goes onto the wire. */
export interface RawRequest {
  readonly method: string;
  /** Already percent-encoded; starts with `/`. See `pathOf`. */
  readonly path: string;
  /** Decoded; encoded when sent. */
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

/** How to sign; every field has the value of a correct client as default. */
export interface SigningChoices {
  readonly accessKey?: string;
  readonly secretKey?: string;
  readonly region?: string;
  readonly service?: string;
  readonly date?: Date;
  /** Value of x-amz-content-sha256; default the SHA-256 of the body. */
  readonly payloadHash?: string;
}

/** A whole answer. Header names are lower case. */
export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Local port of the connection: equal ports mean a reused connection. */
  readonly localPort: number;
}

/** What `send` may be told besides the request. */
export interface SendOptions {
  readonly agent?: HttpAgent | HttpsAgent;
  /** Wait for `100 Continue` before the body is sent. */
  readonly expectContinue?: boolean;
}

/** Percent-encodes as SigV4 asks: all but unreserved characters. */
export function encodeUri(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The path-style path of a bucket or an object. */
export function pathOf(bucket: string, key?: string): string {
  if (key === undefined) return `/${bucket}`;
  return `/${bucket}/${key.split('/').map(encodeUri).join('/')}`;
}

/** Signs in the Authorization header; the result has `host`, `x-amz-date` and `x-amz-content-sha256` set. */
export async function signed(
  server: TestServer,
  request: RawRequest,
  choices: SigningChoices = {},
): Promise<RawRequest> {
  const { host } = new URL(server.endpoint);
  const payloadHash =
    choices.payloadHash ??
    createHash('sha256')
      .update(request.body ?? '')
      .digest('hex');
  const unsigned = new HttpRequest({
    method: request.method,
    path: request.path,
    query: { ...request.query },
    headers: { host, ...request.headers, 'x-amz-content-sha256': payloadHash },
  });
  const result = await signer(server, choices).sign(unsigned, { signingDate: choices.date ?? new Date() });
  return { ...request, headers: result.headers };
}

/** Signs in the query, as a presigned URL does. */
export async function presigned(
  server: TestServer,
  request: RawRequest,
  expiresInSeconds: number,
  choices: SigningChoices = {},
): Promise<RawRequest> {
  const { host } = new URL(server.endpoint);
  const headers = { host, ...request.headers };
  const unsigned = new HttpRequest({
    method: request.method,
    path: request.path,
    query: { ...request.query },
    headers: { ...headers },
  });
  unsigned.headers['x-amz-content-sha256'] = choices.payloadHash ?? 'UNSIGNED-PAYLOAD';
  const result = await signer(server, choices).presign(unsigned, {
    expiresIn: expiresInSeconds,
    signingDate: choices.date ?? new Date(),
    unhoistableHeaders: new Set(Object.keys(headers)),
    unsignableHeaders: new Set(['x-amz-content-sha256']),
  });
  const query = Object.fromEntries(Object.entries(result.query ?? {}).map(([name, value]) => [name, String(value)]));
  return { ...request, query, headers };
}

function signer(server: TestServer, choices: SigningChoices): SignatureV4 {
  return new SignatureV4({
    credentials: {
      accessKeyId: choices.accessKey ?? server.accessKey,
      secretAccessKey: choices.secretKey ?? server.secretKey,
    },
    region: choices.region ?? server.region,
    service: choices.service ?? 's3',
    sha256: Hash.bind(null, 'sha256'),
    uriEscapePath: false,
    applyChecksum: true,
  });
}

/** Sends a request as it stands and reads the whole answer. */
export async function send(server: TestServer, request: RawRequest, options: SendOptions = {}): Promise<RawResponse> {
  const { message, localPort } = await open(server, request, options);
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    assert.ok(bytes <= BODY_BYTES_MAX, 'the answer is larger than any case expects');
    chunks.push(chunk);
  }
  return { status: message.statusCode ?? 0, headers: flatten(message), body: Buffer.concat(chunks), localPort };
}

/** Signs and sends. */
export async function sendSigned(
  ctx: CaseContext,
  request: RawRequest,
  choices: SigningChoices = {},
  options: SendOptions = {},
): Promise<RawResponse> {
  return send(ctx.server, await signed(ctx.server, request, choices), options);
}

/** Sends and resolves with the answer's head; the caller reads or destroys the body. */
export async function open(
  server: TestServer,
  request: RawRequest,
  options: SendOptions = {},
): Promise<{ message: IncomingMessage; localPort: number }> {
  const url = new URL(server.endpoint);
  const query = Object.entries(request.query ?? {})
    .map(([name, value]) => `${encodeUri(name)}=${encodeUri(value)}`)
    .join('&');
  const agent = options.agent ?? agentOf(server, { keepAlive: false });
  const path = query === '' ? request.path : `${request.path}?${query}`;
  const settings = { host: url.hostname, port: url.port, method: request.method, path, agent, setHost: false };
  const headers = { host: url.host, ...request.headers };
  const body = request.body === undefined ? undefined : Buffer.from(request.body);
  const hasLength = Object.keys(headers).some((name) => /^(content-length|transfer-encoding)$/i.test(name));
  const length = body === undefined || hasLength ? {} : { 'content-length': String(body.length) };
  const expect = options.expectContinue === true ? { expect: '100-continue' } : {};
  return new Promise((resolve, reject) => {
    const outgoing = (url.protocol === 'https:' ? httpsRequest : httpRequest)(
      { ...settings, headers: { ...headers, ...length, ...expect }, timeout: REQUEST_WAIT_MS_MAX },
      (message) => resolve({ message, localPort: message.socket.localPort ?? 0 }),
    );
    outgoing.once('timeout', () => outgoing.destroy(new Error(`no answer within ${REQUEST_WAIT_MS_MAX} ms`)));
    outgoing.once('error', reject);
    if (options.expectContinue === true) {
      outgoing.flushHeaders();
      outgoing.once('continue', () => outgoing.end(body));
      outgoing.once('response', () => outgoing.end());
    } else {
      outgoing.end(body);
    }
  });
}

/** An agent that trusts the server's CA. The caller destroys it. */
export function agentOf(
  server: TestServer,
  options: { keepAlive: boolean; maxSockets?: number },
): HttpAgent | HttpsAgent {
  if (server.tlsCaFile === undefined) return new HttpAgent(options);
  return new HttpsAgent({ ...options, ca: readFileSync(server.tlsCaFile) });
}

/** Asserts status and `<Code>` of an error answer and the parts that every S3 error document has; returns the document. */
export function expectError(
  response: RawResponse,
  status: number | readonly number[],
  code: string | readonly string[],
): string {
  const xml = response.body.toString('utf8');
  const statuses = typeof status === 'number' ? [status] : status;
  const codes = typeof code === 'string' ? [code] : code;
  assert.ok(
    statuses.includes(response.status),
    `expected status ${statuses.join(' or ')}, got ${response.status}: ${xml}`,
  );
  const said = xmlText(xml, 'Code');
  assert.ok(said !== undefined && codes.includes(said), `expected code ${codes.join(' or ')}, got ${xml}`);
  assert.match(xml, /<Error>/);
  assert.match(response.headers['content-type'] ?? '', /^application\/xml/);
  return xml;
}

/** Asserts a success; the body is printed otherwise. */
export function expectStatus(response: RawResponse, status: number): void {
  assert.equal(response.status, status, response.body.subarray(0, 2000).toString('utf8'));
}

/** The unescaped text of the first element `name`, or undefined. */
export function xmlText(xml: string, name: string): string | undefined {
  return xmlTexts(xml, name)[0];
}

/** The unescaped texts of all elements `name`, in order. */
export function xmlTexts(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}(?: [^>]*)?>([^<]*)</${name}>`, 'g'))].map((match) =>
    unescapeXml(match[1] ?? ''),
  );
}

function unescapeXml(text: string): string {
  return text.replace(
    /&(?:#x([0-9a-f]+)|#(\d+)|(lt|gt|amp|quot|apos));/gi,
    (_all, hex?: string, decimal?: string, name?: string) => {
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (decimal !== undefined) return String.fromCodePoint(Number.parseInt(decimal, 10));
      return { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }[name ?? ''] ?? '';
    },
  );
}

function flatten(message: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}
