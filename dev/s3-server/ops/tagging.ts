/**
 * Object tags: get, put, delete.
 */
import { S3Error } from '../errors.js';
import type { Reply } from '../http/reply.js';
import { XML_BODY_BYTES_MAX } from '../limits.js';
import type { ObjectEntry, ObjectMeta } from '../storage/object-record.js';
import { childList, childText, element, parseXml } from '../xml.js';
import { emptyReply, objectOf, type OpContext, xmlReply } from './context.js';
import { checkTags } from './object-headers.js';

export function getObjectTagging(context: OpContext): Reply {
  const { entry } = objectOf(context);
  let inner = '';
  for (const [name, value] of entry.meta?.tags ?? []) {
    inner += `<Tag>${element('Key', name)}${element('Value', value)}</Tag>`;
  }
  return xmlReply('Tagging', `<TagSet>${inner}</TagSet>`);
}

export async function putObjectTagging(context: OpContext): Promise<Reply> {
  const root = parseXml(await context.payload.readAll(XML_BODY_BYTES_MAX), 'Tagging', ['Tag']);
  const set = root['TagSet'];
  const tags = childList(set === undefined || Array.isArray(set) ? {} : (set as { [name: string]: never }), 'Tag').map(
    (tag): [string, string] => {
      const name = childText(tag, 'Key');
      const value = childText(tag, 'Value');
      if (name === undefined || value === undefined) throw new S3Error('MalformedXML');
      return [name, value];
    },
  );
  checkTags(tags);
  const { bucket, entry } = objectOf(context);
  bucket.changeMeta(entry, { ...metaOf(entry), tags });
  return emptyReply(200);
}

export function deleteObjectTagging(context: OpContext): Reply {
  const { bucket, entry } = objectOf(context);
  const { tags: _tags, ...meta } = metaOf(entry);
  bucket.changeMeta(entry, meta);
  return emptyReply(204);
}

function metaOf(entry: ObjectEntry): ObjectMeta {
  return entry.meta ?? { etag: entry.etag, headers: {}, user: {} };
}
