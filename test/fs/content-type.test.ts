/** --infer-content-type: by the extension, in any case, and never by the bare name. */
import t from 'tap';
import { contentTypeOf } from '../../src/fs/content-type.js';

const rows: readonly (readonly [key: string, type: string | undefined])[] = [
  ['a/b/c.json', 'application/json'],
  ['A.PNG', 'image/png'],
  ['shards/000.tar', 'application/x-tar'],
  ['log.txt', 'text/plain'],
  ['a.tar.gz', 'application/gzip'],
  ['model.safetensors', undefined],
  ['json', undefined],
  ['.json', undefined],
  ['dir.json/file', undefined],
  ['ends.', undefined],
  ['', undefined],
];

for (const [key, type] of rows) void t.test(key, (t) => (t.equal(contentTypeOf(key), type), t.end()));
