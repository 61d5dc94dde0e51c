import type { FeatureDefinitions } from '../../rails/features/definition.schema.js';
import { type EpochMicros, toEpochMicros } from '../../rails/time.js';
import { KEY_COLUMNS, type RowText } from './build-job.js';
import type { BuildPlan, Column } from './dataset.schema.js';
import type { LabelLines } from './label-lines.js';
import type { Cell } from './parquet-rows.js';
import { featureColumns } from './rebuild.core.js';
import { type Known, labelOf, splitOf, weightOf } from './row-rules.core.js';
import { mergedLines, type SortedLine } from './sorted-runs.js';

const text = (name: string): Column => ({ name, type: 'STRING', nullable: true });

/** The columns of a dataset, in their order. */
export function columnsOf(plan: BuildPlan, definitions: FeatureDefinitions): readonly Column[] {
  return [
    { name: 'event_id', type: 'STRING', nullable: false },
    { name: 'ts_utc', type: 'TIMESTAMP_MICROS', nullable: false },
    ...KEY_COLUMNS.map(text),
    { name: 'amount_minor', type: 'INT64', nullable: true },
    ...featureColumns(definitions, plan.feature_groups),
    { name: 'features_status', type: 'STRING', nullable: false },
    text('snapshot_hash'),
    text('decision_id'),
    { name: 'label_state', type: 'STRING', nullable: false },
    text('label_value'),
    { name: 'is_fraud', type: 'BOOLEAN', nullable: true },
    text('split'),
    { name: 'weight', type: 'INT64', nullable: false },
  ];
}

export interface RowCounts {
  seen: number;
  kept: number;
  known: number;
  readonly dropped: Record<string, number>;
  readonly bySplit: Record<string, number>;
  readonly byLabel: Record<string, number>;
  readonly byStatus: Record<string, number>;
}

export function noRows(): RowCounts {
  return { seen: 0, kept: 0, known: 0, dropped: {}, bySplit: {}, byLabel: {}, byStatus: {} };
}

/** The rows of all shares in order, each event once: of two decisions about one event the one with the smaller id. */
export async function* uniqueRows(
  files: readonly string[],
  onSecond: () => void = () => undefined,
): AsyncGenerator<readonly SortedLine[]> {
  let last = '';
  for await (const page of mergedLines(files)) {
    yield page.filter(({ id }) => {
      const isSecond = id === last;
      if (isSecond) onSecond();
      last = id;
      return !isSecond;
    });
  }
}

/** Rows with what is known of them, as cells of the columns. What is counted on the way is whole once the last page was taken. */
export async function* labelledRows(
  plan: BuildPlan,
  files: readonly string[],
  known: LabelLines | null,
  counts: RowCounts,
): AsyncGenerator<readonly (readonly Cell[])[]> {
  const { label, sampling } = plan;
  const asOf = label === null ? (0 as EpochMicros) : toEpochMicros(label.as_of_utc);
  const splits = plan.splits.map(({ name, from_utc, to_utc }) => ({
    name,
    from: toEpochMicros(from_utc),
    to: toEpochMicros(to_utc),
  }));
  const second = (): void => count(counts.dropped, 'SECOND_DECISION');
  for await (const page of uniqueRows(files, second)) {
    const answers: readonly Known[] = known === null ? [] : await known.take(page.length);
    const rows: Cell[][] = [];
    page.forEach(({ ts: micros, id, text: line }, at) => {
      const ts = micros as EpochMicros;
      counts.seen += 1;
      const is = labelOf(answers[at] ?? { state: 'UNKNOWN' }, ts, { asOf, maturityDays: label?.maturity_days });
      if (is.state === 'LABEL' || is.state === 'MATURED') counts.known += 1;
      const weight = weightOf(id, is.isFraud, sampling);
      if (weight === 0) {
        count(counts.dropped, 'SAMPLED_OUT');
        return;
      }
      const split = splitOf(ts, splits);
      const [decisionId, status, hash, amount, keys, features] = JSON.parse(line) as RowText;
      counts.kept += 1;
      count(counts.byLabel, is.state);
      count(counts.byStatus, status);
      count(counts.bySplit, split ?? 'none');
      rows.push([
        ...[id, micros, ...keys, amount, ...features, status, hash, decisionId],
        ...[is.state, is.value, is.isFraud, split, weight],
      ]);
    });
    yield rows;
  }
  await known?.end();
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
