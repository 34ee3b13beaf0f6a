/**
 * Settings that were said at several places, as one: the higher place wins, option by option, and where two options stand
 * against each other (build-config's conflicts) the lower one is left out with a line that says so. A list is taken whole.
 * Pure. Refuses to read any place.
 */
import type { Origin, SaidSetting } from '../../main/settings-record.js';
import { isOptionName, mountOptions, type GivenOptions, type OptionName } from '../options.js';
import { originOf, placeOf, spoken } from './origins.js';

/** One place's settings while they are collected. */
export class Layer {
  readonly #flags = new Set<OptionName>();
  readonly #unset = new Set<OptionName>();
  readonly #values = new Map<OptionName, string>();
  readonly #lists = new Map<OptionName, readonly string[]>();
  readonly #origins = new Map<OptionName, Origin>();

  setFlag(name: OptionName, value: boolean, origin: Origin): void {
    (value ? this.#flags : this.#unset).add(name);
    this.#origins.set(name, origin);
  }

  setValue(name: OptionName, value: string, origin: Origin): void {
    this.#values.set(name, value);
    this.#origins.set(name, origin);
  }

  setList(name: OptionName, words: readonly string[], origin: Origin): void {
    this.#lists.set(name, words);
    this.#origins.set(name, origin);
  }

  has(name: OptionName): boolean {
    return this.#origins.has(name);
  }

  get given(): GivenOptions {
    return {
      flags: this.#flags,
      values: this.#values,
      lists: this.#lists,
      unset: this.#unset,
      origins: this.#origins,
    };
  }
}

export const nothingGiven: GivenOptions = { flags: new Set(), values: new Map(), lists: new Map() };

/** Everything that is said in `given`. */
export function saidNames(given: GivenOptions): OptionName[] {
  return [...given.flags, ...(given.unset ?? []), ...given.values.keys(), ...given.lists.keys()];
}

/** `upper` above `lower`. `contradicts` tells which options stand against each other. */
export function over(
  upper: GivenOptions,
  lower: GivenOptions,
  contradicts: (one: OptionName, other: OptionName) => boolean,
): { readonly given: GivenOptions; readonly notes: readonly string[] } {
  const notes: string[] = [];
  const said = new Set(saidNames(upper));
  // What is said to be off stands against nothing.
  const opposing = [...said].filter((name) => upper.unset?.has(name) !== true);
  const wins = (name: OptionName): boolean => {
    if (said.has(name)) return false;
    if (lower.unset?.has(name) === true) return true;
    const against = opposing.find((other) => contradicts(name, other));
    if (against !== undefined) notes.push(`${spoken(upper, against)} is given, so ${loser(lower, name)} is left out`);
    return against === undefined;
  };
  const kept = new Set(saidNames(lower).filter(wins));
  const isKept = ([name]: readonly [OptionName, unknown]): boolean => kept.has(name);
  return {
    given: {
      flags: new Set([...upper.flags, ...[...lower.flags].filter((name) => kept.has(name))]),
      unset: new Set([...(upper.unset ?? []), ...[...(lower.unset ?? [])].filter((name) => kept.has(name))]),
      values: new Map([...[...lower.values].filter(isKept), ...upper.values]),
      lists: new Map([...[...lower.lists].filter(isKept), ...upper.lists]),
      origins: new Map([...[...(lower.origins ?? [])].filter(isKept), ...(upper.origins ?? [])]),
    },
    notes,
  };
}

function loser(lower: GivenOptions, name: OptionName): string {
  return originOf(lower, name)?.kind === 'profile' ? `the profile's ${name}` : spoken(lower, name);
}

/** All settings of `given` as plain data, in the table's order. */
export function asSaid(given: GivenOptions): SaidSetting[] {
  const order = Object.keys(mountOptions) as OptionName[];
  return order.flatMap((name): SaidSetting[] => {
    const origin = originOf(given, name);
    if (origin === undefined) return [];
    const value = given.values.get(name) ?? given.lists.get(name) ?? given.flags.has(name);
    return [{ name, value, origin }];
  });
}

/** The inverse of asSaid; what is no option (any more) is left out. */
export function fromSaid(said: readonly SaidSetting[]): GivenOptions {
  const layer = new Layer();
  for (const { name, value, origin } of said) {
    if (!isOptionName(name)) continue;
    if (typeof value === 'boolean') layer.setFlag(name, value, origin);
    else if (typeof value === 'string') layer.setValue(name, value, origin);
    else layer.setList(name, value, origin);
  }
  return layer.given;
}

/** `FILE:LINE:COLUMN` or a variable, for lines that begin with a place; `the command line` for what was typed. */
export function placeOrTyped(origin: Origin): string {
  return placeOf(origin) ?? 'the command line';
}
