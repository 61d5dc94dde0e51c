import { type Checkpoint, readCheckpoint } from './checkpoint.js';
import { HASH_BYTES, leafHash } from './merkle.js';
import type { NoteVerifier } from './note.js';
import { decodeBundle, TILE_WIDTH, tilePath, TileTree, widthIn } from './tiles.js';

/** A log as it is kept somewhere: its files by path. */
export interface LogFiles {
  /** null: there is no such file. */
  read(path: string): Promise<Buffer | null>;
}

export interface LogCheck {
  readonly files: LogFiles;
  readonly verifier: NoteVerifier;
  /** Notes that the log gave out, this one's own among them: all must be of one tree. */
  readonly notes: readonly { readonly name: string; readonly note: string }[];
  /** Looks at a leaf of the newest checkpoint, in order; says what is wrong with it, or null. */
  readonly onLeaves?: (first: number, leaves: readonly Buffer[]) => Promise<string | null>;
}

export interface LogFindings {
  readonly size: number;
  readonly checkpoints: number;
  /** The first thing that is not as it must be: which file, and what of it. */
  readonly fault?: { readonly file: string; readonly says: string };
}

/**
 * Checks a log from its leaves up: every leaf is hashed, every tile must hold those hashes, and the root at the size of each note must be the one that the
 * note was signed over. So an edited, lost or swapped leaf, a cut tail and an older log put back each show, at the file that shows it first.
 */
export async function verifyLog({ files, verifier, notes, onLeaves }: LogCheck): Promise<LogFindings> {
  const known: { readonly name: string; readonly checkpoint: Checkpoint }[] = [];
  const fail = (file: string, says: string, size = 0): LogFindings => ({
    size,
    checkpoints: known.length,
    fault: { file, says },
  });
  for (const { name, note } of notes) {
    const checkpoint = readCheckpoint(note);
    if (checkpoint === null) return fail(name, 'is no checkpoint');
    if (!verifier.isSigned(note)) return fail(name, `carries no valid signature of ${verifier.name}`);
    if (checkpoint.origin !== verifier.name) return fail(name, `is of the log ${checkpoint.origin}`);
    known.push({ name, checkpoint });
  }
  known.sort((a, b) => a.checkpoint.size - b.checkpoint.size);
  const newest = known.at(-1)?.checkpoint;
  if (newest === undefined) return fail('checkpoint', 'is missing');

  const { size } = newest;
  const tree = new TileTree();
  const rootFault = (): { readonly file: string; readonly says: string } | null => {
    for (const { name, checkpoint } of known)
      if (checkpoint.size === tree.size && !checkpoint.root.equals(tree.root()))
        return { file: name, says: `has another root than the ${tree.size} leaves that stand there` };
    return null;
  };
  const sizes = new Set(known.map(({ checkpoint }) => checkpoint.size));
  for (let first = 0; first < size; first += TILE_WIDTH) {
    const index = first / TILE_WIDTH;
    const width = widthIn(size, 0, index);
    const path = tilePath('entries', index, width);
    const bytes = await files.read(path);
    if (bytes === null) return fail(path, `is missing: the log ends before the ${size} leaves of its checkpoint`, size);
    const leaves = decodeBundle(bytes);
    if (leaves?.length !== width) return fail(path, `does not hold ${width} leaves`, size);
    const hashes = leaves.map((leaf) => leafHash(leaf));
    const tile = await files.read(tilePath(0, index, width));
    if (tile?.length !== width * HASH_BYTES)
      return fail(tilePath(0, index, width), `does not hold ${width} hashes`, size);
    const other = hashes.findIndex((hash, at) => !hash.equals(tile.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)));
    if (other >= 0) return fail(path, `leaf ${first + other} is not the one that the tree was made of`, size);
    // Roots are asked for at the sizes of notes; between two of them the tree grows in one step.
    let from = 0;
    for (let to = 1; to <= width; to += 1) {
      if (to < width && !sizes.has(first + to)) continue;
      for (const full of tree.append(hashes.slice(from, to))) {
        if (full.level === 0) continue;
        const name = tilePath(full.level, full.index);
        const stored = await files.read(name);
        if (stored?.equals(full.bytes) !== true)
          return fail(name, 'does not hold the hashes of the tiles below it', size);
      }
      from = to;
      const fault = rootFault();
      if (fault !== null) return fail(fault.file, fault.says, size);
    }
    const says = await onLeaves?.(first, leaves);
    if (typeof says === 'string') return fail(path, says, size);
  }
  for (const { level, index, width, bytes } of tree.partials()) {
    const name = tilePath(level, index, width);
    const stored = await files.read(name);
    if (stored?.equals(bytes) !== true) return fail(name, 'does not hold the hashes of the tiles below it', size);
  }
  const fault = rootFault();
  if (fault !== null) return fail(fault.file, fault.says, size);
  return { size, checkpoints: known.length };
}
