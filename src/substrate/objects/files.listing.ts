import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ObjectKey } from '../../rails/ref.js';
import { systemCode } from './files.errors.js';
import { keyOfStored, type Page } from './objects.core.js';
import { type ObjectListing } from './objects.port.js';
import { SEAL_BYTES } from './seal.core.js';

/**
 * One page of the tree under `root`, in code point order of whole keys. Names of one folder cannot be sorted by
 * themselves: the folder `a` stands for `a/…`, which comes after `a-b` and before `a0`. So it is sorted with its slash;
 * a file carries its mark, which sorts before everything.
 */
export async function listPage(root: string, { prefix, after, limit }: Page): Promise<ObjectListing> {
  const keys: ObjectKey[] = [];
  for await (const key of walk(root, prefix, after)) {
    keys.push(key);
    // One more than wanted tells whether there is another page.
    if (keys.length > limit) break;
  }
  const page = keys.slice(0, limit);
  const objects = await Promise.all(page.map(async (key) => ({ key, size: await sizeOf(join(root, `${key}!`)) })));
  return { objects, next: keys.length > limit ? (page.at(-1) ?? null) : null };
}

async function* walk(root: string, prefix: string, after: ObjectKey | null): AsyncGenerator<ObjectKey> {
  const names = await namesIn(join(root, prefix));
  const entries = names.map((name) => (name.endsWith('!') ? name : `${name}/`)).sort();
  for (const entry of entries) {
    const path = prefix + entry;
    if (!entry.endsWith('/')) {
      const key = keyOfStored(path);
      if (key !== null && (after === null || key > after)) yield key;
    } else if (after === null || path > after || after.startsWith(path)) {
      // A folder that lies wholly before the start of the page is not even opened.
      yield* walk(root, path, after);
    }
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    // No object has this prefix; or a file lies here that is none of the platform's.
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return [];
    throw error;
  }
}

/** A file that was cut off behind our back has no whole seal any more: 0 until its next read names it. */
async function sizeOf(path: string): Promise<number> {
  return Math.max((await stat(path)).size - SEAL_BYTES, 0);
}
