import type { JsonValue } from '../rails/canonical-json.js';
import type { Wiring } from './wiring.schema.js';

/** A topic that the bus itself cuts before the policy would. */
export interface RetentionBound {
  readonly topic: string;
  /** Of the topic, by the wiring; the bus asks nobody before it deletes. */
  readonly retention_ms: number;
  /** By the policy `ops.retention`; null: for ever. */
  readonly keep_ms: number | null;
}

/** Where the retention of a topic is not above what the policy keeps: then the bus deletes by itself what nobody has let go. */
export function boundsBelow(topics: Wiring['topics'], policy: JsonValue | undefined): readonly RetentionBound[] {
  // A policy in force was judged by its kind; a program without one keeps what its wiring says.
  const kept = (policy as { topics?: readonly { topic: string; keep_ms: number | null }[] } | undefined)?.topics ?? [];
  return kept.flatMap(({ topic, keep_ms }) => {
    const { retention_ms } = topics.named?.[topic] ?? topics.default;
    return retention_ms === null || (keep_ms !== null && retention_ms > keep_ms)
      ? []
      : [{ topic, retention_ms, keep_ms }];
  });
}
