/**
 * The beginning of a session: the INIT exchange, before any reader thread runs. mount(2) queues INIT at once, so the
 * blocking read here returns at once too; everything else the kernel sends waits until INIT is answered.
 * Refuses to adopt a session that is already going: a daemon that takes over gets its Negotiated from the journal
 * (kernel fact 21, docs/KERNEL.md), for the kernel sends INIT only once.
 */
import { EIO } from '../base/errno.js';
import { FUSE_INIT, IN_HEADER_BYTES, INIT_IN_COMPAT_BYTES, OUT_HEADER_BYTES } from './abi.js';
import { decodeInHeader, decodeInit, newInHeader, newInitIn } from './decode.js';
import { DevFuseTransport } from './dev-fuse.js';
import { encodeInit } from './encode.js';
import { MountError } from './mount-error.js';
import { REQUEST_BYTES_MAX, negotiate, type Negotiated, type NegotiateOptions } from './negotiate.js';
import { Replier } from './reply.js';
import { READ_AGAIN, READ_ENDED, type Transport } from './transport.js';

/** Tries at reading INIT: the kernel of another major version sends it twice, and a read may be interrupted. */
const ATTEMPTS = 64;

/** `handshakeOver` on a descriptor. */
export function handshake(fd: number, options: NegotiateOptions, keep?: (negotiated: Negotiated) => void): Negotiated {
  return handshakeOver(new DevFuseTransport(fd), options, keep);
}

/**
 * Reads INIT, answers it and returns what was agreed. Blocks until INIT is there: call it right after mounting. `keep`
 * hears it before the kernel does, for a daemon that takes over.
 * Throws MountError: 'protocol' when the kernel is too old, 'other' when the mount went away or sent something else.
 */
export function handshakeOver(
  transport: Transport,
  options: NegotiateOptions,
  keep: (negotiated: Negotiated) => void = () => undefined,
): Negotiated {
  const buffer = Buffer.alloc(REQUEST_BYTES_MAX + 8192);
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const replier = new Replier(transport);
  const header = newInHeader();
  const init = newInitIn();
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const lengthBytes = transport.read(buffer);
    if (lengthBytes === READ_AGAIN) continue;
    if (lengthBytes === READ_ENDED) {
      throw new MountError('other', 'the file system was unmounted before it had started', 'Mount it again.');
    }
    if (lengthBytes < IN_HEADER_BYTES) continue;
    decodeInHeader(view, 0, header);
    const ticket = { lo: header.uniqueLo, hi: header.uniqueHi };
    const bodyBytes = lengthBytes - IN_HEADER_BYTES;
    if (header.opcode !== FUSE_INIT || bodyBytes < INIT_IN_COMPAT_BYTES) {
      replier.error(ticket, EIO);
      throw new MountError(
        'protocol',
        `the kernel began with opcode ${header.opcode} instead of FUSE_INIT`,
        'Unmount and mount again; a session that is already going cannot be started anew.',
      );
    }
    decodeInit(view, IN_HEADER_BYTES, bodyBytes, init);
    const step = negotiate(init, options);
    if (step.type === 'refused') {
      replier.error(ticket, step.errno);
      throw new MountError('protocol', step.message, 'Upgrade the kernel.');
    }
    if (step.type === 'agreed') keep(step.negotiated);
    const outcome = replier.scratch(ticket, encodeInit(replier.scratchView, OUT_HEADER_BYTES, step.reply));
    if (step.type === 'agreed') {
      if (outcome === 'sent') return step.negotiated;
      throw new MountError('other', `the kernel did not take the answer to FUSE_INIT (${outcome})`, 'Mount it again.');
    }
  }
  throw new MountError('protocol', 'the kernel and mount-s3x found no common FUSE version', 'Upgrade the kernel.');
}
