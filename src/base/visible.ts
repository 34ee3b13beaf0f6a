/**
 * Names that others chose (keys of a bucket, file names, names of processes), made fit for a terminal: a control character in
 * one could move the cursor, rename the window, or forge a line of ours. Pure.
 * Refuses to shorten or to quote: what is printable stays as it is.
 */

/** Controls, separators of lines and paragraphs, and what turns the direction of text round. */
const unsafe = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r' };

/** One line: every such character as an escape, `\n`, `\x1b` or `\u2028`. */
export function visible(name: string): string {
  return name.replace(unsafe, escaped);
}

/** Lines of our own, with what they quote: line ends and tabs stay. */
export function visibleLines(text: string): string {
  return text.replace(unsafe, (character) =>
    character === '\n' || character === '\t' ? character : escaped(character),
  );
}

/** The same for a line of JSON that is about to be shown: what its strings hold is escaped once more. Stacks keep their lines. */
export function visibleJson(line: string): string {
  return line
    .replace(jsonEscape, (escape, code: string | undefined) =>
      code === undefined || code === 'n' || code === 't' ? escape : `\\${escape}`,
    )
    .replace(unsafe, (character) => (character === '\n' ? character : `\\${escaped(character)}`));
}

/** One escape of JSON, and of those only what stands for a control character. An escaped backslash is passed over as a whole. */
const jsonEscape = /\\(?:["\\/]|u(?!00[01])[0-9a-fA-F]{4})|\\(u00[01][0-9a-fA-F]|[bfnrt])/g;

function escaped(character: string): string {
  const code = character.charCodeAt(0);
  return short[character] ?? (code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
