import type { Travel } from '../journey.js';

/** One step of the way, with what proves it. */
export interface Hop {
  /** The units that did it. */
  readonly units: string;
  readonly what: string;
  /** What was looked at, for people. */
  readonly proof: string;
  readonly ok: boolean;
  readonly document: Readonly<Record<string, unknown>>;
}

/** The way so far: whoever adds a hop shows it at once. */
export interface Way extends Travel {
  readonly hop: (hop: Hop) => void;
}

/** A hop that failed ends the way: what would follow stands on it. */
export class HopFailed extends Error {
  constructor(readonly failed: Hop) {
    super(`${failed.units}: ${failed.what}: ${failed.proof}`);
  }
}

/** Shows the hop, and ends the way where it does not hold. @throws HopFailed */
export function passed(way: Way, hop: Hop): void {
  way.progress.clear();
  way.hop(hop);
  if (!hop.ok) throw new HopFailed(hop);
}
