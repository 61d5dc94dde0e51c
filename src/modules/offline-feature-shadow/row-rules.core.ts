import { digestText } from '../../rails/digest.js';
import type { EpochMicros } from '../../rails/time.js';
import type { LabelState } from './dataset.schema.js';

const DAY_MICROS = 86_400e6;
/** Of the label type `fraud_disposition`; other types say whatever their values say. */
const SAYS: Readonly<Record<string, boolean>> = { FRAUD_CONFIRMED: true, LEGIT_CONFIRMED: false };

/** What the label store answered about one payment. */
export interface Known {
  readonly state: 'LABEL' | 'UNKNOWN' | 'CONFLICT';
  readonly label_value?: string;
}

export interface RowLabel {
  readonly state: LabelState;
  readonly value: string | null;
  /** null: censored; nobody may take it for either. */
  readonly isFraud: boolean | null;
}

/**
 * What a row says of its payment. Without a label it is censored, and never negative, unless a rule says that so many days without one are enough:
 * then it is MATURED, and IMMATURE before.
 */
export function labelOf(
  known: Known,
  ts: EpochMicros,
  { asOf, maturityDays }: { readonly asOf: EpochMicros; readonly maturityDays: number | undefined },
): RowLabel {
  if (known.state === 'LABEL')
    return { state: 'LABEL', value: known.label_value ?? null, isFraud: SAYS[known.label_value ?? ''] ?? null };
  if (known.state === 'CONFLICT') return { state: 'CONFLICT', value: null, isFraud: null };
  if (maturityDays === undefined) return { state: 'UNKNOWN', value: null, isFraud: null };
  if (ts + maturityDays * DAY_MICROS > asOf) return { state: 'IMMATURE', value: null, isFraud: null };
  return { state: 'MATURED', value: null, isFraud: false };
}

/** @returns how many rows this one stands for; 0: it is not kept. The same event and seed give the same answer anywhere. */
export function weightOf(
  eventId: string,
  isFraud: boolean | null,
  sampling: { readonly others_one_in: number; readonly seed: string } | null,
): number {
  if (sampling === null || isFraud === true || sampling.others_one_in === 1) return 1;
  return bucketOf(eventId, sampling.seed, sampling.others_one_in) === 0 ? sampling.others_one_in : 0;
}

/** Which of n shares an event falls into: evenly, and by its id and the seed alone. */
export function bucketOf(eventId: string, seed: string, n: number): number {
  // 48 of 256 bits: exact as a number, and even to a millionth for a million shares.
  return Number.parseInt(digestText(JSON.stringify([seed, eventId])).slice(0, 12), 16) % n;
}

/** Ranges do not overlap; between them there may be time that belongs to none, such as the wait for labels. */
export function splitOf(
  ts: EpochMicros,
  splits: readonly { readonly name: string; readonly from: EpochMicros; readonly to: EpochMicros }[],
): string | null {
  return splits.find(({ from, to }) => ts >= from && ts < to)?.name ?? null;
}
