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

/** What a server answers about a stretch: its first names, at most as many as were asked for. */
export interface Listed {
  readonly entries: readonly { readonly name: string; readonly size: number }[];
  readonly truncated: boolean;
}

/**
 * One page. Asks on while it is not full: names that are none of the platform's may stand between its own. A full page
 * is known to be the last one once one more was asked for behind it.
 */
export async function listPage(
  ask: (stretch: Stretch, namesMax: number) => Promise<Listed>,
  { prefix, after, limit }: Page,
): Promise<ObjectListing> {
  const objects: { key: ObjectKey; size: number }[] = [];
  let stretches = stretchesAfter(prefix, after === null ? null : storedName(after));
  for (let stretch = stretches[0]; stretch !== undefined; stretch = stretches[0]) {
    const { entries, truncated } = await ask(stretch, Math.max(1, limit - objects.length));
    for (const { name, size } of entries) {
      const key = keyOfStored(name);
      if (key !== null) objects.push({ key, size });
    }
    const last = entries.at(-1)?.name;
    const more = truncated && last !== undefined;
    const page = objects.slice(0, limit);
    if (objects.length > limit || (objects.length === limit && more)) {
      return { objects: page, next: page.at(-1)?.key ?? null };
    }
    // The rest of a stretch that began at the prefix may begin in a folder now.
    stretches = [...(more ? stretchesAfter(stretch.prefix, last) : []), ...stretches.slice(1)];
  }
  return { objects, next: null };
}
