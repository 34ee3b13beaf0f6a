/**
 * Makes src/hwdetect/instance-table-data.ts from the TSV beside this file, from saved answers of DescribeInstanceTypes, or by
 * running the aws command: see README.md. For developers; not part of what a mount runs.
 * Refuses to write anything when one input makes no sense.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { packTable, tsvOf } from './pack.js';
import { rowsOfEc2, rowsOfTsv, type InstanceRow } from './rows.js';

/** This file runs as dist/dev/instance-table/main.js. */
const target = fileURLToPath(new URL('../../../src/hwdetect/instance-table-data.ts', import.meta.url));
/** The answer of a region is some 3 MB. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

function askAws(region: string): InstanceRow[] {
  const args = ['ec2', 'describe-instance-types', '--region', region, '--output', 'json'];
  const { status, stdout, stderr, error } = spawnSync('aws', args, { encoding: 'utf8', maxBuffer: ANSWER_BYTES_MAX });
  if (error !== undefined || status !== 0) {
    throw new Error(`\`aws ${args.join(' ')}\` failed: ${error?.message ?? stderr.trim()}`);
  }
  return rowsOfEc2(stdout);
}

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      aws: { type: 'string', multiple: true, default: [] },
      tsv: { type: 'string' },
      output: { type: 'string', default: target },
    },
  });
  const rows = [
    ...positionals.flatMap((file) => {
      const text = readFileSync(file, 'utf8');
      return file.endsWith('.json') ? rowsOfEc2(text) : rowsOfTsv(text);
    }),
    ...values.aws.flatMap(askAws),
  ];
  if (rows.length === 0) throw new Error('no input: give a .tsv or .json file, or --aws REGION');
  writeFileSync(values.output, packTable(rows));
  if (values.tsv !== undefined) writeFileSync(values.tsv, tsvOf(rows));
  console.log(`${values.output}: ${new Set(rows.map((row) => row.type)).size} instance types`);
} catch (error) {
  console.error(`instance-table: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
