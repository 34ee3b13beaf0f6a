/**
 * A pair of a settings file as what would have been typed: a flag, a list or a value, by the kind of its option. Refuses to know
 * which options belong into a file: its reader does.
 */
import type { Pair } from 'yaml';
import type { Origin } from '../../main/settings-record.js';
import { mountOptions, type OptionName } from '../options.js';
import type { Layer } from './layers.js';
import { isSeq, valueBoolean, valueText } from './yaml-file.js';

/** Adds the pair to `layer`. `where` is for messages; `adapt` changes the text of a value. Throws CommandError. */
export function setFromPair(
  layer: Layer,
  name: OptionName,
  { value }: Pick<Pair<unknown, unknown>, 'value'>,
  place: { readonly where: string; readonly origin: Origin },
  adapt: (text: string) => string = (text) => text,
): void {
  const { where, origin } = place;
  const { kind } = mountOptions[name];
  if (kind === 'flag') layer.setFlag(name, valueBoolean(value, name, where), origin);
  else if (kind === 'list') {
    const items: unknown[] = isSeq(value) ? value.items : [value];
    layer.setList(
      name,
      items.map((item) => valueText(item, name, where)),
      origin,
    );
  } else layer.setValue(name, adapt(valueText(value, name, where)), origin);
}
