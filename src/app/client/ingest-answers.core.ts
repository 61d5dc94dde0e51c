/** What became of one line. */
export interface LineAnswer {
  readonly accepted: 'ADMIT' | 'DUPLICATE' | undefined;
  /** Of what was refused: a code, and what is wrong. */
  readonly code: string;
  readonly detail: string;
  readonly eventId: string | undefined;
  readonly receiptId: string | undefined;
}

/** The answers to a call, in order. Fewer than lines were sent, where something ended the call on its way. */
export interface Answers {
  readonly lines: readonly LineAnswer[];
  /** Why the lines after those have no answer. */
  readonly ended?: {
    readonly code: string;
    readonly detail: string;
    readonly retryable: boolean;
    readonly retryAfterMs: number | undefined;
  };
}

type Item = Readonly<Record<string, unknown>>;

/**
 * Reads the answer of either door for many: a line of JSON each, with a decision, or at the end the error that stopped the rest
 * (as `error`, or as a REFUSED that may be repeated). Undefined when it is neither.
 */
export function answersOf(text: string, sent: number): Answers | undefined {
  const lines: LineAnswer[] = [];
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const item = itemOf(line);
    if (item === undefined || lines.length >= sent) return undefined;
    const ended = endOf(item);
    if (ended !== undefined) return { lines, ended };
    lines.push(answerOf(item));
  }
  return lines.length === sent ? { lines } : undefined;
}

function itemOf(line: string): Item | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Item) : undefined;
  } catch {
    return undefined;
  }
}

/** A refusal without a receipt that says to come again: it and everything behind it was not taken. */
function endOf(item: Item): Answers['ended'] {
  const problem = item['error'];
  const error = typeof problem === 'object' && problem !== null ? (problem as Item) : undefined;
  const stops = error ?? (item['decision'] === 'REFUSED' && item['retryable'] === true ? item : undefined);
  if (stops === undefined) return undefined;
  const data = stops['data'];
  const wait =
    stops['retry_after_ms'] ?? (typeof data === 'object' && data !== null ? (data as Item)['retry_after_ms'] : 0);
  return {
    code: textOf(stops['code']) ?? 'INTERNAL',
    detail: textOf(stops['detail']) ?? 'the door gave no detail',
    retryable: stops['retryable'] === true,
    retryAfterMs: typeof wait === 'number' && wait > 0 ? wait : undefined,
  };
}

function answerOf(item: Item): LineAnswer {
  const decision = item['decision'];
  const reasons = item['reason_codes'];
  const reason = Array.isArray(reasons) ? textOf(reasons[0]) : undefined;
  const place = textOf(item['at']) ?? '';
  return {
    accepted: decision === 'ADMIT' || decision === 'DUPLICATE' ? decision : undefined,
    code: textOf(item['code']) ?? (reason === undefined ? 'UNKNOWN' : `IG_${reason}`),
    detail: [place, textOf(item['detail']) ?? ''].filter((part) => part !== '').join(' '),
    eventId: textOf(item['event_id']),
    receiptId: textOf(item['receipt_id']),
  };
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
