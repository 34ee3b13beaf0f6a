/**
 * Text as man(7) wants it: macros and escapes, one place. Only the classic macros are used (TH, SH, SS, TP, PP, EX, EE), which
 * groff and mandoc agree on. Refuses to lay out: lines are as long as they come.
 */

/** Plain text within a line. */
export function text(plain: string): string {
  return plain
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/'/g, '\\(aq')
    .replace(/`/g, '\\(ga')
    .replace(/\^/g, '\\(ha')
    .replace(/~/g, '\\(ti')
    .replace(/→/g, '\\(->')
    .replace(/…/g, '...');
}

export function bold(plain: string): string {
  return `\\fB${text(plain)}\\fR`;
}

export function italic(plain: string): string {
  return `\\fI${text(plain)}\\fR`;
}

/** A line of its own; one that begins with a control character is kept from being a macro. */
export function line(formatted: string): string {
  return /^[.']/.test(formatted) ? `\\&${formatted}` : formatted;
}

export function paragraph(plain: string): string[] {
  return ['.PP', line(text(plain))];
}

/** A term with what it means. */
export function entry(term: string, meaning: string): string[] {
  return ['.TP', line(term), line(text(meaning))];
}

export function section(title: string): string {
  return `.SH ${title.toUpperCase()}`;
}

export function subsection(title: string): string {
  return `.SS ${text(title)}`;
}

/** Lines as they are, in a fixed font. */
export function example(lines: readonly string[]): string[] {
  return ['.PP', '.EX', ...lines.map((each) => line(text(each))), '.EE'];
}
