/** Why one row could not be mapped: a reason of the list below, and a sentence. */
export class RowFault {
  constructor(
    readonly reason: RejectReason,
    readonly detail: string,
  ) {}
}

export const REJECT_REASONS = [
  'ROW_MALFORMED',
  'COLUMN_MISSING',
  'KEY_MISSING',
  'TIME_INVALID',
  'TIME_NONEXISTENT',
  'AMOUNT_INVALID',
  'CURRENCY_UNKNOWN',
  'VALUE_INVALID',
  'SCHEMA_FAIL',
] as const;
export type RejectReason = (typeof REJECT_REASONS)[number];

/**
 * What a text looks like without what it says: digits become 9, letters a. Rejected rows are sealed and shown, and a column
 * that slipped may hold a card number where an amount should be.
 */
export function formOf(text: string): string {
  const form = text
    .slice(0, 40)
    .replace(/\p{Nd}/gu, '9')
    .replace(/\p{L}/gu, 'a')
    // A cut or broken pair of surrogates has no canonical form, and control characters no place in a sentence.
    .replace(/[\p{Surrogate}\p{Cc}]/gu, '?');
  return `"${form}${text.length > 40 ? '…' : ''}"`;
}
