import { digestCanonical } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import type { FeatureEvent, HeldEvent } from '../../rails/features/event-table.js';
import { keepEvent, keepLabel, type KeptEvent, type KeptLabel } from '../../rails/features/kept.js';
import type { LabelFact } from '../../rails/features/label-table.js';
import type { RunPins } from '../../rails/pins.js';
import type { EpochMicros } from '../../rails/time.js';

/** What events and facts are folded into: a function of their set, whatever the order in which they come (law R11). */
export interface FoldedState {
  /** Time of the newest event that was applied; null before the first. */
  readonly newest: EpochMicros | null;
  apply(events: readonly FeatureEvent[]): void;
  applyLabels(facts: readonly LabelFact[]): void;
}

/** One that can be looked through while it answers. */
export interface ProjectedState extends FoldedState {
  /** The newest event's time when what lies a horizon before it was let go for the last time: no event is let go as long as it stands. */
  readonly sweptAt: number;
  heldEvents(): Iterable<HeldEvent>;
  heldLabels(): Iterable<LabelFact>;
}

/** The state of one run in memory, and what of it no checkpoint holds yet. */
export interface ProjectedRun<State extends FoldedState> {
  readonly pins: RunPins;
  readonly pinsDigest: Digest;
  readonly state: State;
  /** Records of the run that could not be used; above 0 its integrity is degraded. */
  invalid: number;
  events: KeptEvent[];
  labels: KeptLabel[];
}

/**
 * The runs by their pins, all five: a wall that nothing crosses (law R1). A state is a function of the set of events and facts given to
 * it, so that reading a checkpoint and applying live records are the same act.
 */
export class ProjectedRuns<State extends FoldedState> {
  readonly #runs = new Map<string, ProjectedRun<State>>();
  readonly #digests = new Map<string, Digest>();

  constructor(
    private readonly openState: () => State,
    readonly fields: readonly string[],
  ) {}

  [Symbol.iterator](): IterableIterator<ProjectedRun<State>> {
    return this.#runs.values();
  }

  find(pins: RunPins): ProjectedRun<State> | undefined {
    return this.#runs.get(this.#key(pins));
  }

  open(pins: RunPins): ProjectedRun<State> {
    const key = this.#key(pins);
    const known = this.#runs.get(key);
    if (known !== undefined) return known;
    const run: ProjectedRun<State> = {
      pins,
      pinsDigest: this.digestOf(pins),
      state: this.openState(),
      invalid: 0,
      events: [],
      labels: [],
    };
    this.#runs.set(key, run);
    return run;
  }

  applyEvents(run: ProjectedRun<State>, events: readonly FeatureEvent[]): void {
    run.state.apply(events);
    for (const event of events) run.events.push(keepEvent(event, this.fields));
  }

  applyLabels(run: ProjectedRun<State>, facts: readonly LabelFact[]): void {
    run.state.applyLabels(facts);
    for (const fact of facts) run.labels.push(keepLabel(fact));
  }

  /** How many rows the next checkpoint has to write. */
  get pending(): number {
    let pending = 0;
    for (const { events, labels } of this) pending += events.length + labels.length;
    return pending;
  }

  digestOf(pins: RunPins): Digest {
    const key = this.#key(pins);
    let digest = this.#digests.get(key);
    if (digest === undefined) {
      digest = digestCanonical(pins);
      this.#digests.set(key, digest);
    }
    return digest;
  }

  /** No pin can hold a line break. */
  #key({ run_id, manifest_fingerprint, parameter_hash, seed, scenario_id }: RunPins): string {
    return `${run_id}\n${manifest_fingerprint}\n${parameter_hash}\n${seed}\n${scenario_id}`;
  }
}
