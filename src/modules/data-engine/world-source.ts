import type { JsonObject } from '../../rails/canonical-json.js';
import type { UtcMicros } from '../../rails/time.js';

/** A row of traffic before it is sealed: `source` is added by the sealing, when the row's place is known. */
export interface UnsealedRow {
  readonly key: string;
  readonly ts_utc: UtcMicros;
  readonly payload: JsonObject;
  /** Number of the row in the source, where there is one: a payload that turns out invalid is rejected under it. */
  readonly row?: number;
  /** What becomes known of it later. It goes to `labels` when the row is sealed, and with the row when that is rejected. */
  readonly label?: UnsealedTruth;
}

/** A row of a truth product; `ts_utc` is when it became known. */
export interface UnsealedTruth {
  readonly key: string;
  readonly ts_utc: UtcMicros;
  readonly fields: JsonObject;
}

export interface RejectedRow {
  /** Number of the row in the source, from 1, the header not counted. */
  readonly row: number;
  readonly reason: string;
  readonly detail: string;
}

/**
 * Where a source puts its rows, many at a time. Rows of an output may come in any order: the sealing sorts them by (`ts_utc`, order of
 * arrival), within memory that does not grow with their number. Awaiting each call is the back-pressure.
 */
export interface RowSink {
  /** Rows of the output `transactions`: event type `transaction`, version `v1`, role business_traffic. */
  traffic(rows: readonly UnsealedRow[]): Promise<void>;
  /** Rows of the output `labels`: role truth_products. */
  labels(rows: readonly UnsealedTruth[]): Promise<void>;
  /** Rows of any other truth product or context, by output id: `fraud_processes`, `rings` … */
  other(
    outputId: string,
    role: 'truth_products' | 'behavioural_context',
    rows: readonly UnsealedTruth[],
  ): Promise<void>;
  /** Rows of the source that could not be mapped: counted by reason, and written to the output `rejects` (audit_evidence). */
  rejects(rows: readonly RejectedRow[]): Promise<void>;
  readonly progress: (stage: string, rowsDone: number, shareDone?: number) => void;
  /** Aborts when the program stops; a source then rejects with it. */
  readonly signal: AbortSignal;
}

/** Something that a world can be made of: a user's file and its mapping, or a seed and its parameter pack. */
export interface WorldSource {
  readonly kind: 'import' | 'generate';
  /** Produces every row; deterministic in content and order. Gives the number of source rows that were read. */
  produce(sink: RowSink): Promise<{ readonly rowsRead: number; readonly rejectedShareMax: number }>;
}
