import { HASH_BYTES, rootOver } from './merkle.js';

/**
 * The layout of a transparency log in static files (C2SP tlog-tiles): hashes of the tree in tiles of 256, leaves in bundles of 256. A tile
 * that is not full yet stands under a name with its width, so that no name ever changes its bytes.
 */
export const TILE_WIDTH = 256;
/** Two bytes tell how long a leaf is. */
export const LEAF_BYTES_MAX = 65_535;

/** `tile/1/x001/x234/067.p/12`: level, number in groups of three digits, width of a partial one. */
export function tilePath(level: number | 'entries', index: number, width: number = TILE_WIDTH): string {
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  const groups = padded.match(/\d{3}/g) ?? [];
  const name = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
  return `tile/${level}/${name}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Leaves one after the other, each behind its length in two bytes. */
export function encodeBundle(leaves: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    leaves.flatMap((leaf) => {
      if (leaf.byteLength > LEAF_BYTES_MAX) throw new RangeError('a leaf is longer than two bytes can tell');
      const length = Buffer.alloc(2);
      length.writeUInt16BE(leaf.byteLength);
      return [length, leaf];
    }),
  );
}

/** null for bytes that are no bundle. */
export function decodeBundle(bytes: Buffer): readonly Buffer[] | null {
  const leaves: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 2 > bytes.length) return null;
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) return null;
    leaves.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return leaves;
}

export interface Tile {
  readonly level: number;
  readonly index: number;
  readonly width: number;
  readonly bytes: Buffer;
}

/**
 * A tree that grows at its right edge: of every level it holds the hashes of the tile that is not full yet. The 256 hashes of a full tile make one
 * hash of the level above.
 */
export class TileTree {
  #size = 0;
  readonly #edge: Buffer[][] = [];

  /** The tree of `size` leaves whose edge is known: per level the hashes of its partial tile, put together. */
  static at(size: number, edge: readonly Buffer[]): TileTree {
    const tree = new TileTree();
    tree.#size = size;
    for (let level = 0, rest = size; rest > 0; level += 1, rest = Math.floor(rest / TILE_WIDTH)) {
      const bytes = edge[level] ?? Buffer.alloc(0);
      if (bytes.length !== (rest % TILE_WIDTH) * HASH_BYTES)
        throw new RangeError('the edge is not that of such a tree');
      tree.#edge.push(hashesOf(bytes));
    }
    return tree;
  }

  get size(): number {
    return this.#size;
  }

  /** Takes hashes of leaves. Gives the tiles that became full. */
  append(hashes: readonly Buffer[]): readonly Tile[] {
    const full: Tile[] = [];
    for (const hash of hashes) {
      this.#size += 1;
      this.#push(0, hash, full);
    }
    return full;
  }

  /** The tiles that are not full, as they are now. */
  partials(): readonly Tile[] {
    return this.#edge.flatMap((hashes, level) => {
      if (hashes.length === 0) return [];
      const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1));
      return [{ level, index, width: hashes.length, bytes: Buffer.concat(hashes) }];
    });
  }

  edge(): readonly Buffer[] {
    return this.#edge.map((hashes) => Buffer.concat(hashes));
  }

  /** What is left over on a level is one ragged subtree, the last one of the level above. */
  root(): Buffer {
    let below: Buffer | undefined;
    for (const hashes of this.#edge) {
      const all = below === undefined ? hashes : [...hashes, below];
      if (all.length > 0) below = rootOver(all);
    }
    return below ?? rootOver([]);
  }

  #push(level: number, hash: Buffer, full: Tile[]): void {
    const hashes = (this.#edge[level] ??= []);
    hashes.push(hash);
    if (hashes.length < TILE_WIDTH) return;
    this.#edge[level] = [];
    const index = Math.floor(this.#size / TILE_WIDTH ** (level + 1)) - 1;
    full.push({ level, index, width: TILE_WIDTH, bytes: Buffer.concat(hashes) });
    this.#push(level + 1, rootOver(hashes), full);
  }
}

export function hashesOf(tile: Buffer): Buffer[] {
  const hashes: Buffer[] = [];
  for (let at = 0; at < tile.length; at += HASH_BYTES) hashes.push(tile.subarray(at, at + HASH_BYTES));
  return hashes;
}

/** How wide the tile is in a tree of so many leaves; 0 where it is not. */
export function widthIn(size: number, level: number, index: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level);
  return Math.max(0, Math.min(TILE_WIDTH, hashes - index * TILE_WIDTH));
}

/** Reads a tile or a bundle of a tree of so many leaves by its path; whoever stores them knows how. */
export type ReadTile = (path: string) => Promise<Buffer>;

/** Hashes of ranges of leaves, out of tiles: whole subtrees are looked up, ragged ones are put together. */
export function rangeHashes(size: number, read: ReadTile): (from: number, to: number) => Promise<Buffer> {
  const tiles = new Map<string, Promise<Buffer>>();
  const hashAt = async (level: number, index: number): Promise<Buffer> => {
    const tile = Math.floor(index / TILE_WIDTH);
    const path = tilePath(level, tile, widthIn(size, level, tile));
    const reading = tiles.get(path) ?? read(path);
    tiles.set(path, reading);
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    return (await reading).subarray(at, at + HASH_BYTES);
  };
  const hashOf = async (from: number, to: number): Promise<Buffer> => {
    // The highest level of tiles whose hashes make up the range; what is left over is made up of lower ones.
    let level = 0;
    while (TILE_WIDTH ** (level + 1) <= to - from) level += 1;
    const parts: Buffer[] = [];
    const each = TILE_WIDTH ** level;
    let at = from;
    for (; at + each <= to; at += each) parts.push(await hashAt(level, at / each));
    if (at < to) parts.push(await hashOf(at, to));
    return rootOver(parts);
  };
  return hashOf;
}
