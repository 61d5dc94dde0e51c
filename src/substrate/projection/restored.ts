import { setImmediate } from 'node:timers/promises';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type KeptEvent, type KeptLabel, restoreEvent, restoreLabel } from '../../rails/features/kept.js';
import type { CheckpointStore } from './checkpoint.store.js';
import type { FoldedState, ProjectedRun, ProjectedRuns } from './runs.js';
import { rowsOf, type StoredSegment, unpackedText } from './segments.js';

/** Rows at a time: between two of these, whoever else is served by this process has its turn. */
const BLOCK_ROWS = 1_000;

/**
 * Reads a generation into states. @returns how many rows
 * @throws the code for `damaged`
 */
export async function restored<State extends FoldedState>(
  store: CheckpointStore,
  generation: number,
  runs: ProjectedRuns<State>,
): Promise<number> {
  let rows = 0;
  for (const { run: number, pins, invalid } of await store.runs(generation)) {
    const run = runs.open(pins);
    run.invalid = invalid;
    for await (const segment of store.segments(number)) {
      try {
        await restore(run, segment, runs.fields);
      } catch (cause) {
        throw new ProbityError(store.errors.damaged, `a segment of run ${run.pins.run_id} cannot be read`, { cause });
      }
      rows += segment.rows;
    }
  }
  return rows;
}

async function restore<State extends FoldedState>(
  { state }: ProjectedRun<State>,
  segment: StoredSegment,
  fields: readonly string[],
): Promise<void> {
  const text = await unpackedText(segment);
  if (segment.kind === 'events')
    for (const block of blocksOf(rowsOf<KeptEvent>(text))) {
      state.apply(block.map((kept) => restoreEvent(kept, fields)));
      await setImmediate();
    }
  else
    for (const block of blocksOf(rowsOf<KeptLabel>(text))) {
      state.applyLabels(block.map(restoreLabel));
      await setImmediate();
    }
}

function* blocksOf<Row>(rows: Iterable<Row>): Generator<readonly Row[], void> {
  let block: Row[] = [];
  for (const row of rows) {
    block.push(row);
    if (block.length < BLOCK_ROWS) continue;
    yield block;
    block = [];
  }
  if (block.length > 0) yield block;
}
