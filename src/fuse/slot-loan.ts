/**
 * One slot of the pool on its way through a WRITE's handler: kept by the handler (`adopt`), or given back when the WRITE is
 * over. Refuses to be adopted twice, or after that.
 */
import { invariant } from '../base/invariant.js';
import type { WriteLoan } from './handlers.js';
import type { SlotLender } from './slot-loans.js';

export class SlotLoan implements WriteLoan {
  readonly slot: number;
  readonly #lender: SlotLender;
  #state: 'new' | 'held' | 'over' = 'new';
  #adopted = false;

  /** `@owns` the slot. */
  constructor(slot: number, lender: SlotLender) {
    this.slot = slot;
    this.#lender = lender;
  }

  /** A handler has it: `end` is called when that is through. */
  get isHeld(): boolean {
    return this.#state !== 'new';
  }

  hold(): void {
    this.#state = 'held';
  }

  adopt(): number {
    invariant(this.#state === 'held' && !this.#adopted, 'a loan is adopted once, by the handler that has it');
    this.#adopted = true;
    this.#lender.kept();
    return this.slot;
  }

  end(): void {
    invariant(this.#state !== 'over', 'a loan ends once');
    this.#state = 'over';
    if (!this.#adopted) this.#lender.done(this.slot);
  }
}
