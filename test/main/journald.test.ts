/** The journal's own protocol: fields as it wants them, and datagrams that arrive at a socket that is played here. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { journalMessage, journaldSink } from '../../src/main/journald.js';
import { stderrIsJournal } from '../../src/main/log-terminal.js';
import { openLogging } from '../../src/main/logging.js';
import { listenDatagrams } from '../support/datagram-listener.js';
import { sampleConfig } from './sample-config.js';

t.test('a message: sentence, priority, who, and the rest as JSON', (t) => {
  const line = '{"level":"error","time":"2026-01-01T00:00:00Z","key":"a/b","code":5,"msg":"a READ failed"}\n';
  t.equal(
    journalMessage(50, line, { mount_point: '/mnt/data' }).toString(),
    [
      'MESSAGE=a READ failed',
      'PRIORITY=3',
      'SYSLOG_IDENTIFIER=mount-s3x',
      'SYSLOG_FACILITY=3',
      'MOUNT_S3X_MOUNT_POINT=/mnt/data',
      'MOUNT_S3X_LEVEL=error',
      'MOUNT_S3X_DETAILS={"key":"a/b","code":5}',
      '',
    ].join('\n'),
  );
  t.end();
});

t.test('a value with line ends comes with its length: no field can be forged', (t) => {
  const message = journalMessage(30, JSON.stringify({ msg: 'one\nPRIORITY=0\n' }), {});
  const length = message.readBigUInt64LE('MESSAGE\n'.length);
  t.equal(length, BigInt('one\nPRIORITY=0\n'.length));
  t.equal(message.subarray(0, 8).toString(), 'MESSAGE\n');
  t.match(message.toString('latin1'), 'PRIORITY=6\n');
  t.end();
});

t.test('no JSON, and far too much of it', (t) => {
  t.match(journalMessage(30, 'plain text\n', {}).toString(), /^MESSAGE=plain text\n/);
  t.ok(journalMessage(30, JSON.stringify({ msg: 'x'.repeat(1e6), more: 'y'.repeat(1e6) }), {}).length < 80_000);
  t.end();
});

t.test('is standard error the journal?', (t) => {
  const stat = () => ({ dev: 8n, ino: 4711n });
  t.ok(stderrIsJournal({ JOURNAL_STREAM: '8:4711' }, stat));
  t.notOk(stderrIsJournal({ JOURNAL_STREAM: '8:4712' }, stat), 'inherited, but redirected since');
  t.notOk(stderrIsJournal({}, stat));
  t.end();
});

t.test('lines arrive; nobody there is no sink', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'mount-s3x-journal-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const path = join(root, 'socket');
  t.equal(journaldSink({}, path), undefined);
  const journal = listenDatagrams(path);
  const logging = openLogging(sampleConfig({ mountPoint: '/mnt/data' }), {
    owner: { env: {}, uid: process.getuid?.() ?? 0 },
    isTerminal: false,
    journalPath: path,
  });
  t.equal(logging.description, 'journald');
  logging.log.warn({ bucket: 'b' }, 'first line');
  const [said] = await journal.until((all) => all.length > 0);
  t.match(said, 'MESSAGE=first line\nPRIORITY=4\n');
  t.match(said, 'MOUNT_S3X_MOUNT_POINT=/mnt/data\n');
  t.match(said, 'MOUNT_S3X_DETAILS={"bucket":"b"}');
  journal.close();
  logging.log.warn({}, 'nobody hears this, and nothing waits or throws');
  logging.close();
});
