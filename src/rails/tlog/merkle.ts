import { createHash, hash } from 'node:crypto';

/** The Merkle tree of RFC 6962: leaves and nodes are hashed apart, so that no node can pass for a leaf. */

export const HASH_BYTES = 32;
const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

/** Of a tree without leaves. */
export const EMPTY_ROOT: Buffer = Buffer.from(hash('sha256', '', 'hex'), 'hex');

export function leafHash(leaf: Uint8Array): Buffer {
  return createHash('sha256').update(LEAF).update(leaf).digest();
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256').update(NODE).update(left).update(right).digest();
}

/**
 * The root over hashes of subtrees in their order. All but the last are of one size, a power of two; the last may be smaller: such a list splits
 * where the tree does.
 */
export function rootOver(hashes: readonly Buffer[]): Buffer {
  const [only] = hashes;
  if (only === undefined) return EMPTY_ROOT;
  if (hashes.length === 1) return only;
  const left = splitOf(hashes.length);
  return nodeHash(rootOver(hashes.slice(0, left)), rootOver(hashes.slice(left)));
}

/** The greatest power of two below a number above 1: where RFC 6962 cuts a tree of so many leaves. */
export function splitOf(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

/** The hash of leaves [from, to) of the tree; whoever stores the tree knows the ones of whole subtrees. */
export type RangeHash = (from: number, to: number) => Promise<Buffer>;

/** The hashes that lead from a leaf to the root of a tree of so many leaves (RFC 6962, 2.1.1), nearest first. */
export async function inclusionProof(leaf: number, size: number, hashOf: RangeHash): Promise<readonly Buffer[]> {
  const proof: Buffer[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + splitOf(to - from);
    if (leaf < middle) {
      proof.push(await hashOf(middle, to));
      to = middle;
    } else {
      proof.push(await hashOf(from, middle));
      from = middle;
    }
  }
  return proof.reverse();
}

/** The root that a leaf and its proof lead to; null for a proof of the wrong length (RFC 9162, 2.1.3.2). */
export function rootByInclusion(leaf: number, size: number, hashed: Buffer, proof: readonly Buffer[]): Buffer | null {
  if (leaf >= size) return null;
  let [at, last, root] = [leaf, size - 1, hashed];
  for (const sibling of proof) {
    if (last === 0) return null;
    if (at % 2 === 1 || at === last) {
      root = nodeHash(sibling, root);
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    } else root = nodeHash(root, sibling);
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 ? root : null;
}

/** What shows that a tree of `first` leaves is the beginning of one of `size` (RFC 6962, 2.1.2). */
export async function consistencyProof(first: number, size: number, hashOf: RangeHash): Promise<readonly Buffer[]> {
  if (first === 0 || first === size) return [];
  const proof: Buffer[] = [];
  let [from, to, whole] = [0, size, true];
  while (to !== first) {
    const middle = from + splitOf(to - from);
    if (first <= middle) {
      proof.push(await hashOf(middle, to));
      to = middle;
    } else {
      proof.push(await hashOf(from, middle));
      [from, whole] = [middle, false];
    }
  }
  if (!whole) proof.push(await hashOf(from, to));
  return proof.reverse();
}

/** Whether the proof leads from the first root to the second one (RFC 9162, 2.1.4.2). */
export function isConsistent(
  first: number,
  size: number,
  firstRoot: Buffer,
  root: Buffer,
  proof: readonly Buffer[],
): boolean {
  if (first > size) return false;
  if (first === size) return proof.length === 0 && firstRoot.equals(root);
  if (first === 0) return proof.length === 0;
  const path = Number.isInteger(Math.log2(first)) ? [firstRoot, ...proof] : [...proof];
  let [at, last] = [first - 1, size - 1];
  while (at % 2 === 1) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  const [start, ...rest] = path;
  if (start === undefined) return false;
  let [old, now] = [start, start];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      old = nodeHash(sibling, old);
      now = nodeHash(sibling, now);
      while (at % 2 === 0 && at !== 0) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
    } else now = nodeHash(now, sibling);
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 && old.equals(firstRoot) && now.equals(root);
}
