import { type JsonObject } from '../../../../rails/canonical-json.js';
import { type UtcMicros } from '../../../../rails/time.js';
import { CATEGORIES, RESOLD_CATEGORIES } from '../categories.js';
import { DAY_MS, HOUR_MS } from '../calendar.core.js';
import { SYNTHETIC_CUSTOMERS, type Traits } from '../customers.core.js';
import { poisson } from '../exact-math.core.js';
import { accountOutside } from '../habits.core.js';
import { exitAddress, homeAddress, type Names } from '../names.core.js';
import { type Draft } from '../payload.core.js';
import { type Random, STREAM } from '../random.core.js';
import { type FraudParts, FraudProcess, type Instance, type Opening, type Phase, within } from './process.core.js';

/** Somebody else is in the account: new device, new network, new contact, and the money leaves by transfers. */
export class AccountTakeover extends FraudProcess<number> {
  constructor(parts: FraudParts) {
    const { enabled, starts_per_1000_customers_day: rate } = parts.pack.fraud.account_takeover;
    super('account_takeover', parts, enabled ? (rate * parts.customers.count) / 1_000 : 0);
  }

  protected open(random: Random, _ordinal: number, day: number): Opening<number> | undefined {
    const customer = this.victim(random, day);
    if (customer < 0) return undefined;
    const { hours_max, transfers_min, transfers_max } = this.parts.pack.fraud.account_takeover;
    const start = day * DAY_MS + random.below(DAY_MS);
    const length = random.between(1, hours_max) * HOUR_MS;
    const transfers = random.between(transfers_min, transfers_max);
    return { state: customer, times: Array.from({ length: transfers }, () => start + random.below(length)) };
  }

  fill(instance: Instance<number>, step: number, draft: Draft, traits: Traits, day: number): Phase {
    const { customers, habits, pack, fixed } = this.parts;
    const { ordinal, state: customer } = instance;
    const random = this.rowRandom(instance, step);
    customers.describe(customer, traits);
    const { amount_factor_min: low, amount_factor_max: high } = pack.fraud.account_takeover;
    habits.transfer(draft, random, traits, day, -1, within(random, low, high));
    this.identify(draft, instance, step);
    // One or two mules: the first takes most of it.
    draft.beneficiary = accountOutside(fixed.word(STREAM.payee, this.thing(ordinal, random.chance(0.7) ? 0 : 1), 0));
    draft.device = this.thing(ordinal, 0);
    const word = fixed.word(STREAM.network, this.thing(ordinal, 0), 0);
    draft.ip = (word & 1) === 0 ? exitAddress(word >>> 1) : homeAddress(word);
    draft.billing = this.thing(ordinal, 0);
    draft.phone = this.thing(ordinal, 0);
    draft.email = this.thing(ordinal, 0);
    return 'fraud';
  }
}

interface RingState {
  readonly members: Int32Array;
  /** From this moment on they cash out; milliseconds of the window. */
  readonly cashOutMs: number;
  readonly seed: number;
}

/** Members of a ring at most; a made-up customer's number has room for so many. */
const MEMBERS_MAX = 32;

/**
 * A ring: people who do not exist, or who collude, behave for weeks, share devices, addresses, a telephone and the accounts
 * that the money goes to, and then all cash out at once.
 */
export class Ring extends FraudProcess<RingState> {
  readonly #names: Names;

  constructor(parts: FraudParts, names: Names) {
    const { enabled, starts_per_1000_customers_day: rate } = parts.pack.fraud.ring;
    super('ring', parts, enabled ? (rate * parts.customers.count) / 1_000 : 0);
    this.#names = names;
  }

  protected open(random: Random, ordinal: number, day: number): Opening<RingState> | undefined {
    const ring = this.parts.pack.fraud.ring;
    const wanted = random.between(ring.members_min, ring.members_max);
    const members = new Set<number>();
    for (let member = 0; member < wanted; member += 1) {
      const colludes = !random.chance(ring.synthetic_share);
      const customer = colludes ? this.victim(random, day) : -1;
      members.add(customer >= 0 ? customer : SYNTHETIC_CUSTOMERS + ordinal * MEMBERS_MAX + member);
    }
    const buildUp = random.between(ring.build_up_days_min, ring.build_up_days_max) * DAY_MS;
    const start = day * DAY_MS;
    const cashOutMs = start + buildUp + random.below(DAY_MS);
    const length = random.between(1, ring.cash_out_hours_max) * HOUR_MS;
    const times: number[] = [];
    for (const _member of members) {
      const quiet = poisson(random, (ring.build_up_transactions_per_day * buildUp) / DAY_MS);
      for (let each = 0; each < quiet; each += 1) times.push(start + Math.floor(random.unit() * buildUp));
      const loud = random.between(ring.cash_out_transactions_min, ring.cash_out_transactions_max);
      for (let each = 0; each < loud; each += 1) times.push(cashOutMs + random.below(length));
    }
    return { state: { members: Int32Array.from(members), cashOutMs, seed: random.next() }, times };
  }

  fill(instance: Instance<RingState>, step: number, draft: Draft, traits: Traits, day: number): Phase {
    const { customers, habits, pack, fixed } = this.parts;
    const { ordinal, state } = instance;
    const random = this.rowRandom(instance, step);
    const cashesOut = (instance.times[step] ?? 0) >= state.cashOutMs;
    const place = random.below(state.members.length);
    const member = state.members[place] ?? 0;
    customers.describe(member, traits);
    const factor = cashesOut ? pack.fraud.ring.cash_out_amount_factor : 1;
    const transfers = random.chance(cashesOut ? 0.65 : 0.35);
    if (transfers) habits.transfer(draft, random, traits, day, -1, factor);
    else {
      const purpose = customers.purpose(traits.lifestyle, random.unit());
      const resold = RESOLD_CATEGORIES[random.below(RESOLD_CATEGORIES.length)] ?? 0;
      const category = cashesOut || purpose >= CATEGORIES.length ? resold : purpose;
      if (CATEGORIES[category]?.online === 0) habits.visit(draft, random, traits, category, day, -1, factor);
      else habits.order(draft, random, traits, category, day, -1, factor);
    }
    this.identify(draft, instance, step);
    if (transfers) {
      const mule = random.below(pack.fraud.ring.mule_accounts);
      const next = state.members[(place + 1) % state.members.length] ?? member;
      // Until they cash out they only move money around among themselves, so that each looks like a customer with an income.
      draft.beneficiary = cashesOut ? this.#mule(ordinal, mule) : next * 2;
    }
    this.#share(draft, ordinal, random, fixed);
    return cashesOut ? 'fraud' : 'build_up';
  }

  override truthOf({ ordinal, state }: Instance<RingState>, time: (ms: number) => UtcMicros): JsonObject {
    const { shared_devices, shared_addresses, mule_accounts } = this.parts.pack.fraud.ring;
    const list = (count: number, name: (index: number) => string): readonly string[] =>
      Array.from({ length: count }, (_, index) => name(index)).sort();
    const members = Array.from(state.members);
    const customer = (number: number): string => this.#names.of('customer', number);
    return {
      cash_out_at_utc: time(state.cashOutMs),
      member_customer_ids: members.map(customer).sort(),
      mule_account_ids: list(mule_accounts, (index) => this.#names.of('account', this.#mule(ordinal, index))),
      shared_address_ids: list(shared_addresses, (index) => this.#names.of('address', this.thing(ordinal, index))),
      shared_device_ids: list(shared_devices, (index) => this.#names.of('device', this.thing(ordinal, index))),
      shared_phone_hashes: [this.#names.of('phone', this.thing(ordinal, 0))],
      synthetic_customer_ids: members
        .filter((member) => member >= SYNTHETIC_CUSTOMERS)
        .map(customer)
        .sort(),
    };
  }

  #mule(ordinal: number, index: number): number {
    return accountOutside(this.parts.fixed.word(STREAM.payee, this.thing(ordinal, index), 1));
  }

  /** What the members have in common shows in every payment that has it. */
  #share(draft: Draft, ordinal: number, random: Random, fixed: Random): void {
    const { shared_devices, shared_addresses } = this.parts.pack.fraud.ring;
    draft.device = this.thing(ordinal, random.below(shared_devices));
    const address = this.thing(ordinal, random.below(shared_addresses));
    if (draft.shipping === draft.billing) draft.shipping = address;
    draft.billing = address;
    if (random.chance(0.5)) draft.phone = this.thing(ordinal, 0);
    if (random.chance(0.7)) draft.ip = homeAddress(fixed.word(STREAM.network, address, 1));
  }
}
