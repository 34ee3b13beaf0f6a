/**
 * One request from head to answer: addressing, routing, faults, authentication, region, operation, errors as XML.
 *
 * The order is S3's as far as a client can tell: the signature is checked before anything about the bucket is revealed.
 * Fault rules see the request right after routing, so that an injected 503 costs no work and needs no credentials.
 */
import { randomBytes } from 'node:crypto';
import { authenticate, authenticateZonal, type Credential, type Identity } from './auth/authenticate.js';
import { S3Error } from './errors.js';
import type { FaultDecision, FaultEngine, InjectedError } from './faults/fault-engine.js';
import { sendShaped } from './faults/shaped-send.js';
import type { Exchange, Outcome } from './http/connection.js';
import { parseQuery, percentDecode } from './http/percent.js';
import { bodyBytes, discardBody, type Reply } from './http/reply.js';
import { HttpError, type RequestHead } from './http/request-reader.js';
import { sleepOnSocket } from './http/socket-io.js';
import { KEY_BYTES_MAX } from './limits.js';
import type { OpContext, ServerContext } from './ops/context.js';
import { checkDirectoryAccess, checkDirectoryRequest, isDirectoryBucket } from './ops/directory-bucket.js';
import { Payload } from './ops/payload.js';
import { type Route, routeOf } from './ops/route.js';
import type { StatsBook } from './stats.js';
import { element, XML_HEAD } from './xml.js';

/** What dispatch needs of the server. `credentials` may be replaced while running. */
export interface DispatchDeps {
  readonly context: ServerContext;
  readonly faults: FaultEngine;
  readonly stats: StatsBook;
  readonly domains: readonly string[];
  readonly publicBuckets: readonly string[];
  credentials: readonly Credential[] | null;
  readonly report: (error: unknown) => void;
  /** RST on the connection below `socket`, TLS or not. */
  readonly reset: (socket: Exchange['socket']) => void;
}

interface Address {
  readonly bucketName: string;
  readonly key: string;
  /** Decoded path, as it is signed. */
  readonly path: string;
}

const hostId = randomBytes(24).toString('base64');
let requestSerial = 0;

/** Answers one request. Never throws. */
export async function dispatch(deps: DispatchDeps, exchange: Exchange): Promise<Outcome> {
  const { head } = exchange;
  const requestId = (0x1_0000_0000 + requestSerial++).toString(16).toUpperCase().padStart(16, '0');
  let operation = 'Unknown';
  let address: Address = { bucketName: '', key: '', path: '' };
  let decision: FaultDecision | null = null;
  let code: string | null = null;
  let reply: Reply;
  try {
    address = addressOf(head, deps.domains);
    const pairs = parseQuery(head.rawQuery);
    const query = new Map(pairs);
    const { bucketName, key } = address;
    const route = routeOf(head.method, bucketName !== '', key !== '', query, head.headers);
    if (typeof route !== 'string') operation = route.name;
    decision = deps.faults.decide({
      operation,
      bucket: bucketName === '' ? null : bucketName,
      key: key === '' ? null : key,
      socket: exchange.socket,
    });
    if (decision !== null) deps.stats.faultsInjected++;
    const injected = decision?.error ?? null;
    if (injected !== null) {
      code = injected.code;
      reply = injectedReply(injected, address, requestId);
    } else {
      const signed = { head, path: address.path, query: pairs };
      const isZonal = isDirectoryBucket(bucketName);
      const { sessions } = deps.context;
      const identity = isZonal
        ? authenticateZonal(signed, deps.credentials, Date.now(), { sessions, bucketName })
        : authenticate(signed, deps.credentials, Date.now());
      if (typeof route === 'string') throw new S3Error(route, { elements: { Method: head.method } });
      checkAccess(deps, identity, route, address);
      const context = contextOf(deps, exchange, identity, address, query);
      if (!isZonal) refuseExpressSignature(identity);
      else {
        checkDirectoryAccess(operation, identity);
        checkDirectoryRequest(operation, context);
      }
      if (decision !== null) disturbReading(context, decision, () => deps.reset(exchange.socket));
      reply = await route.run(context);
      deps.stats.of(operation).bytesIn += context.payload.readBytes;
      const errorInBody = decision?.errorInBody ?? null;
      if (errorInBody !== null && reply.status === 200) {
        discardBody(reply);
        code = errorInBody.code;
        reply = { ...injectedReply(errorInBody, address, requestId), status: 200 };
      }
    }
  } catch (error) {
    const s3Error = asS3Error(error, deps.report);
    code = s3Error.code;
    reply = errorReply(s3Error, address, requestId, head.method);
  }
  reply.headers['x-amz-request-id'] = requestId;
  reply.headers['x-amz-id-2'] = hostId;
  return outcomeOf(deps, exchange, { reply, decision, operation, address, code });
}

function outcomeOf(
  deps: DispatchDeps,
  exchange: Exchange,
  done: { reply: Reply; decision: FaultDecision | null; operation: string; address: Address; code: string | null },
): Outcome {
  const { reply, decision, operation, address, code } = done;
  const { head, socket, startMs } = exchange;
  const stats = deps.stats.of(operation);
  const isHead = head.method === 'HEAD';
  const plannedBytes = isHead ? 0 : bodyBytes(reply);
  stats.requests++;
  if (code !== null) stats.errors[code] = (stats.errors[code] ?? 0) + 1;
  const onSent = (sentBytes: number): void => {
    stats.bytesOut += sentBytes;
  };
  deps.stats.remember({
    operation,
    method: head.method,
    bucket: address.bucketName === '' ? null : address.bucketName,
    key: address.key === '' ? null : address.key,
    range: head.headers.get('range') ?? null,
    status: reply.status,
    code,
    bytesOut: plannedBytes,
    headers: head.headers,
    query: head.rawQuery,
    timeMs: Date.now(),
  });
  if (decision === null) return { reply, onSent };
  return {
    reply,
    send: async (options) => {
      const shaped = { socket, reply, decision, startMs, reset: () => deps.reset(socket) };
      const { sentBytes, canGoOn } = await sendShaped(shaped, options);
      onSent(sentBytes);
      return canGoOn;
    },
  };
}

function contextOf(
  deps: DispatchDeps,
  exchange: Exchange,
  identity: Identity,
  address: Address,
  query: ReadonlyMap<string, string>,
): OpContext {
  const { headers } = exchange.head;
  return {
    server: deps.context,
    exchange,
    identity,
    bucketName: address.bucketName,
    key: address.key,
    query,
    headers,
    payload: new Payload(exchange.body, identity, headers),
  };
}

/** Bucket and key, from the Host header (virtual-host style) or the path. Throws InvalidURI, KeyTooLongError. */
function addressOf(head: RequestHead, domains: readonly string[]): Address {
  const path = percentDecode(head.rawPath);
  const host = (head.headers.get('host') ?? '').replace(/:\d+$/, '').toLowerCase();
  const domain = domains.find((name) => host.length > name.length + 1 && host.endsWith(`.${name}`));
  let bucketName: string;
  let key: string;
  if (domain !== undefined) {
    bucketName = host.slice(0, -domain.length - 1);
    key = path.slice(1);
  } else {
    const slash = path.indexOf('/', 1);
    bucketName = slash < 0 ? path.slice(1) : path.slice(1, slash);
    key = slash < 0 ? '' : path.slice(slash + 1);
  }
  if (bucketName.includes('/') || bucketName.includes('\0') || bucketName === '.' || bucketName === '..') {
    throw new S3Error('InvalidBucketName', { elements: { BucketName: bucketName } });
  }
  if (key.includes('\0')) throw new S3Error('InvalidURI');
  const keyBytes = Buffer.byteLength(key);
  if (keyBytes > KEY_BYTES_MAX) {
    throw new S3Error('KeyTooLongError', {
      elements: { Size: String(keyBytes), MaxSizeAllowed: String(KEY_BYTES_MAX) },
    });
  }
  return { bucketName, key, path };
}

/** Anonymous access and regions. Throws AccessDenied, AuthorizationHeaderMalformed, PermanentRedirect. */
function checkAccess(deps: DispatchDeps, identity: Identity, route: Route, address: Address): void {
  const { bucketName } = address;
  const isChecked = deps.credentials !== null;
  if (isChecked && identity.accessKey === null) {
    if (route.isRead !== true || !deps.publicBuckets.includes(bucketName)) throw new S3Error('AccessDenied');
  }
  const { region, bucketRegions } = deps.context;
  const bucketRegion = bucketRegions[bucketName] ?? region;
  const headers = { 'x-amz-bucket-region': bucketRegion };
  if (bucketRegion !== region && identity.region !== bucketRegion) {
    throw new S3Error('PermanentRedirect', {
      elements: { Endpoint: `${bucketName}.s3.${bucketRegion}.amazonaws.com`, Bucket: bucketName },
      headers,
    });
  }
  if (identity.region !== null && identity.region !== bucketRegion) {
    throw new S3Error('AuthorizationHeaderMalformed', {
      message: `The authorization header is malformed; the region '${identity.region}' is wrong; expecting '${bucketRegion}'`,
      elements: { Region: bucketRegion },
      headers: bucketName === '' ? {} : headers,
    });
  }
}

/** Throws AuthorizationHeaderMalformed. */
function refuseExpressSignature(identity: Identity): void {
  if (identity.service !== 's3express') return;
  throw new S3Error('AuthorizationHeaderMalformed', {
    message: 'The authorization header is malformed; incorrect service "s3express". This endpoint belongs to "s3".',
  });
}

/** Pacing faults hold for uploads too; a reset in the middle of a request body is one of their own. */
function disturbReading(context: OpContext, decision: FaultDecision, reset: () => void): void {
  const { pacers, effects } = decision;
  const { resetAfterReceivedBytes } = effects;
  if (pacers.length === 0 && resetAfterReceivedBytes === undefined) return;
  let received = 0;
  context.payload.paceBy(async (bytes) => {
    received += bytes;
    if (resetAfterReceivedBytes !== undefined && received > resetAfterReceivedBytes) {
      reset();
      throw new S3Error('IncompleteBody');
    }
    if (pacers.length === 0) return;
    const nowMs = performance.now();
    await sleepOnSocket(context.exchange.socket, Math.max(...pacers.map((pacer) => pacer.book(bytes, nowMs))));
  });
}

function asS3Error(error: unknown, report: (error: unknown) => void): S3Error {
  if (error instanceof S3Error) return error;
  // The client went away or sent a broken body: the answer will hardly be read.
  if (error instanceof HttpError) return new S3Error('IncompleteBody', { message: error.message });
  report(error);
  return new S3Error('InternalError');
}

function errorReply(error: S3Error, address: Address, requestId: string, method: string): Reply {
  const headers: Record<string, string> = { ...error.headers };
  // A 304 or an answer to HEAD has no body; S3 gives HEAD no Content-Type either, but clients do not look.
  if (method === 'HEAD') return { status: error.status, headers, body: null };
  headers['Content-Type'] = 'application/xml';
  return { status: error.status, headers, body: errorXml(error, error.elements, address, requestId) };
}

function injectedReply(error: InjectedError, address: Address, requestId: string): Reply {
  return {
    status: error.status,
    headers: { 'Content-Type': 'application/xml' },
    body: errorXml(error, {}, address, requestId),
  };
}

function errorXml(
  error: { code: string; message: string },
  elements: Readonly<Record<string, string>>,
  address: Address,
  requestId: string,
): Buffer {
  let inner = element('Code', error.code) + element('Message', error.message);
  for (const [name, value] of Object.entries(elements)) inner += element(name, value);
  if (address.path !== '') inner += element('Resource', address.path);
  inner += element('RequestId', requestId) + element('HostId', hostId);
  return Buffer.from(`${XML_HEAD}<Error>${inner}</Error>`);
}
