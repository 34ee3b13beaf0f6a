/**
 * Answers to LOOKUP: a node, its attributes, and how long the kernel may believe in the name.
 * One place for the rule that times given to the kernel are what is left of the fact's freshness. Attributes belong to a
 * version and do not change, but get no longer time than the name, so that a stat by path is never older than promised.
 */
import type { Entry } from '../fuse/handlers.js';
import type { AttributeMaker } from './attributes.js';
import type { Freshness } from './freshness.js';
import type { NodeView } from './inode-table.js';

/** Node ids are never given twice, so generations tell nothing apart. */
const GENERATION = 0;

export class EntryMaker {
  readonly #attributes: AttributeMaker;
  readonly #freshness: Freshness;

  constructor(deps: { readonly attributes: AttributeMaker; readonly freshness: Freshness }) {
    this.#attributes = deps.attributes;
    this.#freshness = deps.freshness;
  }

  /** `sentAtMs`: when the request was sent that said what the name is. */
  entry(node: NodeView, sentAtMs: number): Entry {
    const ttlMs = this.#freshness.remainingMs(sentAtMs);
    return {
      nodeId: node.nodeId,
      generation: GENERATION,
      attributes: this.#attributes.of(node),
      entryTtlMs: ttlMs,
      attributesTtlMs: ttlMs,
    };
  }

  /** A negative entry that the kernel may remember for `ttlMs`. */
  nothing(ttlMs: number): Entry {
    return {
      nodeId: 0,
      generation: GENERATION,
      attributes: this.#attributes.nothing(),
      entryTtlMs: ttlMs,
      attributesTtlMs: 0,
    };
  }
}
