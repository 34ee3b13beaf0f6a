/**
 * Interleavings of two threads in one: every Atomics operation becomes a point where the other side may run.
 *
 * Two tools. `withHook` runs code and calls a function before each of its atomic operations: whole steps of the other
 * side go there. `Stepped` runs a function some operations at a time, so that both sides can be split: a synchronous
 * function cannot be suspended, so it is run again from the start, with the results of its earlier operations replayed,
 * and thrown out of when its share is done. That is sound for functions whose only effects are atomic operations.
 * Refuses to model weaker memory orders: Atomics are sequentially consistent, and the code under test uses only them.
 */

const NAMES = ['load', 'store', 'compareExchange', 'exchange', 'add', 'sub', 'notify'] as const;

type Operation = () => number;
type Handler = (operation: Operation) => number;

let handler: Handler | undefined;
/** Nested calls of intercepted: the wrappers stay in place until the outermost ends. */
let depth = 0;

const real = new Map<string, (...args: unknown[]) => number>();
for (const name of NAMES) real.set(name, Reflect.get(Atomics, name) as (...args: unknown[]) => number);

/** Runs `run` with each atomic operation passed to `intercept`; operations of `intercept` itself are real. */
function intercepted<T>(intercept: Handler, run: () => T): T {
  const outer = handler;
  if (depth++ === 0) {
    for (const [name, original] of real) {
      Reflect.set(Atomics, name, (...args: unknown[]) => {
        const now = handler;
        const operation = (): number => original(...args);
        return now ? now(operation) : operation();
      });
    }
  }
  handler = intercept;
  try {
    return run();
  } finally {
    handler = outer;
    if (--depth === 0) for (const [name, original] of real) Reflect.set(Atomics, name, original);
  }
}

/** Runs `run`, calling `before` with 0, 1, 2... before each of its atomic operations. What `before` does is not hooked. */
export function withHook<T>(before: (at: number) => void, run: () => T): T {
  let at = 0;
  const intercept: Handler = (operation) => {
    handler = undefined;
    try {
      before(at++);
    } finally {
      handler = intercept;
    }
    return operation();
  };
  return intercepted(intercept, run);
}

/** How many atomic operations `run` does. */
export function countOperations(run: () => void): number {
  let count = 0;
  withHook(() => count++, run);
  return count;
}

const SUSPENDED = Symbol('suspended');

/** A function whose only effects are atomic operations, run a few of them at a time. */
export class Stepped<T> {
  readonly #body: () => T;
  readonly #results: number[] = [];
  #outcome: { readonly value: T } | undefined;

  constructor(body: () => T) {
    this.#body = body;
  }

  /** Does up to `operations` more; does nothing once the function has returned. */
  advance(operations: number): void {
    if (this.#outcome || operations === 0) return;
    const target = this.#results.length + operations;
    let at = 0;
    const intercept: Handler = (operation) => {
      const known = this.#results[at];
      if (known !== undefined) {
        at++;
        return known;
      }
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- must pass every catch of the code under test
      if (at >= target) throw SUSPENDED;
      at++;
      const result = operation();
      this.#results.push(result);
      return result;
    };
    try {
      this.#outcome = { value: intercepted(intercept, this.#body) };
    } catch (error) {
      if (error !== SUSPENDED) throw error;
    }
  }

  /** Runs the rest and returns what the function returned. */
  finish(): T {
    this.advance(Infinity);
    if (!this.#outcome) throw new Error('did not finish');
    return this.#outcome.value;
  }
}
