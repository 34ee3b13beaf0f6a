/**
 * --probe-write: one small object under a clear name is written and deleted, as the user asked. The name is new each time and the
 * write is conditional (If-None-Match), so nothing that is there can be replaced. On the same object it is tried whether the store
 * keeps such conditions (condition-probe.ts), unless the mount was told that it does not.
 */
import { randomBytes } from 'node:crypto';
import type { Check } from '../check.js';
import { finding, skipped, type Blanks } from '../finding.js';
import type { Reply } from '../store/examination.js';
import { brokenConditions } from './condition-probe.js';
import { PROBE_NAME } from './permissions.js';

const BODY = 'Written and deleted by `mount-s3x doctor --probe-write`. Delete it if it is still here.\n';

export const writeProbeCheck: Check = {
  name: 'write-probe',
  deadlineMs: 45_000,
  applies: ({ store, wish }) => store !== undefined && wish.probesWrite,
  async run({ store, wish }) {
    if (store === undefined) return skipped('no bucket');
    const isOpen = await store.probe().then(
      () => true,
      () => false,
    );
    if (!isOpen) return skipped('the bucket cannot be listed');
    const { PutObjectCommand, DeleteObjectCommand } = await import('@aws-sdk/client-s3');
    const { bucket, prefix } = store.options;
    const key = `${prefix}${PROBE_NAME}-${randomBytes(8).toString('hex')}`;
    const input = { Bucket: bucket, Key: key, ...store.parameters() };
    const put = await store.reply((client, abortSignal) =>
      client.send(new PutObjectCommand({ ...input, Body: BODY, IfNoneMatch: '*', ContentType: 'text/plain' }), {
        abortSignal,
      }),
    );
    const blanks = (reply: Reply): Blanks => ({ bucket, prefix, key, code: `${reply.code} (${reply.status})` });
    if (put.code !== '') {
      if (put.code === 'NotImplemented') {
        const unknown = finding('store.conditions', 'the store does not know If-None-Match of PutObject', {
          bucket,
          prefix,
        });
        return { summary: 'could not write under a condition', findings: [unknown] };
      }
      const found = `s3:PutObject of ${key}: ${put.code} (${put.status}) ${put.message}`.trim();
      const isDenied = put.status === 403 || put.status === 401;
      const id = isDenied ? 'permissions.write-denied' : 'permissions.probe-failed';
      return { summary: 'could not write', findings: [finding(id, found, blanks(put))] };
    }
    const broken = wish.reliesOnConditions ? await brokenConditions(store, key) : [];
    const ignored =
      broken.length === 0 ? [] : [finding('store.conditions', `the store ${broken.join(', ')}`, { bucket, prefix })];
    const removed = await store.reply((client, abortSignal) =>
      client.send(new DeleteObjectCommand(input), { abortSignal }),
    );
    if (removed.code === '') return { summary: `wrote and deleted ${key}`, findings: ignored };
    const said = `s3:DeleteObject of ${key}: ${removed.code} (${removed.status}) ${removed.message}`.trim();
    const isDenied = removed.status === 403 || removed.status === 401;
    return {
      summary: 'wrote, and could not delete',
      findings: [
        ...ignored,
        ...(isDenied ? [finding('permissions.delete-denied', said, blanks(removed))] : []),
        finding('permissions.left-behind', `${key} is in the bucket`, blanks(removed)),
      ],
    };
  },
};
