import { spawn } from 'node:child_process';
import t from 'tap';
import { endsWithin, hasEnded } from '../../src/main/child-end.js';

t.test('a child that ends, one that does not, and one that never was', async (t) => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  t.teardown(() => child.kill('SIGKILL'));
  t.notOk(await endsWithin(child, 1), 'it runs');
  t.equal(child.listenerCount('exit'), 0, 'and nobody listens any more');
  t.notOk(hasEnded(child));
  child.kill('SIGKILL');
  t.ok(await endsWithin(child, 60_000));
  t.ok(hasEnded(child));
  t.ok(await endsWithin(child, 0), 'known already');
  const none = spawn('/nonexistent/program');
  none.on('error', () => undefined);
  t.ok(await endsWithin(none, 60_000));
});
