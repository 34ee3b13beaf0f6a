/**
 * The process of the load generator: does the one load or chore that its parent sends, answers, ends. A process of its own
 * because a call into a file system that hangs can only be given up by killing who made it, and because the CPU it takes
 * can then be told from everything else's. Refuses to run without a parent.
 */
import { doChore } from './chores.js';
import { failureOf } from './lane.js';
import { runLoad } from './run-load.js';
import type { FromGenerator, ToGenerator } from './steps.js';

function answer(said: FromGenerator): void {
  process.send?.(said, () => process.exit(0));
}

process.once('message', (message: ToGenerator) => {
  void handle(message).then(answer, (error: unknown) => answer({ type: 'failed', failure: failureOf(error) }));
});
process.once('disconnect', () => process.exit(1));

async function handle(message: ToGenerator): Promise<FromGenerator> {
  if ('load' in message) return { type: 'load', result: await runLoad(message.load) };
  return { type: 'chore', result: doChore(message.chore) };
}
