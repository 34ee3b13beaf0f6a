/** The version of the installed package, for everything above src/main; read where the program's files are known. */
export { packageVersion } from '../base/program-file.js';
