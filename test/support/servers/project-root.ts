/**
 * Where the project is, seen from the compiled tests.
 *
 * One place that knows how deep dist/ is, so that moving a test file breaks nothing. Holds nothing else.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json. */
export function projectRoot(): string {
  return join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..');
}
