/**
 * Which net thread gets the next piece of work: the one with the least outstanding, of those that get any. Fetches, calls and
 * LISTs each count for themselves, in a unit of their own. Refuses to know what the work is.
 */
export class ThreadLoads {
  readonly #loads: number[];
  #active: number;

  constructor(threads: number) {
    this.#loads = Array.from({ length: threads }, () => 0);
    this.#active = threads;
  }

  /** New work goes to the first so many threads; what others have, they finish. */
  setActive(threads: number): void {
    this.#active = Math.min(Math.max(1, threads), this.#loads.length);
  }

  least(): number {
    let least = 0;
    for (let thread = 1; thread < this.#active; thread++) {
      if ((this.#loads[thread] ?? 0) < (this.#loads[least] ?? 0)) least = thread;
    }
    return least;
  }

  /** Work begins on a thread, or ends there with minus the same amount. */
  add(thread: number, amount: number): void {
    this.#loads[thread] = (this.#loads[thread] ?? 0) + amount;
  }
}
