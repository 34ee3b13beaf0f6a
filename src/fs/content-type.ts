/**
 * Content-Type of a new object by its name, for --infer-content-type. The table is the library's (IANA's registrations);
 * formats of this trade that it does not know stay without, rather than under a name that nobody registered.
 * Refuses to look at bytes.
 */
import mime from 'mime';

/** `image/png` for `a/b.PNG`; undefined where the extension says nothing, or there is none. */
export function contentTypeOf(key: string): string | undefined {
  const name = key.slice(key.lastIndexOf('/') + 1);
  // The library takes a bare word for an extension: a file called `json` is not one.
  if (!name.includes('.', 1)) return undefined;
  return mime.getType(name) ?? undefined;
}
