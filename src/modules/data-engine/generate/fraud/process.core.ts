import { type JsonObject } from '../../../../rails/canonical-json.js';
import { type UtcMicros } from '../../../../rails/time.js';
import { DAY_MS } from '../calendar.core.js';
import { type DayPlan } from '../day-plan.core.js';
import { type Traits } from '../customers.core.js';
import { type Habits, type WorldParts } from '../habits.core.js';
import { OUTSIDE } from '../names.core.js';
import { FRAUD_KINDS, type FraudKind } from '../pack.core.js';
import { type Draft } from '../payload.core.js';
import { type Random, STREAM } from '../random.core.js';
import { ProcessRecord } from './record.core.js';

/** What a process of fraud works with. */
export interface FraudParts extends WorldParts {
  readonly habits: Habits;
  readonly random: Random;
  readonly fixed: Random;
}

/** One process that happens: who, from when, with which payments. `State` is what its kind keeps beside that. */
export interface Instance<State> {
  readonly kind: FraudKind;
  readonly ordinal: number;
  readonly state: State;
  /** Milliseconds from the beginning of the window, rising; the step of a payment is its place here. */
  readonly times: Float64Array;
  next: number;
  /** Ends with this day even when no payment is left. */
  readonly lastDay: number;
  readonly record: ProcessRecord;
}

/** What `open` gives: everything about a process but its place in the schedule. */
export interface Opening<State> {
  readonly state: State;
  readonly times: readonly number[];
  /** For processes whose payments are not planned but happen to others' payments. */
  readonly lastDay?: number;
}

/** What a payment is within its process. Build-up is no fraud: nobody loses money by it. */
export type Phase = 'fraud' | 'build_up';

/** Starts are drawn by blocks of this many days, so that only one block's are ever in memory. */
const BLOCK_DAYS = 28;
const TRIES = 64;

/**
 * A kind of fraud: when its processes start, which are active, what each of them pays. A process draws from streams named
 * by its kind and ordinal, never from those of customers: switched off, it leaves everybody else's payments as they were.
 */
export abstract class FraudProcess<State> {
  readonly kind: FraudKind;
  /** From 1, in the order of the kinds; 0 are the customers themselves. */
  readonly number: number;
  protected readonly parts: FraudParts;
  /** Starts per day in the mean. */
  readonly #rate: number;
  readonly #phase: number;
  #active: Instance<State>[] = [];
  #block = -1;
  #starts = new Map<number, number[]>();

  constructor(kind: FraudKind, parts: FraudParts, rate: number) {
    this.kind = kind;
    this.number = FRAUD_KINDS.indexOf(kind) + 1;
    this.parts = parts;
    this.#rate = rate;
    this.#phase = parts.fixed.share(STREAM.schedule, this.number, 0);
  }

  /** A process that starts on this day, or undefined where nobody is there to be its victim. Draws from `random`. */
  protected abstract open(random: Random, ordinal: number, day: number): Opening<State> | undefined;

  /** Fills the draft of a step that was planned. */
  abstract fill(instance: Instance<State>, step: number, draft: Draft, traits: Traits, day: number): Phase;

  /** Whether the process can go on: a replaced card ends what was done with it. */
  protected goesOn(_instance: Instance<State>): boolean {
    return true;
  }

  /** When a process has ended, and at the window's end for those that have not. */
  protected ended(_instance: Instance<State>): void {
    // Most kinds keep nothing beside the instance.
  }

  /** Further truth of a kind about a process that has ended: the rings. */
  truthOf(_instance: Instance<State>, _time: (ms: number) => UtcMicros): JsonObject | undefined {
    return undefined;
  }

  active(place: number): Instance<State> | undefined {
    return this.#active[place];
  }

  /** Opens what starts today and plans today's payments. Gives the processes that ended before today. */
  begin(day: number, plan: DayPlan): readonly Instance<State>[] {
    const ended = this.#end((each) => each.lastDay < day || !this.goesOn(each));
    for (const ordinal of this.#startsOf(day)) {
      const random = this.parts.random.at(STREAM.victim, this.number, ordinal);
      const opening = this.open(random, ordinal, day);
      if (opening !== undefined) this.#active.push(this.#instance(ordinal, day, opening));
    }
    const behind = (day + 1) * DAY_MS;
    for (const [place, instance] of this.#active.entries()) {
      for (; (instance.times[instance.next] ?? behind) < behind; instance.next += 1) {
        const ms = (instance.times[instance.next] ?? 0) - day * DAY_MS;
        plan.add(ms, this.number, place, instance.next, 0);
      }
    }
    return ended;
  }

  /** Ends whatever is still going on: the window is over. */
  finish(): readonly Instance<State>[] {
    return this.#end(() => true);
  }

  /** Draws for one step, whatever the others draw. */
  protected rowRandom(instance: Instance<State>, step: number): Random {
    return this.parts.random.at(STREAM.fraudRow, this.thing(instance.ordinal, 0), step);
  }

  /** The identity of a planned payment; no customer's own payment has the topmost bit. */
  protected identify(draft: Draft, instance: Instance<State>, step: number): void {
    draft.high = OUTSIDE | (this.number << 28) | instance.ordinal;
    draft.low = step;
  }

  /** Number of a thing (0 to 15) that a process brings with it: a device, an address. */
  protected thing(ordinal: number, index: number): number {
    return (OUTSIDE | (this.number << 27) | (ordinal * 16 + index)) >>> 0;
  }

  /** Somebody who is a customer that day, or -1. */
  protected victim(random: Random, day: number): number {
    const { customers } = this.parts;
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const customer = random.below(customers.count);
      if (customers.isThere(customer, day)) return customer;
    }
    return -1;
  }

  #instance(ordinal: number, day: number, { state, times, lastDay }: Opening<State>): Instance<State> {
    const sorted = Float64Array.from(times).sort();
    const last = sorted[sorted.length - 1] ?? day * DAY_MS;
    return {
      kind: this.kind,
      ordinal,
      state,
      times: sorted,
      next: 0,
      lastDay: lastDay ?? Math.floor(last / DAY_MS),
      record: new ProcessRecord(),
    };
  }

  #end(isOver: (instance: Instance<State>) => boolean): readonly Instance<State>[] {
    const over = this.#active.filter(isOver);
    if (over.length === 0) return over;
    this.#active = this.#active.filter((instance) => !over.includes(instance));
    for (const instance of over) this.ended(instance);
    return over;
  }

  #startsOf(day: number): readonly number[] {
    const block = Math.floor(day / BLOCK_DAYS);
    if (block !== this.#block) this.#draw(block);
    return this.#starts.get(day) ?? [];
  }

  /**
   * The mean number of starts up to a day, plus a phase, rounded down: the number is never more than one away from the
   * rate, however short the window. The days within a block are drawn.
   */
  #draw(block: number): void {
    const { days } = this.parts.pack.window;
    const first = block * BLOCK_DAYS;
    const behind = Math.min(first + BLOCK_DAYS, days);
    this.#block = block;
    this.#starts = new Map();
    const until = Math.floor(this.#rate * behind + this.#phase);
    for (let ordinal = Math.floor(this.#rate * first + this.#phase); ordinal < until; ordinal += 1) {
      const share = this.parts.fixed.share(STREAM.schedule, this.number, ordinal + 1);
      const day = first + Math.floor(share * (behind - first));
      const starts = this.#starts.get(day);
      if (starts === undefined) this.#starts.set(day, [ordinal]);
      else starts.push(ordinal);
    }
  }
}

/** What a pack says to be between two numbers, drawn evenly. */
export const within = (random: Random, low: number, high: number): number => low + (high - low) * random.unit();
