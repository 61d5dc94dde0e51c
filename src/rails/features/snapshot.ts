import { Type } from '@sinclair/typebox';
import { type BasisRecord, BasisSchema } from '../basis.js';
import { type Brand } from '../brand.js';
import { digestCanonical, inOrder } from '../canonical-json.js';
import { EventIdSchema, EventTypeSchema } from '../envelope.schema.js';
import { ContextPinsSchema, type RunPins } from '../pins.js';
import { type PolicyRev, PolicyRevSchema } from '../policy-rev.js';
import { brandedText, closed, safeInteger, type Sealed } from '../schema.js';
import { fromEpochMicros, UtcMicrosSchema } from '../time.js';
import type { FeatureEvent } from './event-table.js';
import type { GroupValues } from './feature-state.js';
import type { FeatureValue } from './evaluate.js';

/** Names what a decision knew: two snapshots with one hash say the same of the same trigger at the same basis. */
export type FeatureSnapshotHash = Brand<string, 'FeatureSnapshotHash'>;

const value = Type.Union([
  Type.String({
    pattern: '^-?(0|[1-9][0-9]*)$',
    description: 'a whole number; ratios times 10^scale of the definition',
  }),
  Type.Null({ description: 'missing, which is not 0' }),
]);

const snapshotMembers = {
  pins: ContextPinsSchema,
  trigger: closed({ event_id: EventIdSchema, event_type: EventTypeSchema }),
  as_of_utc: UtcMicrosSchema,
  definitions: PolicyRevSchema,
  groups: Type.Array(
    closed({
      name: Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' }),
      version: Type.Integer({ minimum: 1, maximum: 99_999 }),
      status: Type.Union(
        ['OK', 'NO_DATA', 'KEY_ABSENT', 'NOT_APPLICABLE', 'TOO_LATE'].map((status) => Type.Literal(status)),
        { description: 'what the values stand on' },
      ),
      age_s: Type.Union([safeInteger(0, "whole seconds since the key's newest event before the trigger"), Type.Null()]),
      missing: safeInteger(0, 'how many of the values are missing'),
      values: Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,79}$' }), value, { additionalProperties: false }),
    }),
    { description: 'the groups that were asked for and allowed, in the order of the definitions' },
  ),
  input_basis: BasisSchema,
};

export const FeatureSnapshotSchema = closed(
  {
    ...snapshotMembers,
    feature_snapshot_hash: brandedText<FeatureSnapshotHash>({
      pattern: '^[0-9a-f]{64}$',
      description: 'of all the rest',
    }),
  },
  {
    description:
      'What was known of a trigger: values, what they stand on, and the part of the log that they count (laws R5, R12).',
  },
);
export type FeatureSnapshot = Sealed<typeof FeatureSnapshotSchema>;

export interface SnapshotParts {
  readonly pins: RunPins;
  readonly trigger: FeatureEvent;
  readonly definitions: PolicyRev;
  readonly groups: readonly GroupValues[];
  readonly inputBasis: BasisRecord;
}

/**
 * The one form of a snapshot. Everything in it is hashed; when and for whom it was served is not in it. Its members stand in canonical order, here and
 * below, which spares the writer the sorting.
 */
export function snapshotOf({ pins, trigger, definitions, groups, inputBasis }: SnapshotParts): FeatureSnapshot {
  const snapshot = {
    as_of_utc: fromEpochMicros(trigger.ts),
    definitions,
    groups: groups.map((group) => groupRecord(group, trigger)),
    input_basis: inputBasis,
    pins,
    trigger: { event_id: trigger.eventId, event_type: trigger.eventType },
  };
  return { ...snapshot, feature_snapshot_hash: hashOf(snapshot) } as FeatureSnapshot;
}

/** Whether a snapshot is what its hash names. */
export function snapshotIsWhole({ feature_snapshot_hash, ...snapshot }: FeatureSnapshot): boolean {
  return hashOf(snapshot) === feature_snapshot_hash;
}

function hashOf(snapshot: object): FeatureSnapshotHash {
  return digestCanonical(inOrder({ recipe: 'ofp.snapshot.v1', ...snapshot })) as string as FeatureSnapshotHash;
}

function groupRecord({ group, status, newest, values }: GroupValues, trigger: FeatureEvent): object {
  const { name, version } = group.definition;
  return {
    age_s: newest === null ? null : Math.floor((trigger.ts - newest) / 1e6),
    missing: values.filter((one) => one === null).length,
    name,
    status,
    // Groups that could not be asked have no values at all.
    values:
      values.length === 0 ? {} : Object.fromEntries(group.inNameOrder.map((index) => namedValue(group, values, index))),
    version,
  };
}

function namedValue({ features }: GroupValues['group'], values: GroupValues['values'], at: number) {
  return [features[at]?.definition.name ?? '', textOf(values[at] ?? null)] as const;
}

/** Decimal text, since JSON readers round whole numbers beyond 2^53. */
function textOf(value: FeatureValue): string | null {
  return value === null ? null : value.toString();
}
