import { canonicalJson } from '../canonical-json.js';
import type { EpochMicros } from '../time.js';
import { EventTable, type FeatureEvent, type HeldEvent, NO_TEXT, type Slot } from '../features/event-table.js';
import type { Cut } from '../features/feature-state.js';
import { KeyLog } from '../features/key-log.js';
import { type LabelFact, LabelTable } from '../features/label-table.js';
import type { FieldName } from '../features/definition.schema.js';
import { fromEpochMicros, type UtcMicros } from '../time.js';
import type { GraphValues } from './context.schema.js';
import type { GraphPolicy, IdentifierType } from './graph.schema.js';

const DAY_MICROS = 86_400e6;
const PAYERS: readonly IdentifierType[] = ['customer', 'account', 'card'];

export interface Identifier {
  readonly type: IdentifierType;
  readonly id: string;
}

/** What is known of one identifier by now. */
export interface Profile extends Identifier {
  readonly events: number;
  readonly fraud_events: number;
  readonly first_seen: UtcMicros;
  readonly last_seen: UtcMicros;
  /** RESOLVED: all its events name one customer. AMBIGUOUS: they name several. UNRESOLVED: none names any. */
  readonly status: 'RESOLVED' | 'AMBIGUOUS' | 'UNRESOLVED';
  readonly customers: readonly string[];
}

export interface Neighbour extends Identifier {
  readonly events: number;
  readonly last_seen: UtcMicros;
}

interface Seen {
  readonly type: number;
  readonly text: number;
}

/**
 * The identity graph of one run: events and the identifiers that they name, each way. It holds the set of its events and label facts and nothing that depends on
 * their order (law R11): edges, counts, first and last, who claims what, all of it is read from the set. So a context can be asked strictly before an
 * event and cut to a basis, like a feature, and comes out the same wherever it is made again.
 *
 * Work is bounded: a walk visits so many identifiers and reads so many of the newest events of each, in the order of (time, id).
 */
export class GraphState {
  readonly #policy: GraphPolicy;
  readonly #types: readonly IdentifierType[];
  readonly #table: EventTable;
  readonly #labels = new LabelTable();
  /** By type, then by the number of the text. */
  readonly #logs: readonly Map<number, KeyLog>[];
  #newest = Number.NEGATIVE_INFINITY;
  #sweptAt = Number.NEGATIVE_INFINITY;
  /** Events that walks have looked at, ever: what a test bounds. */
  looked = 0;

  constructor(policy: GraphPolicy) {
    this.#policy = policy;
    this.#types = [...new Set(policy.identifiers.map(({ type }) => type))];
    this.#table = new EventTable({
      textFields: policy.identifiers.map(({ field }) => field as FieldName),
      numberFields: [],
    });
    this.#logs = this.#types.map(() => new Map<number, KeyLog>());
  }

  get newest(): EpochMicros | null {
    return Number.isFinite(this.#newest) ? (this.#newest as EpochMicros) : null;
  }

  /** What lies so far behind the newest event is in no walk any more. */
  get keptMicros(): number {
    return (this.#policy.horizon_days + this.#policy.lateness_days) * DAY_MICROS;
  }

  get size(): { readonly events: number; readonly identifiers: number; readonly labels: number } {
    return {
      events: this.#table.size,
      identifiers: this.#logs.reduce((sum, { size }) => sum + size, 0),
      labels: this.#labels.size,
    };
  }

  /** The newest event's time when what lies a horizon before it was let go for the last time. */
  get sweptAt(): number {
    return this.#sweptAt;
  }

  /** As feature states do: each event once for each identifier that it names. */
  *heldEvents(): Generator<HeldEvent, void> {
    for (const [type, logs] of this.#logs.entries())
      for (const [text, log] of logs) {
        const history = `${this.#types[type] ?? ''}\n${this.#table.dictionary.textOf(text)}`;
        for (const slot of log.slots()) yield this.#table.held(slot, history);
      }
  }

  heldLabels(): Iterable<LabelFact> {
    return this.#labels.facts();
  }

  apply(events: readonly FeatureEvent[]): void {
    const kept = this.keptMicros;
    for (const event of events) {
      if (event.ts > this.#newest) this.#newest = event.ts;
      if (event.ts >= this.#newest - kept) this.#insert(event);
    }
    // A sixteenth at a time, as feature states do.
    if (this.#newest - this.#sweptAt > kept / 16) this.#sweep(this.#newest - kept);
  }

  applyLabels(facts: readonly LabelFact[]): void {
    for (const fact of facts) this.#labels.add(fact);
  }

  /**
   * What hangs together with the event, from what came strictly before it in (time, id), within the cut. null for one that comes so late that what it would
   * have to meet may be gone.
   */
  context(trigger: FeatureEvent, cut?: Cut): GraphValues | null {
    if (trigger.ts < this.#newest - this.#policy.lateness_days * DAY_MICROS) return null;
    const { identifiers_max, events_per_identifier_max } = this.#policy.walk;
    const oldest = trigger.ts - this.#policy.horizon_days * DAY_MICROS;
    const own = this.#identifiersOf(trigger);
    const queue: Seen[] = [];
    const visited = new Set<number>();
    const events = new Set<Slot>();
    let [unknown, bounded, payers, frauds] = [0, 0, 0, 0];
    const visit = (seen: Seen): void => {
      const key = seen.text * 16 + seen.type;
      if (visited.has(key)) return;
      if (visited.size + unknown >= identifiers_max) bounded = 1;
      else {
        visited.add(key);
        queue.push(seen);
        if (this.#isPayer(seen.type)) payers += 1;
      }
    };
    for (const { type, text, joins } of own) {
      if (!joins) continue;
      if (text === NO_TEXT) {
        // Nobody has seen it yet: it is of the component, and leads nowhere.
        unknown += 1;
        if (this.#isPayer(type)) payers += 1;
      } else visit({ type, text });
    }
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { slots, more } = this.#latest(next, trigger, oldest, events_per_identifier_max, cut);
      if (more) bounded = 1;
      for (const slot of slots) {
        if (events.has(slot)) continue;
        events.add(slot);
        if (this.#labels.isFraud(this.#table.idOf(slot), trigger.ts, cut?.label)) frauds += 1;
        for (const [at, { field, joins }] of this.#policy.identifiers.entries()) {
          const text = this.#table.textOf(slot, field as FieldName);
          if (joins && text !== NO_TEXT) visit({ type: this.#typeAt(at), text });
        }
      }
    }
    const share = events.size === 0 ? null : Math.floor((frauds * 10_000) / events.size);
    const shared = (type: IdentifierType): number | null =>
      this.#payersWith(
        own.filter((one) => this.#types[one.type] === type),
        trigger,
        oldest,
        cut,
      );
    return {
      address_payers: shared('address'),
      beneficiary_payers: shared('beneficiary'),
      component_events: events.size,
      component_fraud_events: frauds,
      component_fraud_share_e4: share,
      component_is_bounded: bounded,
      component_payers: payers,
      component_size: visited.size + unknown,
      contact_payers: shared('contact'),
      device_payers: shared('device'),
      ip_payers: shared('ip'),
    };
  }

  /** null for an identifier that nobody has named. */
  profile({ type, id }: Identifier): Profile | null {
    const log = this.#logOf(type, id);
    if (log === undefined || log.start === log.end) return null;
    const slots = this.#slotsOf(log);
    const customers = new Set(slots.flatMap((slot) => this.#textsOf(slot, 'customer')));
    const first = this.#table.tsOf(slots[0] ?? -1);
    const last = this.#table.tsOf(slots.at(-1) ?? -1);
    return {
      type,
      id,
      events: slots.length,
      fraud_events: slots.filter((slot) => this.#labels.isFraud(this.#table.idOf(slot), Infinity as EpochMicros))
        .length,
      first_seen: fromEpochMicros(first),
      last_seen: fromEpochMicros(last),
      status: customers.size === 0 ? 'UNRESOLVED' : customers.size === 1 ? 'RESOLVED' : 'AMBIGUOUS',
      customers: [...customers].sort(),
    };
  }

  /** Identifiers of the same events, in the order of type and id. */
  neighbours({ type, id }: Identifier): readonly Neighbour[] {
    const log = this.#logOf(type, id);
    if (log === undefined) return [];
    const found = new Map<
      string,
      { readonly type: IdentifierType; readonly id: string; events: number; last: number }
    >();
    for (const slot of this.#slotsOf(log))
      for (const [at, { field }] of this.#policy.identifiers.entries()) {
        const text = this.#table.textOf(slot, field as FieldName);
        const other = this.#types[this.#typeAt(at)];
        if (text === NO_TEXT || other === undefined) continue;
        const name = this.#table.dictionary.textOf(text);
        if (other === type && name === id) continue;
        const key = `${other}\n${name}`;
        const entry = found.get(key) ?? { type: other, id: name, events: 0, last: Number.NEGATIVE_INFINITY };
        entry.events += 1;
        entry.last = Math.max(entry.last, this.#table.tsOf(slot));
        found.set(key, entry);
      }
    return [...found]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { type: other, id: name, events, last }]) => ({
        type: other,
        id: name,
        events,
        last_seen: fromEpochMicros(last as EpochMicros),
      }));
  }

  /** All of it in one canonical text: equal for equal sets, however they arrived. */
  dump(): string {
    const events = new Map<string, object>();
    for (const logs of this.#logs)
      for (const log of logs.values())
        for (const slot of this.#slotsOf(log)) {
          const fields = this.#policy.identifiers.flatMap(({ field }): [string, string][] => {
            const text = this.#table.textOf(slot, field as FieldName);
            return text === NO_TEXT ? [] : [[field, this.#table.dictionary.textOf(text)]];
          });
          const id = this.#table.idOf(slot);
          events.set(id, { id, ts: this.#table.tsOf(slot), ...Object.fromEntries(fields) });
        }
    const labels = [...this.#labels.facts()].map(({ labelId, target, observed, isFraud, supersedes }) => ({
      labelId,
      target,
      observed,
      isFraud,
      ...(supersedes === undefined ? {} : { supersedes }),
    }));
    return canonicalJson({
      events: [...events].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, event]) => event),
      labels: labels.sort((a, b) => (a.labelId < b.labelId ? -1 : 1)),
    });
  }

  #insert(event: FeatureEvent): void {
    if (this.#table.slotOf(event.eventId) !== undefined) return;
    const named = new Set<IdentifierType>();
    let holders = 0;
    const keys: string[] = [];
    for (const { field, type } of this.#policy.identifiers) {
      const text = event.payload[field];
      if (typeof text !== 'string') continue;
      // Two fields of one type may name the same: one history, one holder.
      const key = `${type}\n${text}`;
      if (keys.includes(key)) continue;
      keys.push(key);
      named.add(type);
      holders += 1;
    }
    if (holders === 0) return;
    const slot = this.#table.add(event, holders);
    keys.forEach((key) => {
      const at = key.indexOf('\n');
      const type = this.#types.indexOf(key.slice(0, at) as IdentifierType);
      const text = this.#table.dictionary.find(key.slice(at + 1));
      const logs = this.#logs[type];
      const log = logs?.get(text) ?? new KeyLog(this.#table, []);
      logs?.set(text, log);
      log.insert(slot);
    });
  }

  #sweep(before: number): void {
    this.#sweptAt = this.#newest;
    for (const logs of this.#logs)
      for (const [text, log] of logs) {
        log.dropBefore(before, (slot) => this.#table.release(slot));
        if (log.start === log.end) logs.delete(text);
      }
    this.#labels.dropBefore(before);
  }

  #identifiersOf({ payload }: FeatureEvent): readonly (Seen & { readonly joins: boolean })[] {
    return this.#policy.identifiers.flatMap(({ field, joins }, at) => {
      const text = payload[field];
      return typeof text === 'string'
        ? [{ type: this.#typeAt(at), text: this.#table.dictionary.find(text), joins }]
        : [];
    });
  }

  #typeAt(identifier: number): number {
    const type = this.#policy.identifiers[identifier]?.type;
    return type === undefined ? -1 : this.#types.indexOf(type);
  }

  #isPayer(type: number): boolean {
    const name = this.#types[type];
    return name !== undefined && PAYERS.includes(name);
  }

  /** The newest events of an identifier before the trigger, newest first; `more` when there are others behind them. */
  #latest(
    { type, text }: Seen,
    trigger: FeatureEvent,
    oldest: number,
    max: number,
    cut: Cut | undefined,
  ): { readonly slots: readonly Slot[]; readonly more: boolean } {
    const log = this.#logs[type]?.get(text);
    if (log === undefined) return { slots: [], more: false };
    const slots: Slot[] = [];
    for (let at = log.positionOf(trigger.ts, trigger.eventId) - 1; at >= log.start; at -= 1) {
      const slot = log.at(at);
      this.looked += 1;
      if (this.#table.tsOf(slot) < oldest) break;
      if (cut?.event(this.#table.partition[slot] ?? 0, this.#table.offset[slot] ?? 0) === false) continue;
      if (slots.length === max) return { slots, more: true };
      slots.push(slot);
    }
    return { slots, more: false };
  }

  #payersWith(own: readonly Seen[], trigger: FeatureEvent, oldest: number, cut: Cut | undefined): number | null {
    if (own.length === 0) return null;
    const payers = new Set<string>();
    for (const seen of own) {
      if (seen.text === NO_TEXT) continue;
      const { slots } = this.#latest(seen, trigger, oldest, this.#policy.walk.events_per_identifier_max, cut);
      for (const slot of slots) {
        const payer = this.#payerOf(slot);
        if (payer !== null) payers.add(payer);
      }
    }
    return payers.size;
  }

  /** Who pays is one, whatever the event says of him: the customer, else the account, else the card. */
  #payerOf(slot: Slot): string | null {
    for (const type of PAYERS) {
      const [text] = this.#textsOf(slot, type);
      if (text !== undefined) return `${type}\n${text}`;
    }
    return null;
  }

  #textsOf(slot: Slot, type: IdentifierType): readonly string[] {
    return this.#policy.identifiers.flatMap((identifier) => {
      if (identifier.type !== type) return [];
      const text = this.#table.textOf(slot, identifier.field as FieldName);
      return text === NO_TEXT ? [] : [this.#table.dictionary.textOf(text)];
    });
  }

  #logOf(type: IdentifierType, id: string): KeyLog | undefined {
    const text = this.#table.dictionary.find(id);
    return text < 0 ? undefined : this.#logs[this.#types.indexOf(type)]?.get(text);
  }

  #slotsOf(log: KeyLog): readonly Slot[] {
    return Array.from({ length: log.end - log.start }, (_, at) => log.at(log.start + at));
  }
}
