/** The catalogue of findings as docs/DOCTOR.md shows it: `node dist/test/doctor/catalogue-table.js` prints the table. */
import { fileURLToPath } from 'node:url';
import { catalogue, findingIds } from '../../src/doctor/catalogue.js';

/** Rows in the order of the catalogue, without padding. */
export function catalogueRows(): string[] {
  const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll(/[<>{}]/g, (each) => `\\${each}`);
  return findingIds.map((id) => {
    const { severity, when, why, fix } = catalogue[id];
    const mends = fix === '{remedy}' ? 'as the failure says' : fix;
    return `| \`${id}\` | ${severity} | ${cell(when)} | ${cell(why)} | ${cell(mends)} |`;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(['| finding | severity | when | why it matters | what mends it |', '| - | - | - | - | - |'].join('\n'));
  for (const row of catalogueRows()) console.log(row);
}
