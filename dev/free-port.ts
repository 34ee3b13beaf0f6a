/**
 * A port of 127.0.0.1 that nothing listens on now: for programs that start a server in a process of its own and must tell
 * it where to listen. Somebody else may take it in between; then that server says so and ends.
 */
import { createServer } from 'node:net';

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(address && typeof address === 'object' ? address.port : 0));
    });
  });
}
