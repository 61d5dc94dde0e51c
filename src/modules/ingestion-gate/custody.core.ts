import { type Static, Type } from '@sinclair/typebox';
import { closed, safeInteger } from '../../rails/schema.js';

const offenders = (description: string) =>
  closed(
    {
      count: safeInteger(0, 'all of them'),
      ids: Type.Array(Type.String(), { maxItems: 100, description: 'the first of them' }),
    },
    { description },
  );

/** What follows from the traffic of a run, link by link, and who lacks what. */
export const CustodySchema = closed({
  decisions: safeInteger(0, 'records'),
  actions_planned: safeInteger(0, 'by the decisions on the bus'),
  intents: safeInteger(0, 'records'),
  outcomes: safeInteger(0, 'records'),
  undecided: Type.Record(Type.String(), offenders('events that no decision names'), {
    description: 'by event type; whoever asks knows which types are decided',
  }),
  decided_without_event: offenders('decisions of no event of the run, or of one that was decided before'),
  planned_without_intent: offenders('actions of a decision for which nobody was asked, by idempotency key'),
  intents_unplanned: offenders('intents that no decision planned'),
  intents_open: offenders('intents of which no outcome is told'),
  outcomes_orphaned: offenders('outcomes of no intent, or of one that has an outcome already'),
});
export type Custody = Static<typeof CustodySchema>;

const OFFENDERS_TOLD = 100;

/** As far as it is read here; admission checked the rest. */
export interface CustodyRecord {
  readonly event_id: string;
  readonly event_type: string;
  readonly parent_event_id?: string | undefined;
  readonly payload?: unknown;
}

/**
 * Walks along the records of a run and closes each link when its other end is met. What follows from a record stands behind it on its own partition, so
 * what is held is what is open: some moments of traffic, whoever lacks something, and the ids of types that nobody decides. Records of different
 * partitions may come in any order.
 */
export class CustodyWalk {
  /** Types of the events that wait for their decision, by id. */
  readonly #typeOf = new Map<string, string>();
  readonly #planned = new Set<string>();
  readonly #intents = new Set<string>();
  readonly #orphans = {
    decided_without_event: new Offenders(),
    intents_unplanned: new Offenders(),
    outcomes_orphaned: new Offenders(),
  };
  readonly #counts = { decisions: 0, actions_planned: 0, intents: 0, outcomes: 0 };

  see({ event_id: id, event_type: type, parent_event_id: parent = '', payload }: CustodyRecord): void {
    switch (type) {
      case 'decision':
        this.#counts.decisions += 1;
        this.#decided(id, parent);
        for (const key of plannedBy(payload)) {
          this.#counts.actions_planned += 1;
          this.#planned.add(key);
        }
        return;
      case 'action_intent':
        this.#counts.intents += 1;
        // What a person asks for in a case no decision has planned.
        if (!this.#planned.delete(id) && originOf(payload) !== 'CASE') this.#orphans.intents_unplanned.add(id);
        this.#intents.add(id);
        return;
      case 'action_outcome':
        this.#counts.outcomes += 1;
        if (!this.#intents.delete(parent)) this.#orphans.outcomes_orphaned.add(id);
        return;
      default:
        this.#typeOf.set(id, type);
    }
  }

  finish(): Custody {
    const undecided = new Map<string, Offenders>();
    for (const [id, type] of this.#typeOf) {
      const ofType = undecided.get(type) ?? new Offenders();
      ofType.add(id);
      undecided.set(type, ofType);
    }
    return {
      ...this.#counts,
      undecided: Object.fromEntries([...undecided].map(([type, ofType]) => [type, ofType.told()])),
      decided_without_event: this.#orphans.decided_without_event.told(),
      planned_without_intent: Offenders.of(this.#planned).told(),
      intents_unplanned: this.#orphans.intents_unplanned.told(),
      intents_open: Offenders.of(this.#intents).told(),
      outcomes_orphaned: this.#orphans.outcomes_orphaned.told(),
    };
  }

  #decided(id: string, event: string): void {
    if (!this.#typeOf.delete(event)) this.#orphans.decided_without_event.add(id);
  }
}

/** All of them counted, the first of them named. */
class Offenders {
  readonly #ids: string[] = [];
  #count = 0;

  static of(ids: Iterable<string>): Offenders {
    const offenders = new Offenders();
    for (const id of ids) offenders.add(id);
    return offenders;
  }

  add(id: string): void {
    this.#count += 1;
    if (this.#ids.length < OFFENDERS_TOLD) this.#ids.push(id);
  }

  told(): { count: number; ids: string[] } {
    return { count: this.#count, ids: [...this.#ids] };
  }
}

function originOf(payload: unknown): string | undefined {
  return ((payload ?? {}) as { readonly origin?: string }).origin;
}

function plannedBy(payload: unknown): readonly string[] {
  const { actions } = (payload ?? {}) as { readonly actions?: readonly { readonly idempotency_key?: string }[] };
  if (!Array.isArray(actions)) return [];
  return (actions as readonly { readonly idempotency_key?: string }[]).flatMap(({ idempotency_key: key }) =>
    key === undefined ? [] : [key],
  );
}
