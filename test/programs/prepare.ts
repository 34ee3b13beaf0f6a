/** The Python of test/programs: one environment for its checks and for examples/train.py. */
import { join } from 'node:path';
import { projectRoot } from '../support/servers/project-root.js';
import { prepareVenv } from '../support/venv.js';

/** Measured: 150 s on two busy cores with a good network. */
const INSTALL_MS_MAX = 1_200_000;

export const checksFile = join(projectRoot(), 'test/programs/checks.py');

export function prepareProgramsPython(): ReturnType<typeof prepareVenv> {
  return prepareVenv('programs', join(projectRoot(), 'test/programs/requirements.txt'), INSTALL_MS_MAX);
}
