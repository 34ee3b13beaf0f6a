/**
 * The real network behind the `Network` interface: node's sockets and the system's resolver.
 * getaddrinfo rather than DNS queries of our own, so that /etc/hosts, nsswitch and VPC resolvers count.
 * Refuses to sort the answers: the resolver's order is the administrator's.
 */
import { lookup } from 'node:dns/promises';
import net from 'node:net';
import tls from 'node:tls';
import type { Address } from './address-book.js';
import type { Network } from './socket-opener.js';

export const systemNetwork: Network = {
  connectTcp: (options) => net.connect(options),
  connectTls: (options) => tls.connect(options),
  async lookup(hostname) {
    const found = await lookup(hostname, { all: true, verbatim: true });
    return found.map(({ address, family }): Address => ({ address, family: family === 6 ? 6 : 4 }));
  },
};
