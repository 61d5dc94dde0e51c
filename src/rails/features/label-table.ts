import { type EventId } from '../envelope.schema.js';
import { type Offset } from '../eb-ref.js';
import { type EpochMicros } from '../time.js';

/** What is known of an event since `observed`. `partition` and `offset` are of the control topic. */
export interface LabelFact {
  readonly labelId: string;
  readonly target: EventId;
  readonly observed: EpochMicros;
  readonly isFraud: boolean;
  readonly partition: number;
  readonly offset: Offset;
}

/**
 * The label facts of events, by event. Facts are a set: what holds at a moment is what was observed last until then, and of two
 * observed at once the one with the greater id, so that the order of arrival plays no part (law R11). Labels may come before
 * their event; most events have one.
 */
export class LabelTable {
  readonly #facts = new Map<EventId, readonly LabelFact[]>();

  add(fact: LabelFact): void {
    const known = this.#facts.get(fact.target);
    this.#facts.set(fact.target, known === undefined ? [fact] : [...known, fact].sort(newestFirst));
  }

  get size(): number {
    return this.#facts.size;
  }

  /** Whether any fact at all says fraud: the few events that are worth asking about. */
  everFraud(target: EventId): boolean {
    return this.#facts.get(target)?.some(({ isFraud }) => isFraud) ?? false;
  }

  /** Whether the event was known as fraud at that moment, from the facts that `counts` lets through. */
  isFraud(target: EventId, at: EpochMicros, counts?: (fact: LabelFact) => boolean): boolean {
    const facts = this.#facts.get(target) ?? [];
    return facts.find((fact) => fact.observed <= at && (counts === undefined || counts(fact)))?.isFraud ?? false;
  }

  /** Lets go of what is known of events of which nothing was observed since `before`. */
  dropBefore(before: number): void {
    for (const [target, facts] of this.#facts) {
      if ((facts[0]?.observed ?? 0) < before) this.#facts.delete(target);
    }
  }

  *facts(): Iterable<LabelFact> {
    for (const facts of this.#facts.values()) yield* facts;
  }
}

function newestFirst(a: LabelFact, b: LabelFact): number {
  if (a.observed !== b.observed) return b.observed - a.observed;
  if (a.labelId === b.labelId) return 0;
  return a.labelId < b.labelId ? 1 : -1;
}
