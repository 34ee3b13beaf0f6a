/**
 * Many bodies at once to a server that does what it likes: resets anywhere, refuses before, within and after a body, speaks
 * of 100 Continue, closes without a word, answers 200 with an error. Every call must succeed in the end, every body that
 * the server took must be right to the byte, and nothing may be left over.
 *
 * The seed is printed; SEED=n replays it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { BLOCK_BYTES } from '../../../src/base/pool/layout.js';
import type { BodyPiece, SlotPiece } from '../../../src/engine/write-api.js';
import { TEST_CA_PEM } from '../../support/raw-server-certs.js';
import { RawServer, errorAnswer, type RawConnection, type RawRequest } from '../../support/raw-server.js';
import { writerBench } from '../writing/harness.js';

const SLOTS = 8;
const PUTS = 120;
const OK = 'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n';

/** 0 <= n < below; the same for the same seed. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

function randomPieces(next: (below: number) => number): BodyPiece[] {
  return Array.from({ length: next(5) }, () => {
    if (next(4) === 0) return Buffer.from(`text ${next(1000)}`.repeat(next(3)));
    const from = next(BLOCK_BYTES);
    // Small ones, too: they leave in one packet with the head.
    const to = Math.min(BLOCK_BYTES, from + (next(2) === 0 ? next(5_000) : next(BLOCK_BYTES)));
    return { slot: next(SLOTS), from, to };
  });
}

for (const isTls of [false, true]) {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  t.test(`bodies under fire over ${isTls ? 'TLS' : 'TCP'}, seed ${seed}`, async (t) => {
    const next = generator(seed);
    const taken = new Map<string, Buffer>();
    let faults = 0;
    /** True when the connection can be used for another request. */
    const serve = async (connection: RawConnection, request: RawRequest): Promise<boolean> => {
      const bytes = Number(request.headers['content-length'] ?? 0);
      if (request.headers['expect'] !== undefined && next(2) === 0) {
        await connection.send('HTTP/1.1 100 Continue\r\n\r\n');
      }
      const fault = next(10);
      if (fault < 7) faults++;
      switch (fault) {
        case 0:
          await connection.body(next(bytes + 1));
          connection.reset();
          return false;
        case 1:
          await connection.body(next(bytes + 1));
          await connection.send(errorAnswer(503, 'SlowDown'));
          connection.end();
          return false;
        case 2:
          await connection.body(bytes);
          connection.end();
          return false;
        case 3:
          await connection.send(errorAnswer(500, 'InternalError', 'Connection: close\r\n'));
          connection.end();
          return false;
        default: {
          const body = await connection.body(bytes);
          if (body === undefined) return false;
          if (fault === 4) await connection.send(errorAnswer(500, 'InternalError'));
          else if (fault === 5) await connection.send(errorAnswer(400, 'RequestTimeout'));
          else if (fault === 6) {
            taken.set(request.target, body);
            await connection.sendTorn(OK, 10);
            connection.reset();
            return false;
          } else {
            taken.set(request.target, body);
            await connection.send(OK);
          }
          return true;
        }
      }
    };
    const server = await RawServer.start({
      tls: isTls,
      script: async (connection) => {
        for (;;) {
          const request = await connection.request();
          if (request === undefined || !(await serve(connection, request))) return;
        }
      },
    });
    t.teardown(() => server.close());
    const bench = writerBench(t, {
      port: server.port,
      slots: SLOTS,
      connectionsMax: 6,
      objects: { checksums: 'crc32' },
      target: { maxAttempts: 1000, ...(isTls ? { tls: true, hostname: 'localhost', caPem: TEST_CA_PEM } : {}) },
      timeouts: { continueMs: 5, sweepMs: 2 },
    });
    const bodies = Array.from({ length: PUTS }, () => randomPieces(next));
    await Promise.all(
      bodies.map(async (body, index) => {
        await bench.writer.uploadPart({ key: `k${index}`, uploadId: 'u' }, 1, body);
        const expected = Buffer.concat(
          body.map((piece) => (piece instanceof Uint8Array ? piece : bench.bytesOf([piece as SlotPiece]))),
        );
        const got = taken.get(`/bucket-one/k${index}?partNumber=1&uploadId=u`);
        if (got?.equals(expected) !== true)
          t.fail(`body ${index} of ${expected.length} bytes is wrong (${got?.length})`);
      }),
    );
    t.ok(faults > PUTS, `${faults} faults, ${server.requests.length} requests`);
    t.equal(bench.calls.size, 0);
    for (let turn = 0; turn < 10; turn++) await nextTurn();
    const counts = bench.threads[0]?.counts;
    t.equal(counts?.connections, counts?.idle, 'every connection is idle or gone');
  });
}
