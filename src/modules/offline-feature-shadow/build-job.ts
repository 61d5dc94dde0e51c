import type { BasisRecord } from '../../rails/basis.js';
import type { FeatureDefinitions } from '../../rails/features/definition.schema.js';
import type { RunPins } from '../../rails/pins.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { Mismatch } from './dataset.schema.js';

/** What a process of a build is told: everything that it needs, and nothing that it would have to be trusted with. */
export interface BuildJob {
  readonly kind: 'timeline' | 'decided' | 'undecided';
  /** With the copies of the log. */
  readonly folder: string;
  readonly share: { readonly index: number; readonly of: number };
  readonly pins: RunPins;
  readonly definitions: { readonly policy_rev: PolicyRev; readonly body: FeatureDefinitions };
  /** Of the rows' columns. */
  readonly groups: readonly string[];
  readonly basis: BasisRecord;
  /** Microseconds; rows from the first on and before the second. */
  readonly rows: { readonly from: number | null; readonly to: number | null };
  readonly traffic: readonly number[];
  readonly control: readonly number[];
  /** Runs in order of time, for `undecided`. */
  readonly timeline: readonly string[];
}

/** What a share came to. */
export interface ShareResult {
  /** Files of rows, each in order. */
  readonly files: readonly string[];
  /** Payments in the range of time. */
  readonly payments: number;
  readonly match: number;
  readonly mismatches: readonly Mismatch[];
  readonly mismatch: number;
  readonly uncheckable: Readonly<Record<string, number>>;
  readonly notServed: Readonly<Record<string, number>>;
  readonly dropped: Readonly<Record<string, number>>;
}

/** Members of a payment that every row has, in this order: texts, but for the amount. */
export const KEY_COLUMNS = [
  'card_id',
  'account_id',
  'customer_id',
  'merchant_id',
  'terminal_id',
  'device_id',
  'currency',
] as const;

/** A row between its making and its writing: as short as JSON allows. */
export type RowText = readonly [
  decisionId: string | null,
  featuresStatus: string,
  snapshotHash: string | null,
  amountMinor: number | null,
  keys: readonly (string | null)[],
  /** Whole numbers as decimal texts, in the order of the columns. */
  features: readonly (string | null)[],
];
