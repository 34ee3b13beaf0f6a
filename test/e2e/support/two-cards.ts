/**
 * A machine with two network cards, made of two veth pairs: their other ends are in a network namespace, which stands for the
 * network and the host at its far end. Each card has an address in a subnet of its own; the host has one address, which is
 * reached over either subnet. Connections leave through the card whose address they are bound to by a policy route for each
 * address, as Amazon Linux (ec2-net-utils) and a careful administrator set them; the main table knows the first card only.
 *
 * Nothing leaves this machine: the addresses are of 198.18.0.0/15, which is set aside for such tests (RFC 2544). Names and
 * tables carry the pid of the test, and all is removed at `remove`, at the end of this process, or by the next run.
 * Only for root. Refuses to touch any interface, rule or route that it did not make.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** More than any table that an administrator would number. */
const TABLES_FROM = 1_000_000_000;
const IP_WAIT_MS = 10_000;

/** A card of the machine. */
export interface Card {
  /** Such as `s3x4711a`. */
  readonly name: string;
  readonly address: string;
  /** Bytes that came in since it exists, headers of the link included. */
  receivedBytes(): number;
}

export interface TwoCards {
  readonly cards: readonly [Card, Card];
  /** Of the host at the far end. */
  readonly farAddress: string;
  /** What stands before a command line that runs at the far end. */
  readonly enter: readonly [string, ...string[]];
  remove(): void;
}

/** Why this cannot be had here, for a test's skip line; undefined when it can. */
export function whyNoCards(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root: network namespaces and interfaces are made';
  if (spawnSync('ip', ['-V']).status !== 0) return 'no `ip` on this machine (Debian package iproute2)';
  const names = namesOf(process.pid);
  try {
    ip('netns', 'add', names.space);
    ip('link', 'add', names.cards[0], 'type', 'veth', 'peer', 'name', 'far0', 'netns', names.space);
    ip('rule', 'add', 'from', '198.18.0.1', 'table', String(names.tables[0]));
    return undefined;
  } catch (error) {
    return `no network namespaces, veth pairs or policy routes here: ${(error as Error).message}`;
  } finally {
    removeOf(process.pid);
  }
}

/** Makes the machine. Throws with nothing left behind. */
export function makeTwoCards(): TwoCards {
  removeForgotten();
  const { pid } = process;
  const names = namesOf(pid);
  const remove = (): void => {
    process.off('exit', remove);
    removeOf(pid);
  };
  process.on('exit', remove);
  try {
    const subnet = `198.18.${pid % 250}`;
    const farAddress = `${subnet}.254`;
    const far = ['-n', names.space];
    ip('netns', 'add', names.space);
    ip(...far, 'link', 'set', 'lo', 'up');
    ip(...far, 'addr', 'add', `${farAddress}/32`, 'dev', 'lo');
    const cards = names.cards.map((name, index): Card => {
      const address = `${subnet}.${index * 16 + 1}`;
      const gateway = `${subnet}.${index * 16 + 2}`;
      ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `far${index}`, 'netns', names.space);
      ip(...far, 'addr', 'add', `${gateway}/28`, 'dev', `far${index}`);
      ip(...far, 'link', 'set', `far${index}`, 'up');
      ip('addr', 'add', `${address}/28`, 'dev', name);
      ip('link', 'set', name, 'up');
      const route = ['route', 'add', `${farAddress}/32`, 'via', gateway, 'dev', name];
      if (index === 0) ip(...route);
      const table = String(names.tables[index]);
      ip(...route, 'table', table);
      ip('rule', 'add', 'from', address, 'table', table);
      return {
        name,
        address,
        receivedBytes: () => Number(readFileSync(`/sys/class/net/${name}/statistics/rx_bytes`, 'utf8')),
      };
    });
    const [first, second] = cards;
    if (!first || !second) throw new Error('two names make two cards');
    return { cards: [first, second], farAddress, enter: ['ip', 'netns', 'exec', names.space], remove };
  } catch (error) {
    remove();
    throw error;
  }
}

interface Names {
  readonly space: string;
  /** 15 characters at most (IFNAMSIZ): a pid has 7. */
  readonly cards: readonly [string, string];
  readonly tables: readonly number[];
}

function namesOf(pid: number): Names {
  const tables = [TABLES_FROM + 2 * pid, TABLES_FROM + 2 * pid + 1];
  return { space: `s3x${pid}`, cards: [`s3x${pid}a`, `s3x${pid}b`], tables };
}

function ip(...args: readonly string[]): string {
  const done = spawnSync('ip', args, { encoding: 'utf8', timeout: IP_WAIT_MS });
  if (done.status === 0) return done.stdout;
  throw new Error(`ip ${args.join(' ')}: ${done.error?.message ?? done.stderr.trim()}`);
}

/** Removes what a test of this pid made, as far as it exists. One end of a veth pair takes the other, and its routes, along. */
function removeOf(pid: number): void {
  const names = namesOf(pid);
  for (const table of names.tables) {
    // No rule names the table any more when this fails; two in all are more than were made.
    for (let left = 2; left > 0 && spawnSync('ip', ['rule', 'del', 'table', String(table)]).status === 0; left--);
  }
  for (const name of names.cards) if (existsSync(`/sys/class/net/${name}`)) ip('link', 'del', name);
  if (existsSync(`/run/netns/${names.space}`)) ip('netns', 'del', names.space);
}

/** What a run left that was killed before it could clean up. */
function removeForgotten(): void {
  for (const line of ip('netns', 'list').split('\n')) {
    const pid = Number(/^s3x(\d+)(?: |$)/.exec(line)?.[1]);
    if (pid > 0 && !existsSync(`/proc/${pid}`)) removeOf(pid);
  }
}
