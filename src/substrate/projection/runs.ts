import { digestCanonical } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import { FeatureState } from '../../rails/features/feature-state.js';
import { keepEvent, keepLabel, type KeptEvent, type KeptLabel } from '../../rails/features/kept.js';
import type { LabelFact } from '../../rails/features/label-table.js';
import type { FeatureSetPlan } from '../../rails/features/plan.js';
import type { RunPins } from '../../rails/pins.js';

/** The state of one run in memory, and what of it no checkpoint holds yet. */
export interface FeatureRun {
  readonly pins: RunPins;
  readonly pinsDigest: Digest;
  readonly state: FeatureState;
  /** Records of the run that could not be used; above 0 its integrity is degraded. */
  invalid: number;
  events: KeptEvent[];
  labels: KeptLabel[];
}

/**
 * The runs by their pins, all five: a wall that nothing crosses (law R1). A state is a function of the set of events and facts given to
 * it, so that reading a checkpoint and applying live records are the same act.
 */
export class FeatureRuns {
  readonly #runs = new Map<string, FeatureRun>();
  readonly #digests = new Map<string, Digest>();

  constructor(
    private readonly plan: FeatureSetPlan,
    private readonly fields: readonly string[],
  ) {}

  [Symbol.iterator](): IterableIterator<FeatureRun> {
    return this.#runs.values();
  }

  find(pins: RunPins): FeatureRun | undefined {
    return this.#runs.get(this.#key(pins));
  }

  open(pins: RunPins): FeatureRun {
    const key = this.#key(pins);
    const known = this.#runs.get(key);
    if (known !== undefined) return known;
    const run: FeatureRun = {
      pins,
      pinsDigest: this.digestOf(pins),
      state: new FeatureState(this.plan),
      invalid: 0,
      events: [],
      labels: [],
    };
    this.#runs.set(key, run);
    return run;
  }

  applyEvents(run: FeatureRun, events: readonly FeatureEvent[]): void {
    run.state.apply(events);
    for (const event of events) run.events.push(keepEvent(event, this.fields));
  }

  applyLabels(run: FeatureRun, facts: readonly LabelFact[]): void {
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
