import type { SealedPolicy } from '../../rails/policy-rev.js';

/** What keeps an artifact from being proposed or activated that is sound by itself: how things stand now. */
export abstract class LaneGuard {
  /** @throws why it may not */
  abstract demand(artifact: SealedPolicy): Promise<void>;
}
