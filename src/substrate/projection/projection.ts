import type { FeatureEvent } from '../../rails/features/event-table.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { FoldedState } from './runs.js';

export const TRAFFIC = 'fp.bus.traffic.v1';
export const CONTROL = 'fp.bus.control.v1';

/** Of what a projection is made, and what it keeps. */
export interface ProjectionRules {
  /** How its log events begin: `ofp`. */
  readonly name: string;
  /** What says so: definitions, a policy. */
  readonly policyRev: PolicyRev;
  /** Types of events that are applied, and the members of their payloads that are kept. */
  readonly types: readonly string[];
  readonly fields: readonly string[];
  readonly readsLabels: boolean;
  /** What is so long behind the newest event is asked for by nobody. */
  readonly horizonMicros: number;
  /** Why an event of these types cannot be used; null when it can. */
  readonly unusable: (event: FeatureEvent) => string | null;
}

export interface Projection<State extends FoldedState> extends ProjectionRules {
  readonly open: () => State;
}
