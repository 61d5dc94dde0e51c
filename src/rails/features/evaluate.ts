import { type EpochMicros } from '../time.js';
import { add, deviation, quotient, type Whole } from './arithmetic.js';
import type { FeatureDefinition, FieldName } from './definition.schema.js';
import { type EventTable, type FeatureEvent, NO_TEXT, type Slot } from './event-table.js';
import { metresBetween, type Place } from './great-circle.js';
import type { FeaturePlan, GroupPlan } from './plan.js';

/** A feature's value: a whole number, ratios times 10^scale. `null` is missing, which is never the same as 0. */
export type FeatureValue = Whole | null;

/** The events of the trigger's key that a snapshot may see, in order; all of them lie before the trigger. */
export interface History {
  readonly start: number;
  readonly end: number;
  at(position: number): Slot;
  positionFrom(ts: number): number;
  sum(field: FieldName, from: number, to: number): number | null;
}

export interface Evaluation {
  readonly table: EventTable;
  readonly group: GroupPlan;
  /** null: the trigger lacks a part of the key, or the group has none. */
  readonly history: History | null;
  readonly trigger: FeatureEvent;
  /** Whether the trigger passes the group's own filter, and so counts where it is included. */
  readonly triggerCounts: boolean;
  readonly isFraud: (slot: Slot, at: EpochMicros) => boolean;
}

interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** Values of a group in the order of its definition. */
export function evaluateGroup(evaluation: Evaluation): readonly FeatureValue[] {
  const values: FeatureValue[] = [];
  const names = new Map<string, number>();
  for (const plan of evaluation.group.features) {
    const known = (name: string): FeatureValue => values[names.get(name) ?? -1] ?? null;
    names.set(plan.definition.name, values.length);
    values.push(evaluateFeature(plan, evaluation, known));
  }
  return values;
}

function evaluateFeature(
  plan: FeaturePlan,
  evaluation: Evaluation,
  known: (name: string) => FeatureValue,
): FeatureValue {
  const { definition } = plan;
  const { trigger } = evaluation;
  switch (definition.aggregate) {
    case 'trigger_field':
      return numberOf(trigger, definition.field);
    case 'hour_of_day':
      return hourOf(trigger.ts);
    case 'weekday':
      return weekdayOf(trigger.ts);
    case 'is_weekend':
      return weekdayOf(trigger.ts) >= 6 ? 1 : 0;
    case 'is_hour_within':
      return isWithin(hourOf(trigger.ts), definition.from_hour, definition.to_hour) ? 1 : 0;
    case 'ratio': {
      const over =
        'feature' in definition.over ? known(definition.over.feature) : numberOf(trigger, definition.over.field);
      const under = known(definition.under.feature);
      if (over === null || under === null || under <= 0 || over < 0) return null;
      return quotient(over, under, definition.scale, definition.rounding);
    }
    case 'count':
    case 'sum':
    case 'min':
    case 'max':
    case 'mean':
    case 'stddev':
    case 'distinct':
    case 'new_value':
    case 'fraud_share':
    case 'fraud_count':
    case 'seconds_since_last':
    case 'metres_from_last':
    case 'speed_from_last':
      return evaluation.history === null ? null : overHistory(plan, definition, evaluation, evaluation.history);
  }
}

type OverHistory = Exclude<
  FeatureDefinition,
  { readonly aggregate: 'trigger_field' | 'hour_of_day' | 'weekday' | 'is_weekend' | 'is_hour_within' | 'ratio' }
>;

function overHistory(
  plan: FeaturePlan,
  definition: OverHistory,
  evaluation: Evaluation,
  history: History,
): FeatureValue {
  const stretch = stretchOf(plan, evaluation, history);
  const { table, trigger } = evaluation;
  const included = 'trigger' in definition && definition.trigger === 'included' && evaluation.triggerCounts;
  const count = stretch.to - stretch.from + (included ? 1 : 0);
  switch (definition.aggregate) {
    case 'count':
      return count;
    case 'sum':
      return sumOf(definition.field, stretch, evaluation, history, included);
    case 'mean':
      if (count === 0) return null;
      return quotient(
        sumOf(definition.field, stretch, evaluation, history, included),
        count,
        definition.scale,
        definition.rounding,
      );
    case 'min':
    case 'max':
      return extreme(definition.aggregate, numbersOf(definition.field, stretch, evaluation, history, included));
    case 'stddev': {
      if (count === 0) return null;
      const numbers = numbersOf(definition.field, stretch, evaluation, history, included);
      const squares = numbers.map(BigInt).reduce((sum, number) => sum + number * number, 0n);
      return deviation(count, numbers.reduce<Whole>(add, 0), squares, definition.scale);
    }
    case 'distinct':
      return distinct(definition.field, stretch, evaluation, history, included);
    case 'new_value':
      return newValue(definition.field, stretch, evaluation, history);
    case 'fraud_count':
      return frauds(stretch, evaluation, history);
    case 'fraud_share':
      return count === 0
        ? (definition.when_empty ?? null)
        : quotient(frauds(stretch, evaluation, history), count, definition.scale, definition.rounding);
    case 'seconds_since_last':
      if (count === 0) return null;
      return Math.floor((trigger.ts - table.tsOf(history.at(stretch.to - 1))) / 1e6);
    case 'metres_from_last':
      return travel(stretch, evaluation, history)?.metres ?? null;
    case 'speed_from_last': {
      const travelled = travel(stretch, evaluation, history);
      return travelled === null ? null : quotient(travelled.metres * 3_600, Math.max(1, travelled.seconds), 0, 'floor');
    }
  }
}

/** Positions in (t − delay − window, t − delay], times cut to whole multiples of the resolution. */
function stretchOf({ windowMicros, delayMicros }: FeaturePlan, evaluation: Evaluation, history: History): Stretch {
  const { resolutionMicros } = evaluation.group;
  const tick = Math.floor(evaluation.trigger.ts / resolutionMicros) * resolutionMicros;
  const from = history.positionFrom(tick - delayMicros - windowMicros + resolutionMicros);
  if (delayMicros === 0) return { from: Math.min(from, history.end), to: history.end };
  const to = Math.min(history.end, history.positionFrom(tick - delayMicros + resolutionMicros));
  return { from: Math.min(from, to), to };
}

function sumOf(field: FieldName, stretch: Stretch, evaluation: Evaluation, history: History, included: boolean): Whole {
  const running = history.sum(field, stretch.from, stretch.to);
  const own = included ? (numberOf(evaluation.trigger, field) ?? 0) : 0;
  if (running !== null) return add(running, own);
  return numbersOf(field, stretch, evaluation, history, included).reduce<Whole>(add, 0);
}

function numbersOf(
  field: FieldName,
  { from, to }: Stretch,
  { table, trigger }: Evaluation,
  history: History,
  included: boolean,
): readonly Whole[] {
  const numbers: Whole[] = [];
  for (let position = from; position < to; position += 1) numbers.push(table.numberOf(history.at(position), field));
  if (included) numbers.push(numberOf(trigger, field) ?? 0);
  return numbers;
}

function extreme(which: 'min' | 'max', numbers: readonly Whole[]): FeatureValue {
  let found: FeatureValue = null;
  for (const number of numbers) {
    if (found === null || (which === 'min' ? number < found : number > found)) found = number;
  }
  return found;
}

function distinct(
  field: FieldName,
  { from, to }: Stretch,
  { table, trigger }: Evaluation,
  history: History,
  included: boolean,
): number {
  const seen = new Set<number>();
  for (let position = from; position < to; position += 1) {
    const text = table.textOf(history.at(position), field);
    if (text !== NO_TEXT) seen.add(text);
  }
  const own = trigger.payload[field];
  if (!included || typeof own !== 'string') return seen.size;
  return seen.size + (seen.has(table.dictionary.find(own)) ? 0 : 1);
}

function newValue(
  field: FieldName,
  { from, to }: Stretch,
  { table, trigger }: Evaluation,
  history: History,
): FeatureValue {
  const own = trigger.payload[field];
  if (typeof own !== 'string') return null;
  const wanted = table.dictionary.find(own);
  if (wanted === NO_TEXT) return 1;
  // From the newest: what was seen at all was mostly seen lately.
  for (let position = to - 1; position >= from; position -= 1) {
    if (table.textOf(history.at(position), field) === wanted) return 0;
  }
  return 1;
}

function frauds({ from, to }: Stretch, { isFraud, trigger }: Evaluation, history: History): number {
  let count = 0;
  for (let position = from; position < to; position += 1) {
    if (isFraud(history.at(position), trigger.ts)) count += 1;
  }
  return count;
}

function travel(
  { from, to }: Stretch,
  { table, trigger }: Evaluation,
  history: History,
): { readonly metres: number; readonly seconds: number } | null {
  const here = placeOf((field) => numberOf(trigger, field) ?? Number.NaN);
  if (here === null) return null;
  for (let position = to - 1; position >= from; position -= 1) {
    const slot = history.at(position);
    const there = placeOf((field) => table.numberOf(slot, field));
    if (there === null) continue;
    return { metres: metresBetween(there, here), seconds: Math.floor((trigger.ts - table.tsOf(slot)) / 1e6) };
  }
  return null;
}

function placeOf(read: (field: FieldName) => number): Place | null {
  const latitudeE6 = read('latitude_e6' as FieldName);
  const longitudeE6 = read('longitude_e6' as FieldName);
  return Number.isNaN(latitudeE6) || Number.isNaN(longitudeE6) ? null : { latitudeE6, longitudeE6 };
}

/** Whole numbers alone (law R11): what is none is missing, whoever asks. */
function numberOf(event: FeatureEvent, field: FieldName): number | null {
  const number = event.payload[field];
  return Number.isSafeInteger(number) ? (number as number) : null;
}

function hourOf(ts: number): number {
  return positive(Math.floor(ts / 3_600e6), 24);
}

/** 1970-01-01 was a Thursday, the fourth day. */
function weekdayOf(ts: number): number {
  return positive(Math.floor(ts / 86_400e6) + 3, 7) + 1;
}

function positive(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

function isWithin(hour: number, from: number, to: number): boolean {
  return from <= to ? hour >= from && hour <= to : hour >= from || hour <= to;
}
