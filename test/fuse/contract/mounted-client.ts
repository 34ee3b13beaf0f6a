/** The contract's client over a real mount, through node:fs. The mount is served by another process. */
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { pathBytes, type Client } from './contract.js';

export function mountedClient(mountPoint: string): Client {
  const at = (path: string): Buffer => Buffer.concat([Buffer.from(`${mountPoint}/`), pathBytes(path)]);
  const withFile = async <T>(path: string, flags: number, work: (file: fs.FileHandle) => Promise<T>): Promise<T> => {
    const file = await fs.open(at(path), flags, 0o644);
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  };
  return {
    stat: (path) => fs.lstat(at(path)),
    readFile: (path) => fs.readFile(at(path)),
    readAt: (path, offset, sizeBytes) =>
      withFile(path, constants.O_RDONLY, async (file) => {
        const { buffer, bytesRead } = await file.read(Buffer.alloc(sizeBytes), 0, sizeBytes, offset);
        return buffer.subarray(0, bytesRead);
      }),
    writeFile: (path, data) => fs.writeFile(at(path), data),
    writeAt: (path, offset, data) =>
      withFile(path, constants.O_WRONLY, async (file) => void (await file.write(data, 0, data.length, offset))),
    readdir: (path) => fs.readdir(at(path)),
    mkdir: async (path) => void (await fs.mkdir(at(path))),
    rmdir: (path) => fs.rmdir(at(path)),
    unlink: (path) => fs.unlink(at(path)),
    rename: (from, to) => fs.rename(at(from), at(to)),
    truncate: (path, sizeBytes) => fs.truncate(at(path), sizeBytes),
    chmod: (path, mode) => fs.chmod(at(path), mode),
    // Dates, because negative numbers mean "now" to node:fs.
    utimes: (path, atimeMs, mtimeMs) => fs.utimes(at(path), new Date(atimeMs), new Date(mtimeMs)),
    symlink: (target, path) => fs.symlink(target, at(path)),
    readlink: (path) => fs.readlink(at(path)),
    link: (from, to) => fs.link(at(from), at(to)),
    statfs: () => fs.statfs(mountPoint),
    fsync: (path) => withFile(path, constants.O_RDONLY, (file) => file.sync()),
  };
}
