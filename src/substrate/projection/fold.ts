import { LabelSchema } from '../../rails/events/label.schema.js';
import { type BusEvent, isOtherType, readEvent } from '../../rails/events/read-event.js';
import type { FeatureEvent } from '../../rails/features/event-table.js';
import type { KeptEvent, KeptLabel } from '../../rails/features/kept.js';
import { type LabelFact, labelFactOf } from '../../rails/features/label-table.js';
import { isNoWorld } from '../../rails/pins.js';
import { validatorOf } from '../../rails/validator.js';
import type { BusRecord, TopicPartition } from '../bus/bus.port.js';
import type { InvalidRecord, RunCheckpoint } from './checkpoint.store.js';
import { type ProjectionRules, TRAFFIC } from './projection.js';
import { type FoldedState, type ProjectedRun, ProjectedRuns } from './runs.js';
import { packedSegments } from './segments.js';

const labels = validatorOf(LabelSchema, 'the label');

/** What a fold takes of a record, wherever it stands. */
export type FoldRecord = Pick<BusRecord, 'offset' | 'value'>;

export interface Taken {
  readonly events: number;
  readonly labels: number;
  readonly noop: number;
  readonly invalid: readonly InvalidRecord[];
}

/** What one batch turned out to hold, before any of it is applied. */
interface Sorted<State extends FoldedState> {
  readonly events: Map<ProjectedRun<State>, FeatureEvent[]>;
  readonly facts: Map<ProjectedRun<State>, LabelFact[]>;
  readonly invalid: InvalidRecord[];
  noop: number;
}

/** What no checkpoint holds yet, taken out to be written. */
export interface Drained<State extends FoldedState> {
  readonly runs: readonly {
    readonly run: ProjectedRun<State>;
    readonly events: KeptEvent[];
    readonly labels: KeptLabel[];
  }[];
  readonly invalid: InvalidRecord[];
}

/**
 * Records into states, one per run: the one place that says what a record is to a projection, for the live one and for each that is made of the log again (law
 * R12). Nothing is awaited within a batch.
 */
export class Fold<State extends FoldedState> {
  readonly runs: ProjectedRuns<State>;
  readonly #types: ReadonlySet<string>;
  #invalid: InvalidRecord[] = [];

  /** @param open the state of a run; a fold that only keeps rows needs none that answers */
  constructor(
    private readonly rules: ProjectionRules,
    open: () => State,
  ) {
    this.#types = new Set(rules.types);
    this.runs = new ProjectedRuns(open, rules.fields);
  }

  /** Types that are looked at. */
  wantedOf(topic: string): (type: string) => boolean {
    if (topic === TRAFFIC) return (type) => this.#types.has(type);
    return (type) => this.rules.readsLabels && type === 'label';
  }

  take(at: TopicPartition, records: readonly FoldRecord[]): Taken {
    const sorted = this.#sort(at, records);
    for (const [run, events] of sorted.events) this.runs.applyEvents(run, events);
    for (const [run, facts] of sorted.facts) this.runs.applyLabels(run, facts);
    for (const invalid of sorted.invalid) {
      this.#invalid.push(invalid);
      for (const run of this.runs) if (run.pinsDigest === invalid.pinsDigest) run.invalid += 1;
    }
    return {
      events: count(sorted.events),
      labels: count(sorted.facts),
      noop: sorted.noop,
      invalid: sorted.invalid,
    };
  }

  drain(): Drained<State> {
    const drained = {
      runs: [...this.runs].map((run) => ({ run, events: run.events, labels: run.labels })),
      invalid: this.#invalid,
    };
    for (const { run } of drained.runs) [run.events, run.labels] = [[], []];
    this.#invalid = [];
    return drained;
  }

  /** Nothing was written: it stands first in the next one. */
  putBack({ runs, invalid }: Drained<State>): void {
    for (const { run, events, labels: facts } of runs) {
      run.events = [...events, ...run.events];
      run.labels = [...facts, ...run.labels];
    }
    this.#invalid = [...invalid, ...this.#invalid];
  }

  async packed({ runs }: Drained<State>): Promise<readonly RunCheckpoint[]> {
    return await Promise.all(
      runs
        .filter(({ run, events, labels: facts }) => events.length + facts.length + run.invalid > 0)
        .map(async ({ run, events, labels: facts }) => ({
          pins: run.pins,
          pinsDigest: run.pinsDigest,
          segments: await packedSegments(events, facts),
          // Labels may come before the first event of their run: nothing is behind a horizon then.
          horizonMicros:
            run.state.newest === null ? Number.MIN_SAFE_INTEGER : run.state.newest - this.rules.horizonMicros,
        })),
    );
  }

  #sort(at: TopicPartition, records: readonly FoldRecord[]): Sorted<State> {
    const sorted: Sorted<State> = { events: new Map(), facts: new Map(), invalid: [], noop: 0 };
    const wanted = this.wantedOf(at.topic);
    for (const record of records) {
      if (isOtherType(record.value, wanted)) {
        sorted.noop += 1;
        continue;
      }
      const read = readEvent(record.value);
      if (!read.ok) {
        sorted.invalid.push(invalidRecord(at, record, read.reason, read.says, null));
        continue;
      }
      if (at.topic === TRAFFIC) this.#sortEvent(at, record, read.event, sorted);
      else this.#sortFact(at, record, read.event, sorted);
    }
    return sorted;
  }

  #sortEvent(at: TopicPartition, record: FoldRecord, event: BusEvent, sorted: Sorted<State>): void {
    if (!this.#types.has(event.eventType)) {
      sorted.noop += 1;
      return;
    }
    if (isNoWorld(event.pins)) {
      sorted.invalid.push(invalidRecord(at, record, 'MISSING_PINS', 'the event belongs to no run', null));
      return;
    }
    const seen = featureEventOf(event, at.partition, record);
    const why = this.rules.unusable(seen);
    if (why !== null) {
      const digest = this.runs.digestOf(event.pins);
      sorted.invalid.push(invalidRecord(at, record, 'PAYLOAD_UNUSABLE', why, digest));
      this.runs.open(event.pins);
      return;
    }
    pushTo(sorted.events, this.runs.open(event.pins), seen);
  }

  #sortFact(at: TopicPartition, record: FoldRecord, event: BusEvent, sorted: Sorted<State>): void {
    if (event.eventType !== 'label' || !this.rules.readsLabels) {
      sorted.noop += 1;
      return;
    }
    const label = labels.check(event.payload);
    if (!label.ok || isNoWorld(event.pins)) {
      const says = label.ok ? 'the label belongs to no run' : `/payload${label.fault.at} ${label.fault.says}`;
      const digest = isNoWorld(event.pins) ? null : this.runs.digestOf(event.pins);
      sorted.invalid.push(invalidRecord(at, record, 'PAYLOAD_UNUSABLE', says, digest));
      if (!isNoWorld(event.pins)) this.runs.open(event.pins);
      return;
    }
    const fact = labelFactOf(label.value, { partition: at.partition, offset: record.offset });
    if (fact === null) sorted.noop += 1;
    else pushTo(sorted.facts, this.runs.open(event.pins), fact);
  }
}

export function featureEventOf(
  event: BusEvent,
  partition: number,
  { offset }: Pick<BusRecord, 'offset'>,
): FeatureEvent {
  const { eventId, eventType, ts, payload } = event;
  return { eventId, eventType, ts, partition, offset, payload };
}

function invalidRecord(
  { topic, partition }: TopicPartition,
  { offset }: FoldRecord,
  reason: string,
  detail: string,
  pinsDigest: string | null,
): InvalidRecord {
  return { topic, partition, offset, reason, detail: detail.slice(0, 500), pinsDigest };
}

function pushTo<Key, Value>(lists: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function count(lists: ReadonlyMap<unknown, readonly unknown[]>): number {
  let sum = 0;
  for (const list of lists.values()) sum += list.length;
  return sum;
}
