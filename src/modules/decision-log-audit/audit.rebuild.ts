import { ProbityError } from '../../rails/errors/probity-error.js';
import { leafHash } from '../../rails/tlog/merkle.js';
import type { NoteVerifier } from '../../rails/tlog/note.js';
import { TileTree } from '../../rails/tlog/tiles.js';
import { verifyLog } from '../../rails/tlog/verify-log.js';
import { type AuditObjects, checkpointPath } from './audit-objects.js';
import type { DecisionLogAuditStore } from './decision-log-audit.store.js';
import { type Leaf, readLeaf } from './leaf.core.js';

/**
 * Makes the index again from the log in the objects, where the database has none: the leaves of the newest checkpoint, verified as they are read,
 * and the position behind them. What came later is on the bus, and gets its place again.
 *
 * @returns how many leaves were read; 0 where there was nothing to do
 * @throws DLA_LOG_FORKED for a log that does not verify: nothing is built on it
 */
export async function rebuilt(
  store: DecisionLogAuditStore,
  objects: AuditObjects,
  verifier: NoteVerifier,
): Promise<number> {
  const { nextLeaf } = await store.state();
  if (nextLeaf > 0) return 0;
  let newest = 0;
  for await (const size of objects.allCheckpoints()) newest = size;
  const note = newest === 0 ? null : await objects.checkpoint(newest);
  if (note === null) return 0;
  const tree = new TileTree();
  let topic = '';
  await store.rebuild(async (add) => {
    const { fault } = await verifyLog({
      files: objects,
      verifier,
      notes: [{ name: checkpointPath(newest), note }],
      onLeaves: async (first, bytes) => {
        const leaves: Leaf[] = [];
        for (const [at, one] of bytes.entries()) {
          const leaf = readLeaf(one);
          if (leaf === null) return `leaf ${first + at} is not one of this log`;
          ({ topic } = leaf);
          leaves.push(leaf);
        }
        tree.append(bytes.map((one) => leafHash(one)));
        await add(first, leaves);
        return null;
      },
    });
    if (fault !== undefined) throw new ProbityError('DLA_LOG_FORKED', `${fault.file} ${fault.says}`);
    return { nextLeaf: newest, published: newest, edge: tree.edge(), topic };
  });
  return newest;
}
