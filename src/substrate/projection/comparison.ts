import { setImmediate } from 'node:timers/promises';
import { type Basis, nextOffset } from '../../rails/basis.js';
import type { Digest } from '../../rails/digest.js';
import { keepLabel } from '../../rails/features/kept.js';
import { SetDigest } from '../../rails/set-digest.js';
import type { InvalidRecord } from './checkpoint.store.js';
import type { Compared, HeldRun } from './generation.schema.js';
import { CONTROL, TRAFFIC } from './projection.js';
import type { ProjectedRuns, ProjectedState } from './runs.js';

/** Rows that are looked at before others have their turn. */
const BLOCK_ROWS = 500;
/** A horizon passes so seldom that twice in a row is chance enough. */
const TRIES = 4;

export type Marked = Omit<InvalidRecord, 'detail'>;

/** Two states of one projection and the records that neither could use, at one basis. */
export interface Sides<State extends ProjectedState> {
  readonly live: ProjectedRuns<State>;
  readonly liveInvalid: readonly Marked[];
  readonly built: ProjectedRuns<State>;
  readonly builtInvalid: readonly Marked[];
  readonly basis: Basis;
  readonly horizonMicros: number;
}

/**
 * Whether two states hold the same: events and label facts within the basis, run by run. What lies a horizon before the newest event of either may have been let go
 * by one and not yet by the other, so both are cut there. The live one goes on meanwhile: what comes is beyond the basis, and where it lets go of something
 * while it is looked at, it is looked at again.
 */
export async function compared<State extends ProjectedState>(sides: Sides<State>): Promise<Compared> {
  const { live, built, basis } = sides;
  for (let left = TRIES; ; left -= 1) {
    const horizons = horizonsOf(sides);
    const sweptBefore = sweeps(live);
    // The last time in one go, so that nothing can come between.
    const breathe = left > 1 ? setImmediate : undefined;
    const liveRuns = await heldRuns(live, sides.liveInvalid, basis, horizons, breathe);
    if (left > 1 && sweeps(live) !== sweptBefore) continue;
    return verdict(liveRuns, await heldRuns(built, sides.builtInvalid, basis, horizons, setImmediate));
  }
}

function horizonsOf<State extends ProjectedState>({
  live,
  built,
  horizonMicros,
}: Sides<State>): ReadonlyMap<string, number> {
  const horizons = new Map<string, number>();
  for (const { pinsDigest, state } of [...live, ...built]) {
    const horizon = (state.newest ?? Number.NEGATIVE_INFINITY) - horizonMicros;
    horizons.set(pinsDigest, Math.max(horizon, horizons.get(pinsDigest) ?? Number.NEGATIVE_INFINITY));
  }
  return horizons;
}

function sweeps<State extends ProjectedState>(runs: ProjectedRuns<State>): string {
  return [...runs].map(({ pinsDigest, state }) => `${pinsDigest} ${state.sweptAt}`).join('\n');
}

/** What each run holds; runs of nothing are not there. */
export async function heldRuns<State extends ProjectedState>(
  runs: ProjectedRuns<State>,
  invalid: readonly Marked[],
  basis: Basis,
  horizons: ReadonlyMap<string, number>,
  breathe: (() => Promise<unknown>) | undefined,
): Promise<readonly HeldRun[]> {
  const digests = new Map<string | null, { runId: string | null; set: SetDigest }>();
  let looked = 0;
  for (const { pins, pinsDigest, state } of [...runs]) {
    const set = new SetDigest();
    digests.set(pinsDigest, { runId: pins.run_id, set });
    const horizon = horizons.get(pinsDigest) ?? Number.NEGATIVE_INFINITY;
    const ends = { events: endsOf(basis, TRAFFIC), labels: endsOf(basis, CONTROL) };
    for (const event of state.heldEvents()) {
      if (event.ts >= horizon && event.offset < ends.events(event.partition))
        set.add(JSON.stringify(['event', ...event.row()]));
      if ((looked += 1) % BLOCK_ROWS === 0) await breathe?.();
    }
    for (const fact of state.heldLabels()) {
      if (fact.observed >= horizon && fact.offset < ends.labels(fact.partition))
        set.add(JSON.stringify(['label', ...keepLabel(fact)]));
      if ((looked += 1) % BLOCK_ROWS === 0) await breathe?.();
    }
  }
  for (const { topic, partition, offset, reason, pinsDigest } of invalid) {
    const of = digests.get(pinsDigest) ?? { runId: null, set: new SetDigest() };
    digests.set(pinsDigest, of);
    of.set.add(JSON.stringify(['invalid', topic, partition, offset, reason]));
  }
  return [...digests]
    .filter(([, { set }]) => set.rows > 0)
    .map(([pinsDigest, { runId, set }]) => ({
      run_id: runId,
      pins_digest: pinsDigest as Digest | null,
      rows: set.rows,
      digest: set.digest(),
    }))
    .sort((a, b) => ((a.pins_digest ?? '') < (b.pins_digest ?? '') ? -1 : 1));
}

function endsOf(basis: Basis, topic: string): (partition: number) => number {
  const ends = new Map<number, number>();
  return (partition) => {
    const end = ends.get(partition) ?? nextOffset(basis, topic, partition);
    ends.set(partition, end);
    return end;
  };
}

function verdict(live: readonly HeldRun[], built: readonly HeldRun[]): Compared {
  const names = new Set([...live, ...built].map(({ pins_digest }) => pins_digest));
  const sorted = [...names].sort((a, b) => ((a ?? '') < (b ?? '') ? -1 : 1));
  for (const name of sorted) {
    const [left = null, right = null] = [live, built].map((side) => side.find((run) => run.pins_digest === name));
    if (left?.digest !== right?.digest)
      return { equal: false, runs: [...built], differs: { live: left, built: right } };
  }
  return { equal: true, runs: [...built] };
}
