import type { CapabilityMask } from '../capability-mask.js';
import type { EbRef } from '../eb-ref.js';
import type { Digest } from '../digest.js';
import type { Posture } from '../events/posture.schema.js';
import type { FeatureEvent } from '../features/event-table.js';
import type { FeatureSnapshot } from '../features/snapshot.js';
import type { GraphContext } from '../graph/context.schema.js';
import type { RunPins } from '../pins.js';
import type { UtcMicros } from '../time.js';

/** The event that is judged, as admission left it on the bus. */
export interface DecisionTrigger extends FeatureEvent {
  readonly pins: RunPins;
  readonly tsUtc: UtcMicros;
  readonly ebRef: EbRef;
  readonly payloadHash: Digest;
  /** The key of the record: whose partition it is. */
  readonly entityKey: string;
}

/** Without a usable posture the mask is the most restrictive one (law R8). STALE keeps what was seen, for the record. */
export type PostureUse =
  | { readonly status: 'USED'; readonly posture: Posture }
  | { readonly status: 'STALE'; readonly posture: Posture }
  | { readonly status: 'UNAVAILABLE' };

/** Not asked, asked in vain, or what was answered: each is recorded as what it was. */
export type NotUsed =
  'FORBIDDEN_BY_MASK' | 'NOT_REQUESTED_BY_PLAN' | 'UNAVAILABLE' | 'STALE_BEYOND_TOLERANCE' | 'NOT_FOUND';

export type FeaturesUse =
  | { readonly status: 'USED'; readonly snapshot: FeatureSnapshot }
  | { readonly status: NotUsed; readonly reason?: string };

export type GraphUse =
  | { readonly status: 'USED'; readonly context: GraphContext }
  | { readonly status: NotUsed | 'LAGGING'; readonly reason?: string };

/** What a decision may lean on, fixed once for a batch. */
export interface DecisionPlan {
  readonly posture: PostureUse;
  readonly mask: CapabilityMask;
  /** Groups to ask for: wanted by rules or models, and allowed. */
  readonly featureGroups: readonly string[];
  /** Wanted and masked: never asked for (law R8). */
  readonly forbiddenGroups: readonly string[];
  readonly graph: 'ASK' | Extract<NotUsed, 'FORBIDDEN_BY_MASK' | 'NOT_REQUESTED_BY_PLAN'>;
}
