/**
 * Writes what is made from the program's own tables: man pages into dist/man, completion into dist/completion. Part of
 * `npm run build`; packages install both. The directory may be given. Refuses to write into the sources.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commands } from '../../src/cli/commands.js';
import { completionScript, type Shell } from '../../src/cli/manual/completion.js';
import { helperPage, mountPage } from '../../src/cli/manual/man-pages.js';
import { describeCommandLine } from '../../src/cli/manual/model.js';
import { packageVersion } from '../../src/main/version.js';

const to = process.argv[2] ?? fileURLToPath(new URL('../..', import.meta.url));
const model = describeCommandLine(commands);
const version = packageVersion();

const files: Readonly<Record<string, string>> = {
  'man/mount-s3x.8': mountPage(model, version),
  'man/mount.s3x.8': helperPage(version),
  'completion/mount-s3x.bash': script('bash'),
  'completion/_mount-s3x': script('zsh'),
  'completion/mount-s3x.fish': script('fish'),
};

for (const folder of ['man', 'completion']) mkdirSync(join(to, folder), { recursive: true });
for (const [name, content] of Object.entries(files)) writeFileSync(join(to, name), content);

function script(shell: Shell): string {
  return completionScript(shell, model);
}
