import type { FeatureDefinitions, FeatureGroupDefinition } from '../../src/rails/features/definition.schema.js';

/** The groups that the handbook's fifteen features stand in. */
export const BOOK = ['handbook_transaction', 'handbook_customer', 'handbook_terminal'] as const;

const counts = (key: string, windows: readonly string[]): object[] =>
  windows.map((window) => ({ name: `x_${key}_count_${window}`, aggregate: 'count', window, trigger: 'included' }));
const means = (key: string, windows: readonly string[]): object[] =>
  windows.map((window) => ({
    ...{ name: `x_${key}_mean_${window}`, aggregate: 'mean', field: 'amount_minor', window },
    ...{ trigger: 'included', scale: 6, rounding: 'half_even' },
  }));
const others = (key: string, field: string, windows: readonly string[]): object[] =>
  windows.map((window) => ({
    ...{ name: `x_${key}_${field.replace('_id', 's')}_${window}`, aggregate: 'distinct', field, window },
    trigger: 'included',
  }));
/** As the handbook counts them, but for the wait: labels of a quicker feed. */
const risks = (delay: string): object[] =>
  ['1d', '7d', '30d'].flatMap((window) => [
    { name: `x_terminal_count_${window}_after_${delay}`, aggregate: 'count', window, delay, trigger: 'excluded' },
    {
      ...{ name: `x_terminal_risk_${window}_after_${delay}`, aggregate: 'fraud_share', window, delay },
      ...{ scale: 9, rounding: 'half_even', when_empty: 0 },
    },
  ]);
const group = (name: string, key: string, features: readonly object[]): FeatureGroupDefinition =>
  ({ name, version: 1, event_type: 'transaction', key: [key], features }) as unknown as FeatureGroupDefinition;

/** What the definition language can say beyond the book; every group may be asked for by itself. */
export const MORE: FeatureDefinitions['groups'] = [
  group('short_customer', 'customer_id', [
    ...counts('customer', ['1h', '6h', '3d']),
    ...means('customer', ['6h', '3d']),
  ]),
  group('short_terminal', 'terminal_id', [
    ...counts('terminal', ['1h', '6h', '1d', '3d']),
    ...means('terminal', ['1d', '3d']),
  ]),
  group('own_history', 'customer_id', [
    {
      ...{ name: 'x_customer_before_30d', aggregate: 'mean', field: 'amount_minor', window: '30d' },
      ...{ trigger: 'excluded', scale: 0, rounding: 'half_even' },
    },
    {
      ...{ name: 'x_customer_ratio_30d', aggregate: 'ratio', over: { field: 'amount_minor' } },
      ...{ under: { feature: 'x_customer_before_30d' }, scale: 4, rounding: 'half_even' },
    },
    { name: 'x_customer_max_30d', aggregate: 'max', field: 'amount_minor', window: '30d', trigger: 'excluded' },
    {
      ...{ name: 'x_customer_deviation_30d', aggregate: 'stddev', field: 'amount_minor', window: '30d' },
      ...{ trigger: 'excluded', scale: 0 },
    },
    { name: 'x_customer_seconds_since_last', aggregate: 'seconds_since_last', window: '30d' },
  ]),
  group('who_meets_whom', 'customer_id', [
    ...others('customer', 'terminal_id', ['1d', '7d', '30d']),
    { name: 'x_customer_new_terminal_30d', aggregate: 'new_value', field: 'terminal_id', window: '30d' },
  ]),
  group('whom_a_terminal_meets', 'terminal_id', [...others('terminal', 'customer_id', ['1d', '7d', '30d'])]),
  group('risk_after_3d', 'terminal_id', risks('3d')),
  group('risk_after_1d', 'terminal_id', risks('1d')),
];

/** Sets of columns that are tried on the weeks of the choice, alone and together. */
export const WINDOW_SETS = {
  short: ['short_customer', 'short_terminal'],
  own: ['own_history'],
  met: ['who_meets_whom', 'whom_a_terminal_meets'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** What `npm run bench -- detection.choice` says is best of them; chosen on its weeks alone. */
export const CHOSEN_WINDOWS: readonly (keyof typeof WINDOW_SETS)[] = ['own', 'met'];

const windows = CHOSEN_WINDOWS.flatMap((name) => WINDOW_SETS[name]);

/** Sets of columns that are judged, by the groups that they have. */
export const SETS = {
  book: [...BOOK],
  'more windows': [...BOOK, ...windows],
  'labels after 3 days': [...BOOK, 'risk_after_3d'],
  'labels after 1 day': [...BOOK, 'risk_after_1d'],
} as const satisfies Readonly<Record<string, readonly string[]>>;
export type SetName = keyof typeof SETS;

/** All groups that a dataset needs for any of them. */
export const GROUPS: readonly string[] = [...BOOK, ...MORE.map(({ name }) => name)];

/** Names of the features of these groups, in the order of the definitions. */
export function featuresOf({ groups }: FeatureDefinitions, names: readonly string[]): readonly string[] {
  return groups.filter(({ name }) => names.includes(name)).flatMap(({ features }) => features.map(({ name }) => name));
}
