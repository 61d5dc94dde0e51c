import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { type Brand } from '../brand.js';
import { EventTypeSchema } from '../envelope.schema.js';
import { brandedText, closed, type Frozen, safeInteger, type Sealed } from '../schema.js';

/** `7d`: a whole number of seconds, minutes, hours or days. A day has 86,400 s; months and years have no fixed length. */
export type DurationText = Brand<string, 'DurationText'>;
/** Unique within a definition set, and the word that rules and models know the value by: `card_tx_count_1h`. */
export type FeatureName = Brand<string, 'FeatureName'>;
export type FieldName = Brand<string, 'FieldName'>;

const duration = (description: string) =>
  brandedText<DurationText>({ pattern: '^[1-9][0-9]{0,7}(s|m|h|d)$', maxLength: 9, description });
const field = (description: string) => brandedText<FieldName>({ pattern: '^[a-z][a-z0-9_]{0,63}$', description });

export const FeatureNameSchema = brandedText<FeatureName>({
  pattern: '^[a-z][a-z0-9_]{0,79}$',
  description: 'the word by which rules and models know the value',
});

const name = { name: FeatureNameSchema };
const window = { window: duration('how far back it looks: (t − delay − window, t − delay]') };
const delay = { delay: Type.Optional(duration('how long before the trigger the window ends; 0 when left out')) };
const trigger = {
  trigger: Type.Union([Type.Literal('included'), Type.Literal('excluded')], {
    description: 'whether the event that is judged counts itself',
  }),
};
const amount = { field: field('a number that every event of the type has') };
const text = { field: field('a text of the event') };
/** Ratios are whole numbers, too (law R11): the exact fraction times 10^scale, rounded once. */
const rounded = {
  scale: Type.Integer({ minimum: 0, maximum: 9, description: 'digits after the point that are kept' }),
  rounding: Type.Union([Type.Literal('half_even'), Type.Literal('half_up'), Type.Literal('floor')]),
};
const whenEmpty = {
  when_empty: Type.Optional(
    safeInteger(0, 'value, times 10^scale, when there is nothing to count; missing when left out'),
  ),
};

const of = <Name extends string, Rest extends Record<string, TSchema>>(aggregate: Name, rest: Rest) =>
  closed({ ...name, aggregate: Type.Literal(aggregate), ...rest });

/** One feature. `aggregate` says what is made of the events of the key; the last six need the trigger alone. */
export const FeatureSchema = Type.Union([
  of('count', { ...window, ...delay, ...trigger }),
  of('sum', { ...amount, ...window, ...delay, ...trigger }),
  of('min', { ...amount, ...window, ...delay, ...trigger }),
  of('max', { ...amount, ...window, ...delay, ...trigger }),
  of('mean', { ...amount, ...window, ...delay, ...trigger, ...rounded }),
  /** Of the population, √(E(x²) − E(x)²); exact until the one rounding, which is `floor`. */
  of('stddev', { ...amount, ...window, ...delay, ...trigger, scale: rounded.scale }),
  of('distinct', { ...text, ...window, ...delay, ...trigger }),
  /** 1 when no event of the window has the trigger's value of the field, else 0; missing when the trigger has none. */
  of('new_value', { ...text, ...window }),
  /** Events of the window that were known as fraud when the trigger came, of all events of the window. */
  of('fraud_share', { ...window, ...delay, ...rounded, ...whenEmpty }),
  of('fraud_count', { ...window, ...delay }),
  /** Whole seconds since the newest event of the window. */
  of('seconds_since_last', { ...window }),
  /** Metres, along a great circle, from the place of the newest event of the window that has one. */
  of('metres_from_last', { ...window }),
  /** Metres per hour that this distance took, seconds counted from 1. */
  of('speed_from_last', { ...window }),
  /** Of two features of the group, or of a number of the trigger by its field. Missing when the lower one is 0 or missing. */
  of('ratio', {
    over: Type.Union([closed({ feature: FeatureNameSchema }), closed({ field: amount.field })]),
    under: closed({ feature: FeatureNameSchema }),
    ...rounded,
  }),
  of('trigger_field', { field: field('a number of the event itself; missing when it has none') }),
  of('hour_of_day', {}),
  /** Monday is 1, as in ISO 8601. */
  of('weekday', {}),
  of('is_weekend', {}),
  of('is_hour_within', {
    from_hour: Type.Integer({ minimum: 0, maximum: 23 }),
    to_hour: Type.Integer({ minimum: 0, maximum: 23, description: 'inclusive; below from_hour it runs over midnight' }),
  }),
]);

export const FeatureGroupSchema = closed(
  {
    name: Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$', description: 'what a posture allows or forbids as one' }),
    version: Type.Integer({
      minimum: 1,
      maximum: 99_999,
      description: 'raised with every change of what a value means',
    }),
    event_type: EventTypeSchema,
    key: Type.Optional(
      Type.Array(field('a text of the event'), {
        minItems: 1,
        maxItems: 4,
        description:
          'whose history it is: the fields whose values together name the key. With `currency` among them amounts are never added across currencies. Left out: the trigger alone.',
      }),
    ),
    when: Type.Optional(
      Type.Array(
        closed({ field: field('a text of the event'), in: Type.Array(Type.String(), { minItems: 1, maxItems: 64 }) }),
        { minItems: 1, maxItems: 8, description: 'only events with one of these values, in every field named, count' },
      ),
    ),
    resolution: Type.Optional(
      duration('times are cut to whole multiples of it before windows are laid; 1s when left out'),
    ),
    features: Type.Array(FeatureSchema, { minItems: 1, maxItems: 64 }),
  },
  { description: 'Features of one key that are allowed, versioned and served together.' },
);

export const FeatureDefinitionsSchema = closed(
  {
    lateness: duration(
      'how far behind the newest event a trigger may lie and still be answered exactly; what is older than lateness and the longest window together is let go',
    ),
    groups: Type.Array(FeatureGroupSchema, { minItems: 1, maxItems: 64 }),
  },
  { description: 'The features of the platform (law R12): one definition for serving, datasets and re-execution.' },
);

export type FeatureDefinition = Frozen<Static<typeof FeatureSchema>>;
export type FeatureGroupDefinition = Sealed<typeof FeatureGroupSchema>;
export type FeatureDefinitions = Sealed<typeof FeatureDefinitionsSchema>;
