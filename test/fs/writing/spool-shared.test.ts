/**
 * A spool directory that others write to as well (--spool-dir /scratch): links, pipes and files of theirs under names of ours,
 * and journals that are no good. None is followed, waited for or believed, and none hides what is ours.
 */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { errnoName, type ErrnoError } from '../../../src/base/errno.js';
import { leaveUnclaimed, listLeftOvers, readJournal } from '../../../src/fs/writing/recovery.js';
import { type beginLine, SpoolDirectory, SpoolFile } from '../../../src/fs/writing/spool.js';

const NOBODY = 65534;

function begin(key: string): string {
  const who = { bucket: 'bucket', mountPoint: '/mnt/data', key, base: null, pid: 2 ** 30, pidStart: 'gone/1' };
  return `${JSON.stringify({ type: 'begin', version: 1, ...who, atMs: 1 })}\n`;
}

function directoryOf(t: Test): string {
  const directory = t.testdir({});
  writeFileSync(join(directory, 'ours-1.journal'), `${begin('ours')}{"type":"spool","from":0,"to":5}\n`);
  return directory;
}

void t.test('pipes and links are no journals', async (t) => {
  const directory = directoryOf(t);
  writeFileSync(join(directory, 'elsewhere'), begin('secret'));
  symlinkSync(join(directory, 'elsewhere'), join(directory, 'link-1.journal'));
  mkdirSync(join(directory, 'folder-1.journal'));
  execFileSync('mkfifo', [join(directory, 'pipe-1.journal')]);
  const keys = async (): Promise<string[]> => (await listLeftOvers(directory)).map(({ key }) => key);
  t.same(await keys(), ['ours']);
  t.equal(await readJournal(directory, 'link-1'), undefined);
  t.equal(await leaveUnclaimed(directory, { pid: 2 ** 30, pidStart: 'gone/2' }, () => false, 5), 0);
});

void t.test('a journal of another user is not believed', async (t) => {
  if (process.getuid?.() !== 0) {
    t.pass('chown', { skip: 'only root can give a file away' });
    return;
  }
  const directory = directoryOf(t);
  writeFileSync(join(directory, 'theirs-1.journal'), begin('theirs'));
  chownSync(join(directory, 'theirs-1.journal'), NOBODY, NOBODY);
  t.same(
    (await listLeftOvers(directory)).map(({ key }) => key),
    ['ours'],
  );
  // Root in the directory of a user: what is that user's is looked at.
  chownSync(directory, NOBODY, NOBODY);
  const both = await listLeftOvers(directory);
  t.same(both.map(({ key }) => key).sort(), ['ours', 'theirs']);
});

void t.test('damaged journals hide no others', async (t) => {
  const directory = directoryOf(t);
  const damaged = ['null', '5', '[]', '{"type":"left"}', '{"type":"spool","from":"0"}', '{"type":"begin"}', '\0\0\0'];
  writeFileSync(join(directory, 'damaged-1.journal'), `${begin('damaged')}${damaged.join('\n')}\n`);
  writeFileSync(join(directory, 'damaged-2.journal'), damaged.join('\n'));
  const all = await listLeftOvers(directory);
  t.same(all.map(({ key }) => key).sort(), ['damaged', 'ours']);
});

void t.test('a link under the name of a spool file is not written through', async (t) => {
  const directory = t.testdir({ precious: 'precious' });
  symlinkSync(join(directory, 'precious'), join(directory, 'x-1.data'));
  symlinkSync(join(directory, 'precious'), join(directory, 'x-1.journal'));
  const failed: unknown[] = [];
  const spool = new SpoolDirectory(directory, 'x', { bucket: 'bucket', mountPoint: '/mnt/data' });
  const journal = { begin: () => JSON.parse(begin('key')) as never, failed: (error: unknown) => failed.push(error) };
  const file = new SpoolFile(spool, spool.nextName(), journal);
  const error = (await file.write(0, [Buffer.from('overwritten')]).catch((e: unknown) => e)) as ErrnoError;
  t.equal(errnoName(error.errno), 'EIO');
  file.journal.note({ type: 'spool', from: 0, to: 5 });
  t.equal(await file.journal.settled(false), false);
  t.equal(failed.length, 1);
  await file.close();
  t.equal(readFileSync(join(directory, 'precious'), 'utf8'), 'precious');
});

void t.test('a directory that somebody removes is made again', async (t) => {
  const path = join(t.testdir({}), 'a', 'b', 'spool');
  const directory = new SpoolDirectory(path, 'ours', { bucket: 'bucket', mountPoint: '/mnt' });
  const failed: unknown[] = [];
  const journal = {
    begin: () => JSON.parse(begin('key')) as ReturnType<typeof beginLine>,
    failed: (error: unknown) => void failed.push(error),
  };
  const made = (): SpoolFile => new SpoolFile(directory, directory.nextName(), journal);
  const first = made();
  await first.write(0, [Buffer.from('first')]);
  rmSync(join(path, '..'), { recursive: true });
  const second = made();
  second.journal.note({ type: 'spool', from: 0, to: 6 });
  await second.write(0, [Buffer.from('second')]);
  t.ok(await second.journal.settled(false), String(failed));
  t.equal(readFileSync(second.path, 'utf8'), 'second');
  t.equal(readFileSync(second.journal.path, 'utf8').split('\n').length, 3);
  const place = Buffer.alloc(5);
  await first.read(0, place);
  t.equal(place.toString(), 'first', 'who has a file there still has it');
  await first.remove();
  await second.remove();
});

void t.test('a directory that cannot be', async (t) => {
  for (const path of ['/proc/self/nothing/spool', join(t.testdir({ file: '' }), 'file', 'spool')]) {
    const directory = new SpoolDirectory(path, 'ours', { bucket: 'bucket', mountPoint: '/mnt' });
    const file = new SpoolFile(directory, directory.nextName(), undefined);
    await t.rejects(file.write(0, [Buffer.from('x')]), { message: /the spool file .*EIO/ });
  }
});
