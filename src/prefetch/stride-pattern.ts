/**
 * Learns constant strides: one column of a file of row groups, every n-th record, a file read backwards. Three runs of
 * reads at equal distances make a cursor; each step it takes has the next steps fetched, exactly those ranges and not
 * what lies between. Pure: no clock, no I/O.
 *
 * A run is what is read in one piece, in one READ or several that follow each other, so records larger than a READ are
 * followed too. Reads that belong to nobody are kept as the last RUNS_KEPT runs, in which the third looks for two.
 * Refuses dense strides: gaps no larger than a read are the streams' business (access-pattern.ts sees those first).
 */
import { KIB, MIB } from '../base/units.js';

/** Strides followed at a time on one handle: columns that are read side by side. */
const STRIDES_MAX = 4;

/** Runs among which a stride is looked for, and how many of the last may be its second. */
const RUNS_KEPT = 8;
const RUNS_SECOND = 4;

/** Steps that a reader may leave out, or that its READs may overtake each other by. */
const SKIPPED_MAX = 4;

/** Steps fetched ahead at first; doubled at each step up to the limit. 16 at 20 ms are 700 steps a second. */
const AHEAD_FIRST = 2;
const AHEAD_MAX = 16;

/** Reads one before the other, without a gap, that make a reader that goes backwards. */
const BACKWARD_READS = 3;

/** Records are not believed to be longer. */
const RECORD_BYTES_MAX = 4 * MIB;

/** A stride that none of so many reads continued is over. */
const STRIDE_KEEP_READS = 64;

/** What to fetch: bytes [from, to) of the object; may reach beyond its ends. */
export interface AheadRange {
  readonly from: number;
  readonly to: number;
}

interface Run {
  readonly start: number;
  end: number;
}

interface Stride {
  readonly stepBytes: number;
  /** Length of a run. */
  recordBytes: number;
  /** How far a run's start was from where it was expected, at most. */
  slackBytes: number;
  /** Where the latest run starts, and where it got to. */
  start: number;
  end: number;
  aheadMax: number;
  /** Steps beyond `start` that have been asked for. */
  planned: number;
  lastUse: number;
}

const NOTHING: readonly AheadRange[] = [];

export class StridePattern {
  readonly #strides: Stride[] = [];
  /** The last runs of reads that no cursor claimed, oldest first. */
  readonly #runs: Run[] = [];
  #last: Run | undefined;
  #backward = 0;
  #uses = 0;

  /** A read that a cursor of ours continues: what to fetch ahead for it. Undefined when it is none of ours. */
  continues(offset: number, sizeBytes: number, stepsMax: number): readonly AheadRange[] | undefined {
    this.#uses++;
    if (this.#strides.length === 0) return undefined;
    for (const stride of this.#strides) {
      const ahead = this.#step(stride, offset, sizeBytes, stepsMax);
      if (ahead) return ahead;
    }
    const over = this.#strides.findIndex(({ lastUse }) => this.#uses - lastUse > STRIDE_KEEP_READS);
    if (over >= 0) this.#strides.splice(over, 1);
    return undefined;
  }

  /**
   * A read that no stride continues: what to fetch ahead if it makes one. `isNew` when it is no stream's either; other
   * reads only lengthen the run that they continue, or turn out to go backwards.
   */
  learn(offset: number, sizeBytes: number, isNew: boolean, stepsMax: number): readonly AheadRange[] {
    const endOffset = offset + sizeBytes;
    const before = this.#last;
    this.#last = { start: offset, end: endOffset };
    this.#backward = before && endOffset === before.start ? this.#backward + 1 : 1;
    if (this.#backward >= BACKWARD_READS) {
      this.#backward = 0;
      return this.#begin(offset, sizeBytes, -sizeBytes, 0, stepsMax);
    }
    const run = this.#runs[this.#runs.length - 1];
    if (run && offset === run.end) {
      run.end = endOffset;
      return NOTHING;
    }
    if (!isNew) return NOTHING;
    const found = this.#find(offset, sizeBytes);
    this.#runs.push({ start: offset, end: endOffset });
    if (this.#runs.length > RUNS_KEPT) this.#runs.shift();
    return found ? this.#begin(offset, found.recordBytes, found.stepBytes, found.slackBytes, stepsMax) : NOTHING;
  }

  /** Two earlier runs at the distances that a run at `offset` would continue. */
  #find(offset: number, sizeBytes: number): { stepBytes: number; recordBytes: number; slackBytes: number } | undefined {
    for (let at = this.#runs.length - 1; at >= Math.max(1, this.#runs.length - RUNS_SECOND); at--) {
      const second = this.#runs[at];
      if (!second) continue;
      const stepBytes = offset - second.start;
      const recordBytes = Math.max(second.end - second.start, sizeBytes);
      if (Math.abs(stepBytes) <= recordBytes) continue;
      for (const first of this.#runs.slice(0, at)) {
        const slackBytes = Math.abs(second.start - stepBytes - first.start);
        if (slackBytes <= toleranceBytes(recordBytes)) return { stepBytes, recordBytes, slackBytes };
      }
    }
    return undefined;
  }

  #begin(
    start: number,
    recordBytes: number,
    stepBytes: number,
    slackBytes: number,
    stepsMax: number,
  ): readonly AheadRange[] {
    const stride: Stride = {
      stepBytes,
      recordBytes,
      slackBytes,
      start,
      end: start + recordBytes,
      aheadMax: AHEAD_FIRST,
      planned: 0,
      lastUse: this.#uses,
    };
    if (this.#strides.length === STRIDES_MAX) {
      const oldest = this.#strides.reduce((a, b) => (a.lastUse <= b.lastUse ? a : b));
      this.#strides.splice(this.#strides.indexOf(oldest), 1);
    }
    this.#strides.push(stride);
    return plan(stride, stepsMax);
  }

  #step(stride: Stride, offset: number, sizeBytes: number, stepsMax: number): readonly AheadRange[] | undefined {
    const { stepBytes, start } = stride;
    const endOffset = offset + sizeBytes;
    const steps = Math.round((offset - start) / stepBytes);
    if (Math.abs(steps) > SKIPPED_MAX) return undefined;
    const expected = start + steps * stepBytes;
    if (steps === 0 && offset === stride.end && offset - start >= stride.recordBytes) {
      // The record is longer than those before, or a stream begins here: the next will show.
      stride.end = endOffset;
      stride.recordBytes = Math.min(RECORD_BYTES_MAX, endOffset - start);
      return undefined;
    }
    const inside = offset > expected && offset < expected + stride.recordBytes;
    const missed = Math.abs(offset - expected);
    const near = missed <= toleranceBytes(stride.recordBytes);
    if (!near && (!inside || steps < 0)) return undefined;
    if (endOffset - expected > Math.abs(stepBytes)) return undefined;
    stride.lastUse = this.#uses;
    if (steps < 0) return NOTHING;
    if (steps === 0) {
      stride.end = Math.max(stride.end, endOffset);
      return NOTHING;
    }
    stride.start = near ? offset : expected;
    stride.end = endOffset;
    stride.recordBytes = Math.max(stride.recordBytes, Math.min(RECORD_BYTES_MAX, endOffset - stride.start));
    if (near) stride.slackBytes = Math.max(stride.slackBytes, missed);
    stride.planned = Math.max(0, stride.planned - steps);
    stride.aheadMax = Math.min(AHEAD_MAX, 2 * stride.aheadMax);
    return plan(stride, stepsMax);
  }
}

/** The steps that are to be fetched and have not been, joined where they touch; none while half of them are there. */
function plan(stride: Stride, stepsMax: number): readonly AheadRange[] {
  const ahead = Math.min(stride.aheadMax, stepsMax);
  // Records that touch are fetched several at a time.
  const touches = Math.abs(stride.stepBytes) <= stride.recordBytes;
  if (stride.planned >= (touches ? Math.ceil(ahead / 2) : ahead)) return NOTHING;
  const ranges: AheadRange[] = [];
  for (let step = stride.planned + 1; step <= ahead; step++) {
    const from = stride.start + step * stride.stepBytes - stride.slackBytes;
    const to = from + stride.recordBytes + 2 * stride.slackBytes;
    const before = ranges[ranges.length - 1];
    if (before && from <= before.to && to >= before.from) {
      ranges[ranges.length - 1] = { from: Math.min(from, before.from), to: Math.max(to, before.to) };
    } else ranges.push({ from, to });
  }
  stride.planned = ahead;
  return ranges;
}

/** How far from its place a run may start: row groups and records are not all of one size. */
function toleranceBytes(recordBytes: number): number {
  return Math.max(4 * KIB, recordBytes / 2);
}
