import { type EventId } from '../envelope.schema.js';
import { type Offset } from '../eb-ref.js';
import type { Label } from '../events/label.schema.js';
import { type EpochMicros, toEpochMicros } from '../time.js';

/** What is known of an event since `observed`. `partition` and `offset` are of the control topic. */
export interface LabelFact {
  readonly labelId: string;
  readonly target: EventId;
  readonly observed: EpochMicros;
  /** null: it says neither, and is there for what it supersedes. */
  readonly isFraud: boolean | null;
  /** Id of the fact that it takes the place of. */
  readonly supersedes?: string;
  readonly partition: number;
  readonly offset: Offset;
}

/** The labels that features count; a suspicion is not knowledge. */
const FRAUD = 'fraud_disposition';
const WORDS: ReadonlyMap<string, boolean> = new Map([
  ['FRAUD_CONFIRMED', true],
  ['LEGIT_CONFIRMED', false],
]);

/** What a label is to features; null where it neither says whether an event was fraud nor takes such a word back. */
export function labelFactOf(label: Label, at: Pick<LabelFact, 'partition' | 'offset'>): LabelFact | null {
  const { label_id, target, label_type, label_value, observed_at_utc, supersedes } = label;
  if (target.kind !== 'EVENT' || label_type !== FRAUD) return null;
  const isFraud = WORDS.get(label_value) ?? null;
  if (isFraud === null && supersedes === undefined) return null;
  return {
    labelId: label_id,
    target: target.event_id,
    observed: toEpochMicros(observed_at_utc),
    isFraud,
    partition: at.partition,
    offset: at.offset,
    ...(supersedes === undefined ? {} : { supersedes }),
  };
}

/**
 * The label facts of events, by event. Facts are a set: what holds at a moment is, of what was observed until then and is not superseded by
 * it, what was observed last, and of two observed at once the one with the greater id, so that the order of arrival plays no part (law
 * R11). Labels may come before their event; most events have one.
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
    return this.#facts.get(target)?.some(({ isFraud }) => isFraud === true) ?? false;
  }

  /** Whether the event was known as fraud at that moment, from the facts that `counts` lets through. */
  isFraud(target: EventId, at: EpochMicros, counts?: (fact: LabelFact) => boolean): boolean {
    const facts = this.#facts.get(target) ?? [];
    const known = facts.filter((fact) => fact.observed <= at && (counts === undefined || counts(fact)));
    const stands = known.find(
      ({ labelId, isFraud }) => isFraud !== null && !known.some(({ supersedes }) => supersedes === labelId),
    );
    return stands?.isFraud ?? false;
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
