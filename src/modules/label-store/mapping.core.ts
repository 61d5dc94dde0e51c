import { type Static, Type } from '@sinclair/typebox';
import { LabelTypeSchema, LabelValueSchema } from '../../rails/events/label.schema.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { pointerSteps, valueAt } from '../../rails/json-pointer.js';
import { closed } from '../../rails/schema.js';
import { fromEpochMicros, parseUtc, type UtcMicros } from '../../rails/time.js';
import type { AssertionInput } from './assertion.schema.js';

/** A member of the row, or a JSON Pointer into it (RFC 6901). */
const Place = Type.String({ minLength: 1, maxLength: 256, description: 'a column, or a JSON Pointer into the row' });

const TimeSchema = closed({
  from: Place,
  format: Type.Union([Type.Literal('iso'), Type.Literal('date'), Type.Literal('epoch_s'), Type.Literal('epoch_ms')], {
    description: 'iso: RFC 3339; date: yyyy-mm-dd, its first moment in UTC',
  }),
});

/** How rows of a file or messages of a feed that others made become labels. */
export const LabelMappingSchema = closed(
  {
    /** What a row is about: an event of ours, a transaction by its own id, or an entity. */
    target: Type.Union([
      closed({ event_id: Place }),
      closed({ transaction_id: Place, producer: Type.Optional(Type.String({ pattern: '^[a-z][a-z0-9._-]{0,99}$' })) }),
      closed({ entity_type: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), entity_id: Place }),
    ]),
    /** What makes a row the same when it is sent again: the id of the chargeback, not that of the payment. */
    handle: Place,
    label_type: LabelTypeSchema,
    label_value: Type.Union([
      closed({ constant: LabelValueSchema }),
      closed({
        from: Place,
        values: Type.Record(Type.String({ maxLength: 256 }), LabelValueSchema, { minProperties: 1 }),
        /** What a text becomes that is not listed: refused unless stated. */
        otherwise: Type.Optional(LabelValueSchema),
      }),
    ]),
    /** When it happened: the time of the payment unless stated. */
    effective: Type.Optional(TimeSchema),
    /** When it is said to have become known. */
    reported: Type.Optional(TimeSchema),
  },
  { description: "How others' rows become labels." },
);
export type LabelMapping = Static<typeof LabelMappingSchema>;

export type Mapped =
  | { readonly ok: true; readonly assertion: AssertionInput }
  /** What is wrong, and in which member; never the value. */
  | { readonly ok: false; readonly says: string };

/** The label that a row stands for. */
export function mapRow(
  row: unknown,
  mapping: LabelMapping,
  { runId, namespace }: { readonly runId: string; readonly namespace: string },
): Mapped {
  try {
    const { effective, reported } = mapping;
    return {
      ok: true,
      assertion: {
        run_id: runId,
        namespace,
        target: targetOf(row, mapping),
        label_type: mapping.label_type,
        label_value: valueOf(row, mapping),
        handle: demandText(row, mapping.handle),
        ...(effective === undefined ? {} : { effective_at_utc: timeOf(row, effective) }),
        ...(reported === undefined ? {} : { reported_at_utc: timeOf(row, reported) }),
      },
    };
  } catch (error) {
    if (error instanceof RowFault) return { ok: false, says: error.message };
    throw error;
  }
}

class RowFault extends Error {}

function targetOf(row: unknown, { target }: LabelMapping): AssertionInput['target'] {
  if ('event_id' in target) return { kind: 'EVENT', event_id: demandText(row, target.event_id) };
  if ('entity_type' in target)
    return { kind: 'ENTITY', type: target.entity_type, id: demandText(row, target.entity_id) };
  const transaction_id = demandText(row, target.transaction_id);
  return {
    kind: 'TRANSACTION',
    transaction_id,
    ...(target.producer === undefined ? {} : { producer: target.producer }),
  };
}

function valueOf(row: unknown, { label_value }: LabelMapping): string {
  if ('constant' in label_value) return label_value.constant;
  const text = demandText(row, label_value.from);
  const value = Object.hasOwn(label_value.values, text) ? label_value.values[text] : label_value.otherwise;
  if (value === undefined) throw new RowFault(`${label_value.from} holds a text that the mapping does not list`);
  return value;
}

function timeOf(row: unknown, { from, format }: Static<typeof TimeSchema>): UtcMicros {
  const text = demandText(row, from);
  try {
    if (format === 'iso') return parseUtc(text);
    if (format === 'date') return parseUtc(`${text}T00:00:00Z`);
    if (!/^-?[0-9]{1,14}$/.test(text)) throw new RowFault(`${from} is not a whole number of its unit`);
    return fromEpochMicros(Number(text) * (format === 'epoch_s' ? 1_000_000 : 1_000));
  } catch (error) {
    if (isProbityError(error)) throw new RowFault(`${from}: ${error.detail}`);
    throw error;
  }
}

function demandText(row: unknown, place: string): string {
  const value = valueAt(row, place.startsWith('/') ? pointerSteps(place) : [place]);
  if (typeof value === 'string' && value !== '') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw new RowFault(
    value === undefined || value === null || value === '' ? `${place} is missing` : `${place} is no text`,
  );
}
