/**
 * Lines to systemd's journal in its own protocol: a datagram of FIELD=value lines, so that `journalctl -o json` and
 * `journalctl MOUNT_S3X_MOUNT_POINT=/mnt/data` work. What a line holds besides its sentence goes along as JSON.
 * Refuses to wait or to throw: what the journal does not take is counted and told later (datagram-sink.ts). Messages beyond BYTES_MAX are cut:
 * larger ones would have to travel in a file of their own.
 */
import { datagramSink } from './datagram-sink.js';
import { severity, type LineSink } from './log-sinks.js';

export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

/** A datagram holds some 200 KiB by default (net.core.wmem_default); lines are far shorter. */
const VALUE_BYTES_MAX = 32 * 1024;

/** A field as the journal wants it; a value of several lines is preceded by its length (systemd.io, "Native Journal Protocol"). */
function field(name: string, value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8').subarray(0, VALUE_BYTES_MAX);
  if (!bytes.includes(0x0a)) return Buffer.concat([Buffer.from(`${name}=`), bytes, Buffer.from('\n')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}

/** One of pino's JSON lines as a datagram. `fields` go along with each (names without their prefix, lower case). */
export function journalMessage(level: number, line: string, fields: Readonly<Record<string, string>>): Buffer {
  const { msg, level: word, time: _time, ...details } = parse(line);
  const own = { ...fields, level: typeof word === 'string' ? word : '' };
  const parts = [
    field('MESSAGE', typeof msg === 'string' ? msg : line.trimEnd()),
    field('PRIORITY', String(severity(level))),
    field('SYSLOG_IDENTIFIER', 'mount-s3x'),
    field('SYSLOG_FACILITY', '3'),
    ...Object.entries(own).map(([name, value]) => field(`MOUNT_S3X_${name.toUpperCase()}`, value)),
  ];
  if (Object.keys(details).length > 0)
    parts.push(field(`MOUNT_S3X_${'details'.toUpperCase()}`, JSON.stringify(details)));
  return Buffer.concat(parts);
}

function parse(line: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Undefined when there is no journal. */
export function journaldSink(fields: Readonly<Record<string, string>>, path = JOURNAL_SOCKET): LineSink | undefined {
  return datagramSink({
    path,
    description: 'journald',
    listener: 'the journal',
    message: (level, line) => journalMessage(level, line, fields),
  });
}
