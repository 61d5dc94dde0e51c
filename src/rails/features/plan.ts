import { type TSchema } from '@sinclair/typebox';
import { type EventType } from '../envelope.schema.js';
import { PAYLOADS, type PayloadSchema } from '../events/catalogue.js';
import type {
  DurationText,
  FeatureDefinition,
  FeatureDefinitions,
  FeatureGroupDefinition,
  FieldName,
} from './definition.schema.js';

/** The events of one type that pass one filter, by one key. Groups that agree in these share one history. */
export interface StreamPlan {
  readonly eventType: EventType;
  readonly key: readonly FieldName[];
  readonly when: readonly { readonly field: FieldName; readonly values: ReadonlySet<string> }[];
  /** Numbers whose running sums are kept beside the events, so that a sum costs two look-ups and not a walk. */
  readonly sums: readonly FieldName[];
}

export interface GroupPlan {
  readonly definition: FeatureGroupDefinition;
  /** Which of the plan's streams; null for features of the trigger alone. */
  readonly stream: number | null;
  readonly resolutionMicros: number;
  readonly features: readonly FeaturePlan[];
  /** Their places by name: the order in which their values are written. */
  readonly inNameOrder: readonly number[];
}

export interface FeaturePlan {
  readonly definition: FeatureDefinition;
  /** 0 for features of the trigger alone. */
  readonly windowMicros: number;
  readonly delayMicros: number;
}

/** A definition set made ready: durations in microseconds, shared histories found, fields known. */
export interface FeatureSetPlan {
  readonly groups: readonly GroupPlan[];
  readonly streams: readonly StreamPlan[];
  /** What is kept of an event besides its time and identity. */
  readonly textFields: readonly FieldName[];
  readonly numberFields: readonly FieldName[];
  readonly latenessMicros: number;
  /** Events this much older than the newest one are in no window that may still be asked for. */
  readonly horizonMicros: number;
  readonly readsLabels: boolean;
}

export interface DefinitionFault {
  /** JSON pointer into the definitions. */
  readonly pointer: string;
  readonly sentence: string;
}

const LATITUDE = 'latitude_e6' as FieldName;
const LONGITUDE = 'longitude_e6' as FieldName;
const DEFAULT_RESOLUTION = '1s' as DurationText;
const MICROS: Readonly<Record<string, number>> = { s: 1e6, m: 60e6, h: 3_600e6, d: 86_400e6 };
/** 10 years; a window beyond the years that times may have says nothing and would overflow exact numbers. */
const DURATION_MAX_MICROS = 3_650 * 86_400e6;

/** @returns microseconds, exact: the pattern allows eight digits of days, which `faultsOf` cuts to ten years */
export function durationMicros(text: DurationText): number {
  return Number(text.slice(0, -1)) * (MICROS[text.slice(-1)] ?? Number.NaN);
}

/**
 * What a schema cannot say: names twice, fields that the event type does not have, windows that are no multiple of their
 * resolution, ratios of what is not there. Empty when the definitions are sound.
 */
export function definitionFaults(
  definitions: FeatureDefinitions,
  payloads: readonly PayloadSchema[] = PAYLOADS,
): readonly DefinitionFault[] {
  const faults: DefinitionFault[] = [];
  const groups = new Set<string>();
  const names = new Set<string>();
  definitions.groups.forEach((group, at) => {
    const pointer = `/groups/${at}`;
    if (groups.has(group.name)) faults.push({ pointer, sentence: `a group "${group.name}" stands here twice` });
    groups.add(group.name);
    const fields = fieldsOf(group.event_type, payloads);
    if (fields === null) {
      faults.push({
        pointer: `${pointer}/event_type`,
        sentence: `no payload schema for "${group.event_type}" is known`,
      });
      return;
    }
    faults.push(...keyFaults(group, fields, pointer));
    group.features.forEach((feature, index) => {
      const place = `${pointer}/features/${index}`;
      const fault = (sentence: string): number =>
        faults.push({ pointer: place, sentence: `${feature.name}: ${sentence}` });
      if (names.has(feature.name)) fault('the name is used twice; names are unique over all groups');
      names.add(feature.name);
      featureFaults(group, feature, fields, index).forEach(fault);
    });
  });
  return faults;
}

export function planOf(definitions: FeatureDefinitions): FeatureSetPlan {
  const streams: (StreamPlan & { readonly identity: string })[] = [];
  const textFields = new Set<FieldName>();
  const numberFields = new Set<FieldName>();
  const groups = definitions.groups.map((definition): GroupPlan => {
    const features = definition.features.map(featurePlan);
    for (const feature of definition.features) {
      if (needsText(feature)) textFields.add(feature.field);
      if (needsAmount(feature)) numberFields.add(feature.field);
      if (needsPlace(feature)) numberFields.add(LATITUDE).add(LONGITUDE);
    }
    const stream = definition.key === undefined ? null : streamOf(streams, definition, definition.key);
    const resolutionMicros = durationMicros(definition.resolution ?? DEFAULT_RESOLUTION);
    const names = definition.features.map(({ name }) => name);
    const inNameOrder = [...names].sort().map((name) => names.indexOf(name));
    return { definition, stream, resolutionMicros, features, inNameOrder };
  });
  const features = groups.flatMap(({ features: own, resolutionMicros }) =>
    // The resolution once more: cutting a time to its multiple moves the window back by less than that.
    own.map(({ windowMicros, delayMicros }) => windowMicros + delayMicros + resolutionMicros),
  );
  const latenessMicros = durationMicros(definitions.lateness);
  return {
    groups,
    streams,
    textFields: [...textFields].sort(),
    numberFields: [...numberFields].sort(),
    latenessMicros,
    horizonMicros: Math.max(0, ...features) + latenessMicros,
    readsLabels: definitions.groups.some((group) => group.features.some(needsLabels)),
  };
}

export function needsLabels(feature: FeatureDefinition): boolean {
  return feature.aggregate === 'fraud_share' || feature.aggregate === 'fraud_count';
}

function needsPlace({ aggregate }: FeatureDefinition): boolean {
  return aggregate === 'metres_from_last' || aggregate === 'speed_from_last';
}

type Amount = Extract<FeatureDefinition, { readonly aggregate: 'sum' | 'min' | 'max' | 'mean' | 'stddev' }>;
type Text = Extract<FeatureDefinition, { readonly aggregate: 'distinct' | 'new_value' }>;

function needsAmount(feature: FeatureDefinition): feature is Amount {
  return ['sum', 'min', 'max', 'mean', 'stddev'].includes(feature.aggregate);
}

function needsText(feature: FeatureDefinition): feature is Text {
  return feature.aggregate === 'distinct' || feature.aggregate === 'new_value';
}

function featurePlan(definition: FeatureDefinition): FeaturePlan {
  return {
    definition,
    windowMicros: 'window' in definition ? durationMicros(definition.window) : 0,
    delayMicros: 'delay' in definition ? durationMicros(definition.delay) : 0,
  };
}

function streamOf(
  streams: (StreamPlan & { readonly identity: string })[],
  group: FeatureGroupDefinition,
  key: readonly FieldName[],
): number {
  const when = (group.when ?? []).map(({ field, in: values }) => ({ field, values: new Set(values) }));
  const identity = JSON.stringify([
    group.event_type,
    key,
    [...when].map(({ field, values }) => [field, [...values].sort()]).sort(),
  ]);
  const sums = group.features.flatMap((feature) =>
    feature.aggregate === 'sum' || feature.aggregate === 'mean' ? [feature.field] : [],
  );
  const at = streams.findIndex((stream) => stream.identity === identity);
  const known = streams[at];
  const merged = {
    identity,
    eventType: group.event_type,
    key,
    when,
    sums: [...new Set([...(known?.sums ?? []), ...sums])],
  };
  if (known !== undefined) streams[at] = merged;
  return known === undefined ? streams.push(merged) - 1 : at;
}

/** What the schemas of a type say about its members. A field must be what it is in every version of the type. */
interface Fields {
  kindOf(field: string): 'text' | 'number' | null;
  /** Whether every event has it. */
  isSure(field: string): boolean;
}

function fieldsOf(eventType: EventType, payloads: readonly PayloadSchema[]): Fields | null {
  const schemas = payloads.filter(({ event_type }) => event_type === eventType).map(({ schema }) => schema);
  if (schemas.length === 0) return null;
  const kind = (schema: TSchema, field: string): 'text' | 'number' | null => {
    const member = (schema['properties'] as Record<string, TSchema> | undefined)?.[field];
    if (member === undefined) return null;
    if (member['type'] === 'integer') return 'number';
    const options = member['anyOf'] as readonly TSchema[] | undefined;
    return member['type'] === 'string' || options?.every((one) => one['type'] === 'string') === true ? 'text' : null;
  };
  return {
    kindOf: (field) => {
      const kinds = new Set(schemas.map((schema) => kind(schema, field)));
      return kinds.size === 1 ? ([...kinds][0] ?? null) : null;
    },
    isSure: (field) =>
      schemas.every((schema) => (schema['required'] as readonly string[] | undefined)?.includes(field) === true),
  };
}

function keyFaults(group: FeatureGroupDefinition, fields: Fields, pointer: string): readonly DefinitionFault[] {
  const texts = [...(group.key ?? []), ...(group.when ?? []).map(({ field }) => field)];
  const faults = texts
    .filter((field) => fields.kindOf(field) !== 'text')
    .map((field) => ({ pointer, sentence: `${group.name}: "${field}" is not a text of ${group.event_type}` }));
  if (group.key === undefined && group.when !== undefined)
    faults.push({ pointer: `${pointer}/when`, sentence: `${group.name}: without a key there are no events to filter` });
  return faults;
}

function featureFaults(
  group: FeatureGroupDefinition,
  feature: FeatureDefinition,
  fields: Fields,
  index: number,
): readonly string[] {
  const faults: string[] = [];
  const { windowMicros, delayMicros } = featurePlan(feature);
  const resolution = durationMicros(group.resolution ?? DEFAULT_RESOLUTION);
  if (windowMicros > 0 && group.key === undefined)
    faults.push(`${feature.aggregate} looks at a key's events; name the key`);
  if (Math.max(windowMicros, delayMicros) > DURATION_MAX_MICROS)
    faults.push('ten years are the longest window and delay');
  if (windowMicros % resolution !== 0 || delayMicros % resolution !== 0)
    faults.push('window and delay are whole multiples of the resolution');
  if (delayMicros > 0 && 'trigger' in feature && feature.trigger === 'included')
    faults.push('a window that ends before the trigger cannot include it');
  if (needsText(feature) && fields.kindOf(feature.field) !== 'text')
    faults.push(`"${feature.field}" is not a text of ${group.event_type}`);
  if (needsAmount(feature) && !(fields.kindOf(feature.field) === 'number' && fields.isSure(feature.field)))
    faults.push(`"${feature.field}" is not a number that every ${group.event_type} has`);
  if (feature.aggregate === 'trigger_field' && fields.kindOf(feature.field) !== 'number')
    faults.push(`"${feature.field}" is not a number of ${group.event_type}`);
  if (needsPlace(feature) && [LATITUDE, LONGITUDE].some((field) => fields.kindOf(field) !== 'number'))
    faults.push(`${group.event_type} has no ${LATITUDE} and ${LONGITUDE}`);
  if (feature.aggregate === 'ratio') {
    const earlier = new Set(group.features.slice(0, index).map(({ name }) => name));
    const { over, under } = feature;
    if ('feature' in over && !earlier.has(over.feature))
      faults.push(`"${over.feature}" does not stand above it in its group`);
    if ('field' in over && fields.kindOf(over.field) !== 'number')
      faults.push(`"${over.field}" is not a number of ${group.event_type}`);
    if (!earlier.has(under.feature)) faults.push(`"${under.feature}" does not stand above it in its group`);
  }
  return faults;
}
