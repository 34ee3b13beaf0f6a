/**
 * A Prefetcher over MemoryStore: reads are answered from the map at once, with ESTALE when the version is not there any
 * more, and everything that the file system tells it is kept for the test to look at.
 */
import { ESTALE } from '../../src/base/errno.js';
import type { ObjectReader, ObjectVersion, Prefetcher, ReadSink, Speculator } from '../../src/prefetch/api.js';
import type { MemoryStore } from './memory-store.js';

export class MemoryPrefetcher implements Prefetcher, Speculator {
  readonly store: MemoryStore;
  readonly opened: ObjectVersion[] = [];
  readonly forgotten: number[] = [];
  readonly reads: { readonly key: string; readonly offset: number; readonly sizeBytes: number }[] = [];
  readonly accesses: { readonly key: string; readonly offset: number; readonly sizeBytes: number }[] = [];
  /** What was to be fetched ahead, in order; refused when `speculates` is false. */
  readonly speculated: ObjectVersion[] = [];
  speculates = true;
  poolBytes = 256 * 1024 * 1024;
  closed = 0;
  /** READs wait until the test lets them go, and say what is in the bucket then. */
  isHeld = false;
  #held: { readonly nodeId: number; readonly go: () => void }[] = [];
  #settled: (() => void)[] = [];
  /** Answers as a net thread would: the sink hears nothing of the error, only this does. */
  versionLost: ((nodeId: number, etag: string) => void) | undefined;

  constructor(store: MemoryStore) {
    this.store = store;
  }

  open(version: ObjectVersion): ObjectReader {
    this.opened.push({ ...version });
    return {
      read: (offset: number, sizeBytes: number, sink: ReadSink): void => {
        const { key, etag } = version;
        const answer = (): void => {
          const object = this.store.objects.get(key);
          if (object?.etag === etag) {
            sink.data([object.body.subarray(offset, offset + sizeBytes)]);
          } else if (this.versionLost) {
            sink.handedOver(() => undefined).finished();
            this.versionLost(version.nodeId, version.etag);
          } else {
            sink.error(ESTALE);
          }
        };
        this.reads.push({ key, offset, sizeBytes });
        if (this.heldKeys.has(key)) this.#waiting.push(() => this.open(version).read(offset, sizeBytes, sink));
        else if (this.isHeld) this.#held.push({ nodeId: version.nodeId, go: answer });
        else answer();
      },
      accessed: (offset, sizeBytes) => {
        this.accesses.push({ key: version.key, offset, sizeBytes });
      },
      close: () => {
        this.closed++;
      },
    };
  }

  /** Answers all that wait, and those that come from now on at once. */
  letGo(): void {
    this.isHeld = false;
    for (const { go } of this.#held.splice(0)) go();
    for (const resolve of this.#settled.splice(0)) resolve();
  }

  speculate(version: ObjectVersion): boolean {
    if (this.speculates) this.speculated.push(version);
    return this.speculates;
  }

  holds(nodeId: number): boolean {
    return this.speculated.some((version) => version.nodeId === nodeId) && !this.forgotten.includes(nodeId);
  }

  settled(nodeId: number): Promise<void> {
    if (!this.#held.some((each) => each.nodeId === nodeId)) return Promise.resolve();
    return new Promise((resolve) => this.#settled.push(resolve));
  }

  /** Keys of objects that are being renamed. */
  readonly heldKeys = new Set<string>();
  #waiting: (() => void)[] = [];

  hold(key: string): Promise<() => void> {
    this.heldKeys.add(key);
    return Promise.resolve(() => {
      this.heldKeys.delete(key);
      for (const go of this.#waiting.splice(0)) go();
    });
  }

  /** Nodes whose blocks nobody may find now. */
  readonly secluded = new Set<number>();

  seclude(nodeId: number): void {
    this.secluded.add(nodeId);
  }

  share(nodeId: number): void {
    this.secluded.delete(nodeId);
  }

  forgetVersion(nodeId: number): void {
    this.forgotten.push(nodeId);
  }
}
