import { type UtcMicros } from '../../../rails/time.js';
import { type UnsealedRow, type UnsealedTruth } from '../world-source.js';
import { Calendar, type Day, DAY_MS } from './calendar.core.js';
import { Cards } from './cards.core.js';
import { CATEGORIES, type HourProfile } from './categories.js';
import { Customers, emptyTraits } from './customers.core.js';
import { DayPlan, Hours } from './day-plan.core.js';
import { Normal, poisson } from './exact-math.core.js';
import { AccountTakeover, Ring } from './fraud/account-fraud.core.js';
import { CardTesting, LargeAmount, StolenCard } from './fraud/card-fraud.core.js';
import { CompromisedTerminal } from './fraud/compromised-terminal.core.js';
import { type FraudParts, type FraudProcess, type Instance, type Phase } from './fraud/process.core.js';
import { Habits } from './habits.core.js';
import { Labels } from './labels.core.js';
import { Merchants } from './merchants.core.js';
import { Names } from './names.core.js';
import { type FraudKind, type Pack } from './pack.core.js';
import { emptyDraft, PayloadWriter } from './payload.core.js';
import { Places } from './places.core.js';
import { Random, STREAM } from './random.core.js';

/** Some rows of a world and what is known of them, in the order of time. */
export interface WorldBatch {
  readonly traffic: UnsealedRow[];
  readonly labels: UnsealedTruth[];
  /** Which payments belong to which process: what labels would say if they were complete, right and immediate. */
  readonly fraudTransactions: UnsealedTruth[];
  readonly fraudProcesses: UnsealedTruth[];
  readonly rings: UnsealedTruth[];
}

const emptyBatch = (): WorldBatch => ({
  traffic: [],
  labels: [],
  fraudTransactions: [],
  fraudProcesses: [],
  rings: [],
});

/** Rows of a batch: some milliseconds of work, so that between batches the rest of the program breathes. */
const BATCH_ROWS = 2_000;
/** Where the numbers of subscriptions begin among the payments of a customer's day; payments themselves stop below. */
const SUBSCRIPTION_STEP = 2_048;
/** Days of a window fit below 2^12, payments of a customer's day below 2^12: together the second word of an identity. */
const DAY_SHIFT = 4_096;
const TRANSFER_HOURS: HourProfile = 'home';
/** Hours of a subscription: merchants collect in the morning. */
const COLLECTING_HOURS: HourProfile = 'shop';
const JOURNEY_FACTOR = 1.6;

/**
 * A world of card payments, day by day. A day is planned (who pays when), sorted, and then written payment by payment, each
 * from a random stream of its own. What is kept from day to day grows with customers, merchants and active processes of
 * fraud, not with days.
 *
 * Pure and synchronous: the same seed and pack give the same rows on any machine (law R11).
 */
export class World {
  readonly #pack: Pack;
  readonly #calendar: Calendar;
  readonly #random: Random;
  readonly #fixed: Random;
  readonly #normal = new Normal();
  readonly #hours = new Hours();
  readonly #plan = new DayPlan();
  readonly #places: Places;
  readonly #customers: Customers;
  readonly #cards: Cards;
  readonly #habits: Habits;
  readonly #names: Names;
  readonly #writer: PayloadWriter;
  readonly #labels: Labels;
  readonly #terminals: CompromisedTerminal;
  /** By the number of their kind, from 1. */
  readonly #processes: readonly FraudProcess<unknown>[];
  readonly #draft = emptyDraft();
  readonly #traits = emptyTraits();
  #batch = emptyBatch();

  constructor(seed: string, pack: Pack) {
    this.#pack = pack;
    this.#random = new Random(seed);
    this.#fixed = new Random(seed);
    const fixed = this.#fixed;
    this.#calendar = new Calendar(pack.window.start_date, pack.window.days, pack.seasons);
    this.#places = new Places(pack.geography);
    this.#customers = new Customers(pack, fixed, this.#normal, this.#places);
    this.#cards = new Cards(pack.customers.count);
    const merchants = new Merchants(pack, this.#random, this.#normal, this.#places);
    const [normal, places, customers, cards] = [this.#normal, this.#places, this.#customers, this.#cards];
    const parts = { pack, normal, places, customers, merchants, cards };
    this.#habits = new Habits(parts, fixed);
    this.#names = new Names(fixed);
    this.#writer = new PayloadWriter(this.#names, merchants, places);
    this.#labels = new Labels(pack.labels, new Random(seed), normal);
    const fraud: FraudParts = { ...parts, habits: this.#habits, random: this.#random, fixed };
    this.#terminals = new CompromisedTerminal(fraud);
    this.#processes = [
      new LargeAmount(fraud),
      this.#terminals,
      new StolenCard(fraud),
      new CardTesting(fraud),
      new AccountTakeover(fraud),
      new Ring(fraud, this.#names),
    ] as readonly FraudProcess<unknown>[];
  }

  /** Every row, in batches of about 2,000; to be read once. The number is how many days are behind it. */
  *batches(): Generator<readonly [batch: WorldBatch, days: number]> {
    for (let index = 0; index < this.#calendar.days; index += 1) {
      const day = this.#calendar.day(index);
      this.#planDay(day);
      for (let place = 0; place < this.#plan.size; place += 1) {
        this.#write(place, day);
        if (this.#batch.traffic.length < BATCH_ROWS) continue;
        yield [this.#take(), index];
      }
    }
    for (const process of this.#processes) this.#conclude(process, process.finish());
    yield [this.#take(), this.#calendar.days];
  }

  #take(): WorldBatch {
    const batch = this.#batch;
    this.#batch = emptyBatch();
    return batch;
  }

  #planDay(day: Day): void {
    const plan = this.#plan;
    plan.clear();
    this.#cards.begin(day.index);
    const factor = this.#calendar.factor(day);
    for (let customer = 0; customer < this.#customers.count; customer += 1) {
      if (this.#customers.isThere(customer, day.index)) this.#planCustomer(customer, day, factor);
    }
    for (const process of this.#processes) this.#conclude(process, process.begin(day.index, plan));
    plan.sort();
  }

  #planCustomer(customer: number, day: Day, factor: number): void {
    const customers = this.#customers;
    const trip = customers.trip(customer, day.index);
    const random = this.#random.at(STREAM.day, customer, day.index);
    const mean = customers.rate(customer) * factor * (trip >= 0 ? JOURNEY_FACTOR : 1);
    const count = Math.min(poisson(random, mean), SUBSCRIPTION_STEP - 1);
    const offset = this.#places.at(trip >= 0 ? trip : customers.homePlace(customer)).utcOffsetMinutes;
    for (let step = 0; step < count; step += 1) {
      const purpose = customers.purpose(customers.lifestyle(customer), random.unit());
      const hours = CATEGORIES[purpose]?.hours ?? TRANSFER_HOURS;
      this.#plan.add(this.#hours.ms(hours, random.unit(), random.unit(), offset), 0, customer, step, purpose);
    }
    const subscriptions = customers.subscriptions(customer);
    for (let number = 0; number < subscriptions; number += 1) {
      // No later than the 28th, so that every month has the day.
      if (1 + (this.#fixed.word(STREAM.subscription, customer, number * 8 + 1) % 28) !== day.dayOfMonth) continue;
      const ms = this.#hours.ms(COLLECTING_HOURS, random.unit(), random.unit(), offset);
      this.#plan.add(ms, 0, customer, SUBSCRIPTION_STEP + number, 0);
    }
  }

  #write(place: number, day: Day): void {
    const plan = this.#plan;
    const row = plan.row(place);
    const ms = plan.ms(place);
    const source = plan.source(row);
    const step = plan.step(row);
    if (source === 0) {
      const instance = this.#writeHabit(plan.who(row), step, plan.purpose(row), day);
      this.#emit(day, ms, instance, instance === undefined ? undefined : 'fraud');
      return;
    }
    const process = this.#processes[source - 1];
    const instance = process?.active(plan.who(row));
    if (process === undefined || instance === undefined) throw new RangeError('a planned row has no process');
    const phase = process.fill(instance, step, this.#draft, this.#traits, day.index);
    this.#emit(day, ms, instance, phase);
  }

  /** A customer's own payment; gives the process that made it a fraud on the way, if one did. */
  #writeHabit(customer: number, step: number, purpose: number, day: Day): Instance<unknown> | undefined {
    const draft = this.#draft;
    const second = day.index * DAY_SHIFT + step;
    const traits = this.#customers.describe(customer, this.#traits);
    const random = this.#random.at(STREAM.row, customer, second);
    const trip = this.#customers.trip(customer, day.index);
    if (step >= SUBSCRIPTION_STEP) this.#habits.subscription(draft, random, traits, step - SUBSCRIPTION_STEP);
    else this.#habits.pay(draft, random, traits, purpose, day.index, trip);
    draft.high = customer;
    draft.low = second;
    return this.#terminals.affect(draft);
  }

  #emit(day: Day, msOfDay: number, instance: Instance<unknown> | undefined, phase: Phase | undefined): void {
    const draft = this.#draft;
    const batch = this.#batch;
    const ms = day.index * DAY_MS + msOfDay;
    const ts = this.#calendar.time(day.date, msOfDay);
    const key = this.#names.transaction(draft.high, draft.low);
    const payload = this.#writer.write(draft, key);
    batch.traffic.push({ key, ts_utc: ts, payload });

    const truth = phase === 'fraud' ? instance?.kind : undefined;
    if (instance !== undefined && phase !== undefined) {
      instance.record.note(payload, ms, truth !== undefined);
      const process_id = this.#processId(instance);
      const fields = { is_fraud: truth !== undefined, kind: instance.kind, phase, process_id, transaction_id: key };
      batch.fraudTransactions.push({ key, ts_utc: ts, fields });
    }
    this.#label(key, ts, ms, truth);
  }

  #label(key: string, ts: UtcMicros, ms: number, truth: FraudKind | undefined): void {
    const draft = this.#draft;
    const known = this.#labels.of(draft, ms, truth);
    if (known === undefined) return;
    this.#batch.labels.push({
      key,
      ts_utc: this.#calendar.moment(known.atMs),
      fields: {
        effective_at_utc: ts,
        ...(known.kind === undefined ? {} : { fraud_kind: known.kind }),
        is_fraud: known.isFraud,
        transaction_id: key,
      },
    });
    if (!known.isFraud || draft.form === 'account') return;
    const { replacement_share, replacement_days } = this.#pack.cards;
    if (this.#fixed.share(STREAM.replacement, draft.high, draft.low) >= replacement_share) return;
    const reported = Math.floor(known.atMs / DAY_MS);
    this.#cards.replace(draft.customer, draft.cardSlot, reported + 1 + replacement_days);
  }

  /** Writes down what ended processes did. Those that came to nothing left no trace and are no truth. */
  #conclude(process: FraudProcess<unknown>, ended: readonly Instance<unknown>[]): void {
    const time = (ms: number): UtcMicros => this.#calendar.moment(ms);
    for (const instance of ended) {
      const { record, kind } = instance;
      if (record.transactions === 0) continue;
      const key = this.#processId(instance);
      const ts_utc = time(record.lastMs);
      this.#batch.fraudProcesses.push({ key, ts_utc, fields: record.fields(key, kind, time) });
      const ring = process.truthOf(instance, time);
      if (ring !== undefined) this.#batch.rings.push({ key, ts_utc, fields: { ...ring, process_id: key } });
    }
  }

  #processId({ kind, ordinal }: Instance<unknown>): string {
    const number = this.#processes.find((process) => process.kind === kind)?.number ?? 0;
    return this.#names.of('process', (number << 28) | ordinal);
  }
}
