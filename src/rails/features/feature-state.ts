import { type EpochMicros } from '../time.js';
import { evaluateGroup, type FeatureValue, type History } from './evaluate.js';
import { EventTable, type FeatureEvent, type HeldEvent, type Slot } from './event-table.js';
import { KeyLog } from './key-log.js';
import { type LabelFact, LabelTable } from './label-table.js';
import type { FeatureSetPlan, GroupPlan, StreamPlan } from './plan.js';

/**
 * What a group's values stand on.
 * OK: events of the key were found. NO_DATA: none yet, which is an answer. KEY_ABSENT: the trigger names no such key.
 * NOT_APPLICABLE: the group is about another type of event. TOO_LATE: the trigger lies so far behind the newest event that what it
 * would have to count may be gone; no values.
 */
export type GroupStatus = 'OK' | 'NO_DATA' | 'KEY_ABSENT' | 'NOT_APPLICABLE' | 'TOO_LATE';

export interface GroupValues {
  readonly group: GroupPlan;
  readonly status: GroupStatus;
  /** Time of the newest event of the key before the trigger; null when there is none. */
  readonly newest: EpochMicros | null;
  /** In the order of the definition; empty for NOT_APPLICABLE and TOO_LATE. */
  readonly values: readonly FeatureValue[];
}

/** The part of the events and labels that a snapshot may see: those below a basis. */
export interface Cut {
  readonly event: (partition: number, offset: number) => boolean;
  readonly label: (fact: LabelFact) => boolean;
}

/**
 * The feature state of one run: a function of the set of its events and label facts alone (law R11), whatever the order in which they
 * came. `snapshot` is the one implementation for serving, datasets and re-execution (law R12); they differ in who feeds it.
 *
 *     snapshot(trigger) = the fold of all events e before the trigger in (time, id), inside the window,
 *                         and the trigger itself where the definition includes it
 *
 * An event is held while any window that may still be asked for can reach it: `horizonMicros` behind the newest event. Sweeping what lies
 * behind is a matter of memory alone: a trigger that could have needed it is TOO_LATE before as after.
 */
export class FeatureState {
  readonly #plan: FeatureSetPlan;
  readonly #table: EventTable;
  readonly #labels = new LabelTable();
  readonly #logs: readonly Map<string, KeyLog>[];
  #newest = Number.NEGATIVE_INFINITY;
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(plan: FeatureSetPlan) {
    this.#plan = plan;
    this.#table = new EventTable(plan);
    this.#logs = plan.streams.map(() => new Map<string, KeyLog>());
  }

  /** Time of the newest event that was applied; null before the first. */
  get newest(): EpochMicros | null {
    return Number.isFinite(this.#newest) ? (this.#newest as EpochMicros) : null;
  }

  get size(): { readonly events: number; readonly keys: number; readonly labels: number; readonly texts: number } {
    return {
      events: this.#table.size,
      keys: this.#logs.reduce((sum, { size }) => sum + size, 0),
      labels: this.#labels.size,
      texts: this.#table.dictionary.size,
    };
  }

  /** The newest event's time when what lies a horizon before it was let go for the last time. */
  get sweptAt(): number {
    return this.#sweptAt;
  }

  /** Each event once for each history that holds it. Whoever walks over it may let others work in between; a sweep meanwhile spoils the walk. */
  *heldEvents(): Generator<HeldEvent, void> {
    for (const [stream, logs] of this.#logs.entries())
      for (const [key, log] of logs) for (const slot of log.slots()) yield this.#table.held(slot, `${stream}\n${key}`);
  }

  heldLabels(): Iterable<LabelFact> {
    return this.#labels.facts();
  }

  /** Events of this run, each identity once: admission sees to that, and offsets to the rest. */
  apply(events: readonly FeatureEvent[]): void {
    for (const event of events) {
      if (event.ts > this.#newest) this.#newest = event.ts;
      if (event.ts >= this.#newest - this.#plan.horizonMicros) this.#insert(event);
    }
    // A sixteenth of the horizon at a time: one walk over all keys, and a sixteenth more memory than is needed.
    if (this.#newest - this.#sweptAt > this.#plan.horizonMicros / 16) this.#sweep();
  }

  applyLabels(facts: readonly LabelFact[]): void {
    if (!this.#plan.readsLabels) return;
    for (const fact of facts) this.#labels.add(fact);
  }

  /** @param allowed the groups that may be looked at; others are not evaluated at all (law R8) */
  snapshot(trigger: FeatureEvent, allowed?: ReadonlySet<string>, cut?: Cut): readonly GroupValues[] {
    const groups = this.#plan.groups.filter(({ definition }) => allowed === undefined || allowed.has(definition.name));
    if (trigger.ts < this.#newest - this.#plan.latenessMicros)
      return groups.map((group) => ({ group, status: 'TOO_LATE', newest: null, values: [] }));
    const histories = new Map<number, History | null>();
    return groups.map((group) => this.#valuesOf(group, trigger, histories, cut));
  }

  #valuesOf(
    group: GroupPlan,
    trigger: FeatureEvent,
    histories: Map<number, History | null>,
    cut: Cut | undefined,
  ): GroupValues {
    if (group.definition.event_type !== trigger.eventType)
      return { group, status: 'NOT_APPLICABLE', newest: null, values: [] };
    const stream = group.stream === null ? undefined : this.#plan.streams[group.stream];
    let history: History | null = null;
    if (group.stream !== null && stream !== undefined) {
      const known = histories.get(group.stream);
      history = known === undefined ? this.#historyOf(group.stream, stream, trigger, cut) : known;
      histories.set(group.stream, history);
    }
    const values = evaluateGroup({
      table: this.#table,
      group,
      history,
      trigger,
      triggerCounts: stream !== undefined && passes(stream, trigger),
      isFraud: (slot, at) => this.#labels.isFraud(this.#table.idOf(slot), at, cut?.label),
    });
    if (stream === undefined) return { group, status: 'OK', newest: null, values };
    if (history === null) return { group, status: 'KEY_ABSENT', newest: null, values };
    const last = history.end > history.start ? this.#table.tsOf(history.at(history.end - 1)) : null;
    return { group, status: last === null ? 'NO_DATA' : 'OK', newest: last as EpochMicros | null, values };
  }

  /** The events of the trigger's key before it; null when it has no such key. */
  #historyOf(index: number, stream: StreamPlan, trigger: FeatureEvent, cut: Cut | undefined): History | null {
    const key = keyOf(stream, trigger.payload);
    if (key === null) return null;
    const log = this.#logs[index]?.get(key);
    if (log === undefined) return NOTHING;
    const end = log.positionOf(trigger.ts, trigger.eventId);
    if (cut !== undefined) return this.#below(log, end, cut);
    return {
      start: log.start,
      end,
      at: (position) => log.at(position),
      positionFrom: (ts) => log.positionFrom(ts),
      sum: (field, from, to) => log.sum(field, from, to),
    };
  }

  #below(log: KeyLog, end: number, cut: Cut): History {
    const slots: Slot[] = [];
    for (let position = log.start; position < end; position += 1) {
      const slot = log.at(position);
      if (cut.event(this.#table.partition[slot] ?? 0, this.#table.offset[slot] ?? 0)) slots.push(slot);
    }
    return {
      start: 0,
      end: slots.length,
      at: (position) => slots[position] ?? -1,
      positionFrom: (ts) => firstFrom(slots.length, (position) => this.#table.tsOf(slots[position] ?? -1) >= ts),
      sum: () => null,
    };
  }

  #insert(event: FeatureEvent): void {
    const logs: KeyLog[] = [];
    this.#plan.streams.forEach((stream, index) => {
      if (stream.eventType !== event.eventType || !passes(stream, event)) return;
      const key = keyOf(stream, event.payload);
      if (key === null) return;
      const log = this.#logs[index]?.get(key) ?? new KeyLog(this.#table, stream.sums);
      this.#logs[index]?.set(key, log);
      logs.push(log);
    });
    if (logs.length === 0) return;
    const slot = this.#table.add(event, logs.length);
    for (const log of logs) log.insert(slot);
  }

  #sweep(): void {
    this.#sweptAt = this.#newest;
    const before = this.#newest - this.#plan.horizonMicros;
    for (const keys of this.#logs) {
      for (const [key, log] of keys) {
        log.dropBefore(before, (slot) => this.#table.release(slot));
        if (log.start === log.end) keys.delete(key);
      }
    }
    this.#labels.dropBefore(before);
  }
}

const NOTHING: History = { start: 0, end: 0, at: () => -1, positionFrom: () => 0, sum: () => 0 };

function passes(stream: StreamPlan, { payload }: FeatureEvent): boolean {
  return stream.when.every(({ field, values }) => {
    const text = payload[field];
    return typeof text === 'string' && values.has(text);
  });
}

/** The key's texts in one; a line break cannot stand in any of them. null when one is missing. */
function keyOf(stream: StreamPlan, payload: FeatureEvent['payload']): string | null {
  let key = '';
  for (const field of stream.key) {
    const text = payload[field];
    if (typeof text !== 'string') return null;
    key = key === '' ? text : `${key}\n${text}`;
  }
  return key;
}

/** The first of n positions for which the condition, once true, stays true; n when none. */
function firstFrom(n: number, holds: (position: number) => boolean): number {
  let low = 0;
  let high = n;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
