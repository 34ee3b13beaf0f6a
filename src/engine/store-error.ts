/**
 * What the store said no with, in one type for both planes. `errno` comes from the S3 table (s3-errno.ts); `remedy` is
 * the sentence that tells the user what to do now. Messages never hold secrets.
 */
import { ErrnoError } from '../base/errno.js';

export interface StoreErrorFields {
  readonly errno: number;
  /** S3's error code, or our own word for a transport failure. */
  readonly code: string;
  /** HTTP status, 0 when there was no response. */
  readonly status: number;
  /** `s3://bucket/key` or the endpoint: what it happened to. */
  readonly resource: string;
  readonly message: string;
  readonly remedy?: string;
}

export class StoreError extends ErrnoError {
  readonly code: string;
  readonly status: number;
  readonly resource: string;
  readonly remedy: string | undefined;
  constructor(fields: StoreErrorFields, options?: ErrorOptions) {
    super(fields.errno, fields.message, options);
    this.code = fields.code;
    this.status = fields.status;
    this.resource = fields.resource;
    this.remedy = fields.remedy;
  }
}
