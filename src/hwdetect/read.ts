/**
 * Reading small files of /proc and /sys, below a `sysRoot` that is '' on a real machine and a fixture's folder in tests.
 * What is missing, unreadable or nonsense is `undefined`: a probe goes on with what is left.
 * Refuses to throw and to read more than a file of /proc or /sys can sensibly hold.
 */
import { open, readdir } from 'node:fs/promises';

/** Files of /proc and /sys that are read here are far smaller. */
const FILE_BYTES_MAX = 1024 * 1024;

/** Text of `sysRoot + path`, undefined when it cannot be read. */
export async function readText(sysRoot: string, path: string): Promise<string | undefined> {
  try {
    const file = await open(sysRoot + path, 'r');
    try {
      const chunks: Buffer[] = [];
      let total = 0;
      while (total < FILE_BYTES_MAX) {
        // /proc files have no size: read until nothing comes.
        const { bytesRead, buffer } = await file.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, null);
        if (bytesRead === 0) break;
        chunks.push(buffer.subarray(0, bytesRead));
        total += bytesRead;
      }
      return Buffer.concat(chunks).toString('utf8');
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

/** The file's content as an integer, undefined when it is anything else (`max` included). */
export async function readInteger(sysRoot: string, path: string): Promise<number | undefined> {
  const text = (await readText(sysRoot, path))?.trim();
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** Names in a directory, empty when it cannot be listed. */
export async function listNames(sysRoot: string, path: string): Promise<string[]> {
  try {
    return await readdir(sysRoot + path);
  } catch {
    return [];
  }
}
