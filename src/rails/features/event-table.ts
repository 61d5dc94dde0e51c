import { type EventId, type EventType } from '../envelope.schema.js';
import { type Offset } from '../eb-ref.js';
import { type EpochMicros } from '../time.js';
import type { FieldName } from './definition.schema.js';
import { Dictionary } from './dictionary.js';
import type { FeatureSetPlan } from './plan.js';

/** An admitted event as features see it. `partition` and `offset` are of the traffic topic. */
export interface FeatureEvent {
  readonly eventId: EventId;
  readonly eventType: EventType;
  readonly ts: EpochMicros;
  readonly partition: number;
  readonly offset: Offset;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** The place of an event in the table, used again after its release. */
export type Slot = number;

/** An event in one of the histories that hold it: where it stands, and all that is kept of it. */
export interface HeldEvent {
  readonly ts: number;
  readonly partition: number;
  readonly offset: number;
  /** The history, the event, its members. */
  row(): readonly (string | number | null)[];
}

const START_SLOTS = 1_024;
/** In a column of texts: the event has no such text. */
export const NO_TEXT = -1;

/**
 * The events that some window may still look at, in columns: numbers in typed arrays, texts counted in a dictionary. Objects would take several times that, and a
 * garbage collector would walk them all. Only the fields that the plan names are kept.
 */
export class EventTable {
  readonly dictionary = new Dictionary();
  ts = new Float64Array(START_SLOTS);
  readonly ids: EventId[] = [];
  partition = new Int32Array(START_SLOTS);
  offset = new Float64Array(START_SLOTS);
  /** How many key histories hold the event. */
  #holders = new Uint8Array(START_SLOTS);
  readonly #texts: Map<FieldName, Int32Array>;
  readonly #numbers: Map<FieldName, Float64Array>;
  readonly #free: Slot[] = [];
  readonly #slots = new Map<EventId, Slot>();

  constructor(plan: Pick<FeatureSetPlan, 'textFields' | 'numberFields'>) {
    this.#texts = new Map(plan.textFields.map((field) => [field, new Int32Array(START_SLOTS)]));
    this.#numbers = new Map(plan.numberFields.map((field) => [field, new Float64Array(START_SLOTS)]));
  }

  get size(): number {
    return this.#slots.size;
  }

  slotOf(id: EventId): Slot | undefined {
    return this.#slots.get(id);
  }

  add(event: FeatureEvent, holders: number): Slot {
    const slot = this.#free.pop() ?? this.ids.length;
    if (slot >= this.ts.length) this.#grow();
    this.ids[slot] = event.eventId;
    this.ts[slot] = event.ts;
    this.partition[slot] = event.partition;
    this.offset[slot] = event.offset;
    this.#holders[slot] = holders;
    for (const [field, column] of this.#texts) {
      const text = event.payload[field];
      column[slot] = typeof text === 'string' ? this.dictionary.hold(text) : NO_TEXT;
    }
    for (const [field, column] of this.#numbers) {
      const number = event.payload[field];
      column[slot] = Number.isSafeInteger(number) ? (number as number) : Number.NaN;
    }
    this.#slots.set(event.eventId, slot);
    return slot;
  }

  /** One history lets go of the event. @returns whether it was the last, and the event is gone */
  release(slot: Slot): boolean {
    const left = (this.#holders[slot] ?? 0) - 1;
    this.#holders[slot] = left;
    if (left > 0) return false;
    for (const column of this.#texts.values()) {
      const text = column[slot] ?? NO_TEXT;
      if (text !== NO_TEXT) this.dictionary.release(text);
    }
    this.#slots.delete(this.idOf(slot));
    this.ids[slot] = '' as EventId;
    this.#free.push(slot);
    return true;
  }

  /** @param history names what holds it */
  held(slot: Slot, history: string): HeldEvent {
    return {
      ts: this.tsOf(slot),
      partition: this.partition[slot] ?? 0,
      offset: this.offset[slot] ?? 0,
      row: () => [history, ...this.#rowOf(slot)],
    };
  }

  #rowOf(slot: Slot): readonly (string | number | null)[] {
    const place = [this.idOf(slot), this.tsOf(slot), this.partition[slot] ?? 0, this.offset[slot] ?? 0];
    const texts = [...this.#texts.values()].map((column) => {
      const text = column[slot] ?? NO_TEXT;
      return text === NO_TEXT ? null : this.dictionary.textOf(text);
    });
    const numbers = [...this.#numbers.values()].map((column) => {
      const number = column[slot] ?? Number.NaN;
      return Number.isNaN(number) ? null : number;
    });
    return [...place, ...texts, ...numbers];
  }

  tsOf(slot: Slot): number {
    return this.ts[slot] ?? Number.NaN;
  }

  idOf(slot: Slot): EventId {
    return this.ids[slot] ?? ('' as EventId);
  }

  /** The dictionary's number of a text; NO_TEXT when the event has none. */
  textOf(slot: Slot, field: FieldName): number {
    return this.#texts.get(field)?.[slot] ?? NO_TEXT;
  }

  /** NaN when the event has no such number. */
  numberOf(slot: Slot, field: FieldName): number {
    return this.#numbers.get(field)?.[slot] ?? Number.NaN;
  }

  /** The order of events (`compareEvents`): by time, then by id. */
  isBefore(slot: Slot, ts: number, id: string): boolean {
    const own = this.tsOf(slot);
    return own === ts ? this.idOf(slot) < id : own < ts;
  }

  #grow(): void {
    const length = this.ts.length * 2;
    this.ts = widened(this.ts, new Float64Array(length));
    this.partition = widened(this.partition, new Int32Array(length));
    this.offset = widened(this.offset, new Float64Array(length));
    this.#holders = widened(this.#holders, new Uint8Array(length));
    for (const [field, column] of this.#texts) this.#texts.set(field, widened(column, new Int32Array(length)));
    for (const [field, column] of this.#numbers) this.#numbers.set(field, widened(column, new Float64Array(length)));
  }
}

function widened<Column extends { set(from: Column): void }>(from: Column, to: Column): Column {
  to.set(from);
  return to;
}
