/**
 * The stores that left-overs belong to, each opened once, for commands that complete or drop them. The caller closes it.
 */
import type { StoreOptions } from '../engine/api.js';
import type { ObjectWriteOptions } from '../engine/write-options.js';
import type { LeftOver } from '../fs/writing/recovery.js';
import type { StandaloneStore } from '../main/standalone-store.js';
import { storeOptionsOf } from './build-config.js';
import { storeDeps, type CliIo } from './io.js';
import type { GivenOptions } from './options.js';

export class LeftOverStores {
  readonly #given: GivenOptions;
  readonly #objects: ObjectWriteOptions;
  readonly #io: CliIo;
  readonly #open = new Map<string, Promise<StandaloneStore>>();

  constructor(given: GivenOptions, objects: ObjectWriteOptions, io: CliIo) {
    this.#given = given;
    this.#objects = objects;
    this.#io = io;
  }

  options(bucket: string): StoreOptions {
    return storeOptionsOf(bucket, this.#given, { env: this.#io.owner.env, cwd: this.#io.cwd });
  }

  /** The store that the file was being written to. */
  of(leftOver: LeftOver): Promise<StandaloneStore> {
    const options = { ...this.options(leftOver.bucket), prefix: '' };
    const { endpointUrl } = leftOver;
    // What the user says now counts: the server may have moved.
    return this.open(endpointUrl === undefined ? options : { endpointUrl, ...options });
  }

  open(options: StoreOptions): Promise<StandaloneStore> {
    const name = `${options.endpointUrl ?? ''} ${options.bucket}`;
    const known = this.#open.get(name);
    if (known) return known;
    const opening = import('../main/standalone-store.js').then(({ openStandaloneStore }) =>
      openStandaloneStore(options, storeDeps(this.#io), this.#objects),
    );
    this.#open.set(name, opening);
    return opening;
  }

  async close(): Promise<void> {
    for (const store of this.#open.values()) await store.then((opened) => opened.close()).catch(() => undefined);
  }
}
