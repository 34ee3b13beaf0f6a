/**
 * The admin endpoint, for tests that run the server in another process. Only with `admin: true`, and unauthenticated:
 * whoever reaches the port may use it.
 *
 *   GET  /-/health         200 when serving
 *   GET  /-/stats          counters as JSON          POST /-/stats/reset    starts counting anew
 *   GET  /-/requests       recent requests as JSON
 *   POST /-/faults         replaces all fault rules (JSON array)
 *   POST /-/credentials    replaces all credentials (JSON array, or null)
 *   POST /-/sessions/end   ends all sessions of directory buckets
 *   POST /-/rescan         compares the indexes with the folders, now
 */
import type { Credential } from './auth/authenticate.js';
import type { Exchange } from './http/connection.js';
import type { Reply } from './http/reply.js';
import type { FaultRule } from './faults/fault-rule.js';
import type { S3Server } from './options.js';

const BODY_BYTES_MAX = 1024 * 1024;

/** Paths that belong to the admin endpoint; `-` is no bucket name. */
export function isAdminPath(rawPath: string): boolean {
  return rawPath.startsWith('/-/');
}

/** Answers an admin request. Never throws. */
export async function answerAdmin(server: Omit<S3Server, 'close'>, exchange: Exchange): Promise<Reply> {
  const { method, rawPath } = exchange.head;
  try {
    switch (`${method} ${rawPath}`) {
      case 'GET /-/health':
        return json(200, { ok: true });
      case 'GET /-/stats':
        return json(200, server.stats());
      case 'GET /-/requests':
        return json(
          200,
          server.requests().map((request) => ({ ...request, headers: Object.fromEntries(request.headers) })),
        );
      case 'POST /-/stats/reset':
        server.resetStats();
        return json(200, { ok: true });
      case 'POST /-/rescan':
        server.rescan();
        return json(200, { ok: true });
      case 'POST /-/sessions/end':
        server.endSessions();
        return json(200, { ok: true });
      case 'POST /-/faults':
        server.setFaults((await readJson(exchange)) as readonly FaultRule[]);
        return json(200, { ok: true });
      case 'POST /-/credentials':
        server.setCredentials((await readJson(exchange)) as readonly Credential[] | null);
        return json(200, { ok: true });
      default:
        return json(404, { error: `no such admin request: ${method} ${rawPath}` });
    }
  } catch (error) {
    return json(400, { error: error instanceof Error ? error.message : String(error) });
  }
}

function json(status: number, value: unknown): Reply {
  return {
    status,
    headers: { 'Content-Type': 'application/json' },
    body: Buffer.from(`${JSON.stringify(value, null, 2)}\n`),
  };
}

async function readJson(exchange: Exchange): Promise<unknown> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for (let piece = await exchange.body.read(); piece !== null; piece = await exchange.body.read()) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) throw new Error('request too large');
  }
  return JSON.parse(Buffer.concat(pieces).toString()) as unknown;
}
