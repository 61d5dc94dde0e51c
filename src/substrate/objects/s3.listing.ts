import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3';
import { type ObjectKey } from '../../rails/ref.js';
import { keyOfStored, storedName, type Page } from './objects.core.js';
import { type ObjectListing } from './objects.port.js';

/** A part of the bucket: the names that begin with `prefix` and are greater than `startAfter`. */
export interface Stretch {
  readonly prefix: string;
  readonly startAfter: string | undefined;
}

/** The character behind the slash. `a0` follows all of `a/…`, and precedes every stored name that begins with `a0`. */
const BEHIND_SLASH = '0';

/**
 * What lies under a prefix after a name, folder by folder from the name's own outwards, in the order of names.
 *
 * To begin in the middle of a folder and go on behind it in one request loses names at a server that keeps folders: it
 * begins with the first sibling of the folder, counts what it meets there although it lies before the name, and says
 * that the list has ended (decision 62). No stretch begins deeper than one level below its prefix.
 */
export function stretchesAfter(prefix: string, after: string | null): readonly Stretch[] {
  if (after === null || (after <= prefix && !after.startsWith(prefix))) return [{ prefix, startAfter: undefined }];
  if (!after.startsWith(prefix)) return [];
  const stretches: Stretch[] = [{ prefix, startAfter: after }];
  for (let slash = after.indexOf('/', prefix.length); slash >= 0; slash = after.indexOf('/', slash + 1)) {
    const inner = stretches[0]?.prefix ?? prefix;
    stretches[0] = { prefix: inner, startAfter: after.slice(0, slash) + BEHIND_SLASH };
    stretches.unshift({ prefix: after.slice(0, slash + 1), startAfter: after });
  }
  return stretches;
}

/**
 * One page. Asks on while it is not full: names that are none of the platform's may stand between its own. A full page
 * is known to be the last one once one more was asked for behind it.
 */
export async function listPage(
  client: S3Client,
  bucket: string,
  { prefix, after, limit }: Page,
): Promise<ObjectListing> {
  const objects: { key: ObjectKey; size: number }[] = [];
  let stretches = stretchesAfter(prefix, after === null ? null : storedName(after));
  for (let stretch = stretches[0]; stretch !== undefined; stretch = stretches[0]) {
    const answer = await client.send(
      new ListObjectsV2Command({
        Bucket: bucket,
        Prefix: stretch.prefix,
        MaxKeys: Math.max(1, limit - objects.length),
        ...(stretch.startAfter === undefined ? {} : { StartAfter: stretch.startAfter }),
      }),
    );
    for (const { Key: name = '', Size: size = 0 } of answer.Contents ?? []) {
      const key = keyOfStored(name);
      if (key !== null) objects.push({ key, size });
    }
    const last = answer.Contents?.at(-1)?.Key;
    const more = answer.IsTruncated === true && last !== undefined;
    const full = objects.slice(0, limit);
    if (objects.length > limit || (objects.length === limit && more)) {
      return { objects: full, next: full.at(-1)?.key ?? null };
    }
    // The rest of a stretch that began at the prefix may begin in a folder now.
    stretches = [...(more ? stretchesAfter(stretch.prefix, last) : []), ...stretches.slice(1)];
  }
  return { objects, next: null };
}
