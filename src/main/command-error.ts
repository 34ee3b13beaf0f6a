/**
 * A failure that a person caused or can mend, found before or beside the daemon: one sentence, one remedy, one exit code.
 * It exists so that checks can throw where they look and only one place (failure.ts) knows how a failure is printed.
 * Refuses to carry a stack to the screen: what needs a stack is a bug and is not a CommandError.
 */

export class CommandError extends Error {
  override readonly name = 'CommandError';
  /** A row of exitCodeTable. */
  readonly exitCode: number;
  /** What to do now; undefined when the message itself says it. */
  readonly remedy: string | undefined;
  constructor(exitCode: number, message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
    this.remedy = remedy;
  }
}
