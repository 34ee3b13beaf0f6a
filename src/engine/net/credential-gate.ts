/**
 * What one net thread knows of its credentials, for everything on it that signs requests: whether there are any yet, and
 * whether a refusal is news. One for all, because fetches and calls are refused by the same old credentials at the same
 * moment, and asking for new ones twice can get the new ones refused as the old (the provider is asked at most once in
 * a while).
 *
 * Thread: a net thread. Refuses to hold secrets: the signer does.
 */
export interface CredentialGateDeps {
  /** The present credentials were refused, told once for each of them. */
  refused(code: string): void;
}

export class CredentialGate {
  readonly #deps: CredentialGateDeps;
  #isOpen: boolean;
  #generation = 0;
  #refusedGeneration = -1;

  /** `isOpen`: requests go out unsigned until credentials come. */
  constructor(isOpen: boolean, deps: CredentialGateDeps) {
    this.#isOpen = isOpen;
    this.#deps = deps;
  }

  /** Requests may be signed (or go out unsigned on purpose). */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Counts credentials, so that a refusal of old ones is not taken for a refusal of the new. */
  get generation(): number {
    return this.#generation;
  }

  /** The signer has new ones. */
  changed(): void {
    this.#isOpen = true;
    this.#generation++;
  }

  /**
   * The store refused a request that was signed with credentials `generation`. False when there are others by now: ask
   * again at once; true when the request has to wait for others, which have been asked for.
   */
  refuse(generation: number, code: string): boolean {
    if (generation !== this.#generation) return false;
    if (this.#refusedGeneration !== generation) {
      this.#refusedGeneration = generation;
      this.#deps.refused(code);
    }
    return true;
  }
}
