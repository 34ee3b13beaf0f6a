/**
 * Two cards and --bind for both: what is read comes in over both, each carries 40 % at least; with a few connections, which
 * cannot be divided evenly at every moment, a quarter at least. Without --bind all of it comes over the card of the route,
 * which shows that the counters tell them apart.
 */
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run, startMount, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import type { TestServer } from '../support/servers/server.js';
import { makeTwoCards, whyNoCards, type TwoCards } from './support/two-cards.js';

const MIB = 1024 ** 2;
const FILE_BYTES = 256 * MIB;
/** What is added to --bind, and of the payload on each card at least. */
const CASES: readonly { readonly flags: readonly string[]; readonly shareMin: number }[] = [
  { flags: [], shareMin: 0.4 },
  // Three connections a thread: threads that all begin with the first card, and take turns from there, put 80 % on it.
  { flags: ['--net-threads', '2', '--max-connections', '6'], shareMin: 0.25 },
];

const skip = whyNoMount() ?? whyNoCards() ?? false;

/** Bytes that each card takes in while the file is read, past the cache, over a new mount. */
async function receivedOver(
  t: Test,
  network: TwoCards,
  server: TestServer,
  flags: readonly string[],
): Promise<[number, number]> {
  const mount = await startMount(server, { bucket: 'data', flags });
  // An interrupted test leaves no mount; the exit that follows ends the server and removes the network.
  const interrupted = (): void => void mount.stop().finally(() => process.exit(1));
  process.once('SIGTERM', interrupted).once('SIGINT', interrupted);
  try {
    const [one, other] = network.cards;
    const before = [one.receivedBytes(), other.receivedBytes()] as const;
    const read = await run('dd', [`if=${join(mount.path, 'big')}`, 'of=/dev/null', 'bs=8M', 'iflag=direct']);
    t.match(read.stderr, `${FILE_BYTES} bytes`, 'the whole file was read');
    const received: [number, number] = [one.receivedBytes() - before[0], other.receivedBytes() - before[1]];
    t.ok(received[0] + received[1] >= FILE_BYTES, 'all of it came over the cards');
    const shares = received.map((bytes) => `${((100 * bytes) / FILE_BYTES).toFixed(1)} %`);
    t.comment(`${flags.join(' ') || 'no flags'}: ${shares.join(', ')} of the payload`);
    return received;
  } finally {
    process.off('SIGTERM', interrupted).off('SIGINT', interrupted);
    await mount.stop();
  }
}

t.test('connections are spread over the cards of --bind', { skip }, async (t) => {
  const network = makeTwoCards();
  t.teardown(() => network.remove());
  const server = await startBuiltinProcess({
    buckets: ['data'],
    place: { host: network.farAddress, enter: network.enter },
  });
  t.teardown(() => server.stop());
  // A hole is as many bytes on the way as anything else.
  const file = openSync(join(server.dataDir, 'data/big'), 'w');
  ftruncateSync(file, FILE_BYTES);
  closeSync(file);

  const bind = network.cards.flatMap(({ name }) => ['--bind', name]);
  for (const { flags, shareMin } of CASES) {
    const received = await receivedOver(t, network, server, [...bind, ...flags]);
    for (const [index, { name }] of network.cards.entries()) {
      t.ok((received[index] ?? 0) >= shareMin * FILE_BYTES, `${name} carries ${100 * shareMin} % at least`);
    }
  }
  const [routed, other] = await receivedOver(t, network, server, []);
  t.ok(routed >= FILE_BYTES, 'without --bind the card of the route carries everything');
  t.ok(other < MIB, 'and the other nothing');
});
