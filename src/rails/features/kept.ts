import type { Offset } from '../eb-ref.js';
import type { EventId, EventType } from '../envelope.schema.js';
import type { EpochMicros } from '../time.js';
import type { FeatureEvent } from './event-table.js';
import type { LabelFact } from './label-table.js';
import type { FeatureSetPlan } from './plan.js';

/** What features keep of an event: where and when it was, and the members of the payload that the definitions name. */
export type KeptEvent = readonly [EventId, EventType, EpochMicros, number, Offset, ...(string | number | null)[]];
export type KeptLabel = readonly [string, EventId, EpochMicros, 0 | 1 | null, number, Offset, string?];

/** The members of a payload that a definition set reads, in one fixed order. */
export function keptFields(plan: FeatureSetPlan): readonly string[] {
  const fields = new Set<string>([...plan.textFields, ...plan.numberFields]);
  for (const { key, when } of plan.streams) {
    for (const name of key) fields.add(name);
    for (const { field } of when) fields.add(field);
  }
  return [...fields].sort();
}

export function keepEvent(event: FeatureEvent, fields: readonly string[]): KeptEvent {
  const { eventId, eventType, ts, partition, offset, payload } = event;
  const kept = fields.map((name) => {
    const member = payload[name];
    return typeof member === 'string' || typeof member === 'number' ? member : null;
  });
  return [eventId, eventType, ts, partition, offset, ...kept];
}

/** The event as features see it: what was not kept, they never look at. */
export function restoreEvent(kept: KeptEvent, fields: readonly string[]): FeatureEvent {
  const [eventId, eventType, ts, partition, offset, ...members] = kept;
  const payload: Record<string, string | number> = {};
  fields.forEach((name, index) => {
    const member = members[index] ?? null;
    if (member !== null) payload[name] = member;
  });
  return { eventId, eventType, ts, partition, offset, payload };
}

export function keepLabel({ labelId, target, observed, isFraud, partition, offset, supersedes }: LabelFact): KeptLabel {
  const kept = [labelId, target, observed, isFraud === null ? null : isFraud ? 1 : 0, partition, offset] as const;
  return supersedes === undefined ? kept : [...kept, supersedes];
}

export function restoreLabel(kept: KeptLabel): LabelFact {
  const [labelId, target, observed, isFraud, partition, offset, supersedes] = kept;
  return {
    ...{ labelId, target, observed, isFraud: isFraud === null ? null : isFraud === 1, partition, offset },
    ...(supersedes === undefined ? {} : { supersedes }),
  };
}

/** By type of event, the numbers that features add up or compare: every event of the type has them, or no feature can use it. */
export function amountsOf(plan: FeatureSetPlan): ReadonlyMap<string, readonly string[]> {
  const amounts = new Map<string, Set<string>>();
  for (const { definition } of plan.groups) {
    if (definition.key === undefined) continue;
    const fields = amounts.get(definition.event_type) ?? new Set();
    amounts.set(definition.event_type, fields);
    for (const feature of definition.features)
      if (COMPUTES.has(feature.aggregate) && 'field' in feature) fields.add(feature.field);
  }
  return new Map([...amounts].map(([eventType, fields]) => [eventType, [...fields]]));
}

const COMPUTES: ReadonlySet<string> = new Set(['sum', 'min', 'max', 'mean', 'stddev']);

/** One without them would make every later sum of its key no number. */
export function hasItsNumbers(
  amounts: ReadonlyMap<string, readonly string[]>,
  { eventType, payload }: FeatureEvent,
): boolean {
  return (amounts.get(eventType) ?? []).every((field) => Number.isSafeInteger(payload[field]));
}
