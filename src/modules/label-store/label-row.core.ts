import { canonicalJson } from '../../rails/canonical-json.js';
import { labelIdRecipe } from '../../rails/decision/ids.js';
import type { EventId } from '../../rails/envelope.schema.js';
import type { Label } from '../../rails/events/label.schema.js';
import type { RunPins } from '../../rails/pins.js';
import type { UtcMicros } from '../../rails/time.js';

/** A sealed row of labels, as the engine's port has it. */
export interface SealedLabel {
  readonly key: string;
  readonly is_fraud: boolean;
  readonly effective_at_utc: UtcMicros;
  readonly ts_utc: UtcMicros;
}

/** The label as a control fact: its id follows from what it says, so that the same row is the same fact in every attempt. */
export function labelEnvelope(row: SealedLabel, target: EventId, pins: RunPins, outputId: string): string {
  const label_type = 'fraud_disposition';
  const label_value = row.is_fraud ? 'FRAUD_CONFIRMED' : 'LEGIT_CONFIRMED';
  const observed_at_utc = row.ts_utc;
  const label_id = labelIdRecipe.derive({ pins, target_event_id: target, label_type, label_value, observed_at_utc });
  const payload: Label = {
    label_id: label_id as string as Label['label_id'],
    target_event_id: target,
    label_type,
    label_value,
    effective_at_utc: row.effective_at_utc,
    observed_at_utc,
    source: { kind: 'truth_product', output_id: outputId },
  };
  return canonicalJson({
    ...pins,
    event_id: label_id,
    event_type: 'label',
    schema_version: 'v1',
    producer: 'label-store',
    parent_event_id: target,
    ts_utc: observed_at_utc,
    payload,
  });
}

/** Which rows are published, one after the other in their sealed order. */
export class RowChoice {
  readonly #frauds = new Set<string>();

  constructor(private readonly publish: 'all' | 'fraud_and_corrections') {}

  wants({ key, is_fraud }: SealedLabel): boolean {
    if (this.publish === 'all') return true;
    if (is_fraud) this.#frauds.add(key);
    return is_fraud || this.#frauds.has(key);
  }
}
