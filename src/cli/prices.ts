/**
 * Reads a price list for `stats --prices FILE`: YAML (or JSON, which is YAML) with the fields of PriceList, every one checked.
 * Refuses unknown fields and operations: a typo must not make requests free.
 */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { STORE_OPERATIONS, type StoreOperation } from '../engine/net/request-ledger.js';
import { CommandError } from '../main/command-error.js';
import { EXIT_USAGE } from '../main/exit-codes.js';
import type { PriceList } from '../main/stats/cost.js';

/** Nobody pays that much for a thousand requests. */
const PRICE_MAX = 1_000_000;

/** Throws CommandError. */
export function readPrices(file: string): PriceList {
  let content: unknown;
  try {
    content = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw wrong(file, error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error));
  }
  if (!isRecord(content)) throw wrong(file, 'it is no list of fields');
  const { name, date, currency, perThousand, ...others } = content;
  refuseOthers(file, others, 'name, date, currency, perThousand');
  if (typeof name !== 'string' || name === '') throw wrong(file, 'name is missing');
  const day = date instanceof Date ? date.toISOString().slice(0, 10) : date;
  if (typeof day !== 'string' || !/^\d{4}-\d\d-\d\d$/.test(day)) throw wrong(file, 'date is no day such as 2026-01-31');
  if (typeof currency !== 'string' || !/^[A-Z]{3}$/.test(currency))
    throw wrong(file, 'currency is no code such as USD');
  if (!isRecord(perThousand)) throw wrong(file, 'perThousand is missing');
  const prices: Partial<Record<StoreOperation, number>> = {};
  for (const operation of STORE_OPERATIONS) {
    const price = perThousand[operation];
    if (typeof price !== 'number' || !(price >= 0 && price <= PRICE_MAX)) {
      throw wrong(file, `perThousand.${operation} is no price`);
    }
    prices[operation] = price;
  }
  const unknown = Object.fromEntries(Object.entries(perThousand).filter(([key]) => !Object.hasOwn(prices, key)));
  refuseOthers(file, unknown, STORE_OPERATIONS.join(', '));
  return { name, date: day, currency, perThousand: prices as Record<StoreOperation, number> };
}

function refuseOthers(file: string, others: object, allowed: string): void {
  const [first] = Object.keys(others);
  if (first !== undefined) throw wrong(file, `${first} is not known; allowed: ${allowed}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(file: string, why: string): CommandError {
  return new CommandError(EXIT_USAGE, `--prices ${file}: ${why}`, 'docs/OBSERVABILITY.md shows a list');
}
