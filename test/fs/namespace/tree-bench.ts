/**
 * What tests of names do: paths instead of nodes, on the bench of files that are written.
 */
import type { Test } from 'tap';
import type { Entry } from '../../../src/fuse/handlers.js';
import { errnoOf, ROOT } from '../../support/memory-store-kernel.js';
import { O_CREAT, O_WRONLY, TestFile, WriteBench, type WriteBenchOptions } from '../writing/bench.js';

export class TreeBench extends WriteBench {
  constructor(t: Test, options: WriteBenchOptions = {}) {
    super(t, options);
  }

  /** Node of a directory by its path; throws when there is none. */
  async directory(path: string): Promise<number> {
    if (path === '') return ROOT;
    const entry = await this.kernel.walk(path);
    if (!entry) throw new Error(`no ${path}`);
    return entry.nodeId;
  }

  /** What stat(2) would find; undefined for nothing. */
  async stat(path: string): Promise<Entry | undefined> {
    return this.kernel.walk(path);
  }

  async names(path = ''): Promise<string[]> {
    return (await this.kernel.names(await this.directory(path))).sort();
  }

  async mkdir(path: string, mode = 0o755): Promise<Entry> {
    const [parent, name] = split(path);
    const entry = await this.fs.mkdir(this.context(), await this.directory(parent), name, mode);
    this.kernel.counts.set(entry.nodeId, (this.kernel.counts.get(entry.nodeId) ?? 0) + 1);
    return entry;
  }

  async rmdir(path: string): Promise<void> {
    const [parent, name] = split(path);
    await this.fs.rmdir(this.context(), await this.directory(parent), name);
  }

  async unlink(path: string): Promise<void> {
    const [parent, name] = split(path);
    await this.fs.unlink(this.context(), await this.directory(parent), name);
  }

  async rename(from: string, to: string, flags = 0): Promise<void> {
    const [fromParent, fromName] = split(from);
    const [toParent, toName] = split(to);
    const parent = await this.directory(fromParent);
    await this.fs.rename(this.context(), parent, fromName, await this.directory(toParent), toName, flags);
  }

  /** errno of what `work` throws, 0 when it does not. */
  errno(work: () => unknown): Promise<number> {
    return errnoOf(work);
  }

  async createAt(path: string, flags = O_WRONLY | O_CREAT, mode = 0o644): Promise<TestFile> {
    const [parent, name] = split(path);
    const made = await this.fs.create(this.context(), await this.directory(parent), name, mode, flags);
    this.kernel.counts.set(made.entry.nodeId, (this.kernel.counts.get(made.entry.nodeId) ?? 0) + 1);
    return new TestFile(this, made.entry.nodeId, made.open.handle, 42);
  }

  async write(path: string, body: string): Promise<void> {
    const file = await this.createAt(path);
    await file.write(0, body);
    await file.close();
  }

  async openAt(path: string, flags = 0): Promise<TestFile> {
    const entry = await this.kernel.walk(path);
    if (!entry) throw new Error(`no ${path}`);
    const { handle } = await this.fs.open(this.context(), entry.nodeId, flags);
    return new TestFile(this, entry.nodeId, handle, 42);
  }

  async cat(path: string): Promise<string> {
    const file = await this.openAt(path);
    const text = (await file.read(0, 1024 * 1024)).toString();
    await file.release();
    return text;
  }

  /** Keys of the bucket. */
  get keys(): string[] {
    return [...this.store.objects.keys()].sort();
  }

  /** Requests since the last call, by kind. */
  requests(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { operation } of this.store.calls.splice(0)) counts[operation] = (counts[operation] ?? 0) + 1;
    for (const { kind } of this.writer.calls.splice(0)) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  }
}

function split(path: string): [string, string] {
  const at = path.lastIndexOf('/');
  return at < 0 ? ['', path] : [path.slice(0, at), path.slice(at + 1)];
}
