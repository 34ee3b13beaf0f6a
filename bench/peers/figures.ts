/**
 * What was measured of one row: samples of each side and test, and their medians. Memory is the exception: its figure is
 * the largest sample, because the bound holds always. Refuses to hide failures: a failed sample makes the row fail.
 */
import type { SideName } from './sides.js';

/** One JSON line of the readers' programs. */
export interface Sample {
  readonly test: string;
  readonly value?: number;
  readonly unit?: string;
  readonly cpu_s?: number;
  readonly cpu_s_per_GB?: number;
  readonly rss_peak_MiB?: number;
  readonly p50_ms?: number;
  readonly p99_ms?: number;
  readonly bytes?: number;
  readonly server_bytes?: number;
  readonly server_bytes_in?: number;
  readonly server_requests?: number;
  readonly error?: string;
}

/** Names of the numbers in a Sample. */
export type Field = Exclude<keyof Sample, 'test' | 'unit' | 'error'>;

export class Figures {
  readonly #samples = new Map<SideName, Sample[]>();

  add(side: SideName, samples: readonly Sample[]): void {
    this.#samples.set(side, [...this.of(side), ...samples]);
  }

  of(side: SideName): readonly Sample[] {
    return this.#samples.get(side) ?? [];
  }

  sides(): SideName[] {
    return [...this.#samples.keys()];
  }

  /** Median of a field over the samples of a test that have it; undefined when none has. */
  median(side: SideName, test: string, field: Field): number | undefined {
    const numbers = this.#numbers(side, test, field).sort((a, b) => a - b);
    return numbers[Math.floor(numbers.length / 2)];
  }

  max(side: SideName, test: string, field: Field): number | undefined {
    const numbers = this.#numbers(side, test, field);
    return numbers.length === 0 ? undefined : Math.max(...numbers);
  }

  unit(side: SideName, test: string): string {
    return this.of(side).find((sample) => sample.test === test && sample.unit !== undefined)?.unit ?? '';
  }

  errors(side: SideName): string[] {
    return this.of(side).flatMap((sample) => (sample.error === undefined ? [] : [`${sample.test}: ${sample.error}`]));
  }

  #numbers(side: SideName, test: string, field: Field): number[] {
    return this.of(side).flatMap((sample) => {
      const value = sample[field];
      return sample.test === test && value !== undefined ? [value] : [];
    });
  }
}
