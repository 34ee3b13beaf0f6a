/**
 * What every binding must do with the same handlers (test/support/memory-fs.ts), as functions that run against a client:
 * the fake kernel, a real mount on /dev/fuse, a real mount behind fuse-native. A case names the features it needs; a
 * binding without one skips the case and prints which.
 */
import type { Test } from 'tap';

export interface ClientStat {
  readonly ino: number;
  readonly size: number;
  readonly mode: number;
  readonly nlink: number;
  readonly mtimeMs: number;
}

/** A few system calls by path, relative to the mount. Failures have an errno `code`. */
export interface Client {
  stat(path: string): Promise<ClientStat>;
  readFile(path: string): Promise<Buffer>;
  /** One read(2) at an offset. */
  readAt(path: string, offset: number, sizeBytes: number): Promise<Buffer>;
  /** Creates or truncates, writes, closes. */
  writeFile(path: string, data: Buffer): Promise<void>;
  writeAt(path: string, offset: number, data: Buffer): Promise<void>;
  readdir(path: string): Promise<string[]>;
  mkdir(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  truncate(path: string, sizeBytes: number): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  utimes(path: string, atimeMs: number, mtimeMs: number): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  link(from: string, to: string): Promise<void>;
  statfs(): Promise<{ readonly blocks: number; readonly bfree: number }>;
  /** Opens for reading, fsyncs, closes. */
  fsync(path: string): Promise<void>;
}

export type Feature =
  /** A name that is not UTF-8 does not exist (or cannot be made), rather than being changed into another. */
  | 'exact-names'
  /** The lookup counts of the file system can be asked for at the end, and are 0. */
  | 'exact-lookups'
  /** st_ino is the file system's own. */
  | 'inode-numbers'
  /** utimensat(2) sets what it was told. */
  | 'times';

export interface Subject {
  readonly client: Client;
  readonly features: ReadonlySet<Feature>;
  /** Lookups that were not given back; asked for at the very end. */
  lookups(): Promise<number>;
  end(): Promise<void>;
}

interface Case {
  readonly name: string;
  readonly needs?: Feature;
  readonly run: (client: Client, t: Test) => Promise<void>;
}

const bytes = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff));

const fails = async (t: Test, run: Promise<unknown>, code: string, message?: string): Promise<void> => {
  await t.rejects(run, { code }, message ?? code);
};

export const CASES: readonly Case[] = [
  {
    name: 'an empty root',
    run: async (client, t) => {
      t.same(await client.readdir('.'), []);
      const root = await client.stat('.');
      t.equal(root.mode & 0o170000, 0o040000);
    },
  },
  {
    name: 'what is written is read',
    run: async (client, t) => {
      for (const length of [0, 1, 4095, 4096, 4097, 131072, 300_001]) {
        const data = bytes(length);
        await client.writeFile(`file-${length}`, data);
        const read = await client.readFile(`file-${length}`);
        t.ok(read.equals(data), `${length} bytes`);
        const { size, mode, nlink } = await client.stat(`file-${length}`);
        t.same([size, mode & 0o170000, nlink], [length, 0o100000, 1]);
      }
    },
  },
  {
    name: 'reading at offsets, short only at the end',
    run: async (client, t) => {
      const data = bytes(200_000);
      await client.writeFile('offsets', data);
      for (const [offset, size] of [
        [0, 10],
        [65_530, 20],
        [199_990, 100],
        [200_000, 10],
        [500_000, 10],
      ] as const) {
        const read = await client.readAt('offsets', offset, size);
        t.ok(read.equals(data.subarray(offset, offset + size)), `${size} at ${offset}`);
      }
    },
  },
  {
    name: 'writing in the middle and past the end',
    run: async (client, t) => {
      await client.writeFile('patch', bytes(100));
      await client.writeAt('patch', 50, Buffer.from('PATCH'));
      await client.writeAt('patch', 120, Buffer.from('TAIL'));
      const wanted = Buffer.alloc(124);
      bytes(100).copy(wanted);
      wanted.write('PATCH', 50);
      wanted.write('TAIL', 120);
      t.ok((await client.readFile('patch')).equals(wanted));
    },
  },
  {
    name: 'truncating',
    run: async (client, t) => {
      await client.writeFile('cut', bytes(100));
      await client.truncate('cut', 10);
      t.ok((await client.readFile('cut')).equals(bytes(100).subarray(0, 10)));
      await client.truncate('cut', 20);
      t.equal((await client.stat('cut')).size, 20);
      await client.writeFile('cut', Buffer.from('new'));
      t.equal((await client.readFile('cut')).toString(), 'new', 'O_TRUNC');
    },
  },
  {
    name: 'directories',
    run: async (client, t) => {
      await client.mkdir('d');
      await client.mkdir('d/e');
      await client.writeFile('d/e/f', Buffer.from('deep'));
      t.same(await client.readdir('d'), ['e']);
      t.equal((await client.readFile('d/e/f')).toString(), 'deep');
      await fails(t, client.rmdir('d/e'), 'ENOTEMPTY');
      await client.unlink('d/e/f');
      await client.rmdir('d/e');
      t.same(await client.readdir('d'), []);
    },
  },
  {
    name: 'a long listing comes whole and in order',
    run: async (client, t) => {
      await client.mkdir('many');
      const names = Array.from({ length: 300 }, (_, n) => `entry-${String(n).padStart(4, '0')}-${'x'.repeat(n % 200)}`);
      for (const name of names) await client.writeFile(`many/${name}`, Buffer.alloc(0));
      t.same((await client.readdir('many')).sort(), names);
      for (const name of names) await client.unlink(`many/${name}`);
      t.same(await client.readdir('many'), []);
    },
  },
  {
    name: 'errors',
    run: async (client, t) => {
      await client.writeFile('plain', Buffer.from('x'));
      await client.mkdir('folder');
      await fails(t, client.stat('nothing'), 'ENOENT');
      await fails(t, client.readFile('nothing'), 'ENOENT');
      await fails(t, client.stat('nothing/below'), 'ENOENT');
      await fails(t, client.stat('plain/below'), 'ENOTDIR');
      await fails(t, client.mkdir('plain'), 'EEXIST');
      await fails(t, client.rmdir('plain'), 'ENOTDIR');
      await fails(t, client.unlink('nothing'), 'ENOENT');
      await fails(t, client.rename('nothing', 'else'), 'ENOENT');
      await fails(t, client.stat('n'.repeat(256)), 'ENAMETOOLONG');
      await fails(t, client.readlink('plain'), 'EINVAL');
    },
  },
  {
    name: 'a handler that throws is EIO, and the next call is served',
    run: async (client, t) => {
      await fails(t, client.stat('throws'), 'EIO');
      await fails(t, client.stat('throws-later'), 'EIO');
      await client.writeFile('throws-read', Buffer.from('x'));
      await fails(t, client.readFile('throws-read'), 'EIO');
      await client.writeFile('fine', Buffer.from('x'));
      t.equal((await client.readFile('fine')).toString(), 'x');
      await client.unlink('throws-read');
    },
  },
  {
    name: 'renaming',
    run: async (client, t) => {
      await client.writeFile('from', Buffer.from('moved'));
      await client.writeFile('onto', Buffer.from('replaced'));
      await client.mkdir('there');
      await client.rename('from', 'onto');
      t.equal((await client.readFile('onto')).toString(), 'moved');
      await fails(t, client.stat('from'), 'ENOENT');
      await client.rename('onto', 'there/to');
      t.equal((await client.readFile('there/to')).toString(), 'moved');
    },
  },
  {
    name: 'names in every script',
    run: async (client, t) => {
      await client.mkdir('names');
      const names = [
        'with space',
        'comma,comma',
        'grün',
        '日本語',
        '🦊',
        'a\nb',
        'back\\slash',
        '-dash',
        'quote"\'',
        '\u0301',
      ];
      for (const name of names) await client.writeFile(`names/${name}`, Buffer.from(name));
      t.same((await client.readdir('names')).sort(), [...names].sort());
      for (const name of names) t.equal((await client.readFile(`names/${name}`)).toString(), name);
      await client.writeFile(`names/${'x'.repeat(255)}`, Buffer.from('long'));
      t.equal((await client.readFile(`names/${'x'.repeat(255)}`)).toString(), 'long');
    },
  },
  {
    name: 'attributes',
    run: async (client, t) => {
      await client.writeFile('attributes', Buffer.from('x'));
      await client.chmod('attributes', 0o640);
      t.equal((await client.stat('attributes')).mode & 0o7777, 0o640);
      await client.utimes('attributes', 1_000_000_000_000, 1_600_000_000_000);
    },
  },
  {
    name: 'times',
    needs: 'times',
    run: async (client, t) => {
      await client.writeFile('times', Buffer.from('x'));
      for (const mtimeMs of [1_600_000_000_250, 0, -86_400_000]) {
        await client.utimes('times', 1_000_000_000_000, mtimeMs);
        t.equal((await client.stat('times')).mtimeMs, mtimeMs);
      }
    },
  },
  {
    name: 'links',
    run: async (client, t) => {
      await client.writeFile('target', Buffer.from('linked'));
      await client.symlink('target', 'soft');
      t.equal(await client.readlink('soft'), 'target');
      await client.link('target', 'hard');
      t.equal((await client.readFile('hard')).toString(), 'linked');
      await client.unlink('target');
      t.equal((await client.readFile('hard')).toString(), 'linked');
    },
  },
  {
    name: 'inode numbers are the file system’s own',
    needs: 'inode-numbers',
    run: async (client, t) => {
      await client.writeFile('one', Buffer.alloc(1));
      await client.writeFile('two', Buffer.alloc(1));
      const [root, one, two] = [await client.stat('.'), await client.stat('one'), await client.stat('two')];
      t.equal(root.ino, 1);
      t.equal(two.ino, one.ino + 1);
    },
  },
  {
    name: 'statistics, and fsync of a file',
    run: async (client, t) => {
      t.match(await client.statfs(), { blocks: 1_000_000, bfree: 500_000 });
      await client.writeFile('synced', Buffer.from('x'));
      await client.fsync('synced');
    },
  },
  {
    name: 'a name that is not UTF-8 is nobody’s',
    needs: 'exact-names',
    run: async (client, t) => {
      await fails(t, client.stat('latin-\udcff'), 'ENOENT');
      await fails(t, client.mkdir('latin-\udcff'), 'EILSEQ');
    },
  },
];

/** Path bytes for a test path: `\udcXX` stands for the byte XX, as Python spells it. */
export function pathBytes(path: string): Buffer {
  return Buffer.concat(
    Array.from(path).map((character) => {
      const code = character.charCodeAt(0);
      return character.length === 1 && code >= 0xdc80 && code <= 0xdcff
        ? Buffer.from([code & 0xff])
        : Buffer.from(character);
    }),
  );
}

const LOOKS_MAX = 100;
const LOOK_EVERY_MS = 50;

/** Runs every case in one file system, each in a directory of its own but the first. */
export async function contract(t: Test, make: () => Promise<Subject>): Promise<void> {
  const subject = await make();
  try {
    for (const [index, { name, needs, run }] of CASES.entries()) {
      if (needs !== undefined && !subject.features.has(needs)) {
        t.comment(`skipped: ${name} (this binding has no ${needs})`);
        continue;
      }
      const folder = index === 0 || needs === 'inode-numbers' ? '' : `case-${index}/`;
      if (folder !== '') await subject.client.mkdir(folder.slice(0, -1));
      await t.test(name, (t) => run(below(subject.client, folder), t));
    }
    if (subject.features.has('exact-lookups')) {
      // The kernel sends the last RELEASE after close(2) has returned, and handlers may answer it later.
      let left = await subject.lookups();
      for (let looks = 0; left !== 0 && looks < LOOKS_MAX; looks++) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
        left = await subject.lookups();
      }
      t.equal(left, 0, 'every lookup was given back');
    }
  } finally {
    await subject.end();
  }
}

/** The client with paths below a folder. */
function below(client: Client, folder: string): Client {
  const at = (path: string): string => (path === '.' ? folder || '.' : folder + path);
  return {
    stat: (path) => client.stat(at(path)),
    readFile: (path) => client.readFile(at(path)),
    readAt: (path, offset, size) => client.readAt(at(path), offset, size),
    writeFile: (path, data) => client.writeFile(at(path), data),
    writeAt: (path, offset, data) => client.writeAt(at(path), offset, data),
    readdir: (path) => client.readdir(at(path)),
    mkdir: (path) => client.mkdir(at(path)),
    rmdir: (path) => client.rmdir(at(path)),
    unlink: (path) => client.unlink(at(path)),
    rename: (from, to) => client.rename(at(from), at(to)),
    truncate: (path, size) => client.truncate(at(path), size),
    chmod: (path, mode) => client.chmod(at(path), mode),
    utimes: (path, atimeMs, mtimeMs) => client.utimes(at(path), atimeMs, mtimeMs),
    symlink: (target, path) => client.symlink(target, at(path)),
    readlink: (path) => client.readlink(at(path)),
    link: (from, to) => client.link(at(from), at(to)),
    statfs: () => client.statfs(),
    fsync: (path) => client.fsync(at(path)),
  };
}
