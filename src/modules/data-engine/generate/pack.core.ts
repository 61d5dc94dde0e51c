import { Type } from '@sinclair/typebox';
import { type JsonObject } from '../../../rails/canonical-json.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { closed, type Sealed } from '../../../rails/schema.js';
import { validatorOf } from '../../../rails/validator.js';
import { dayNumberOf } from './calendar.core.js';
import { COUNTRIES } from './geography.js';

const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });
const count = (minimum: number, maximum: number, description: string) =>
  Type.Integer({ minimum, maximum, description });
const figure = (minimum: number, maximum: number, description: string) =>
  Type.Number({ minimum, maximum, description });

const enabled = Type.Boolean({ description: 'whether the process happens at all' });
const perCustomers = figure(0, 100, 'processes that start per 1,000 customers and day, in the mean');
const cents = (description: string) => count(0, 100_000_000, `${description}, in euro cents`);

const DelaySchema = closed({
  median_days: figure(0, 365, 'median of the time from the payment until it is known, in days'),
  sigma: figure(0, 2, 'standard deviation of its logarithm'),
  days_max: figure(0, 730, 'never later than this, in days'),
});

const FraudSchema = closed({
  large_amount: closed({
    enabled,
    starts_per_1000_customers_day: perCustomers,
    amount_factor_min: figure(1, 1_000, "lowest multiple of the customer's usual amount"),
    amount_factor_max: figure(1, 1_000, 'highest multiple'),
  }),
  compromised_terminal: closed({
    enabled,
    starts_per_1000_terminals_day: figure(0, 100, 'terminals that become compromised per 1,000 and day, in the mean'),
    days_min: count(1, 90, 'shortest time that it stays compromised, in days'),
    days_max: count(1, 90, 'longest time, in days'),
    affected_share: share('share of the payments at the terminal that are fraud'),
    amount_factor: figure(1, 100, 'what the amount of an affected payment is multiplied by'),
    magstripe_share: share('share of the affected payments that are pushed back to the magnetic stripe'),
  }),
  stolen_card: closed({
    enabled,
    starts_per_1000_customers_day: perCustomers,
    days_min: count(1, 90, 'shortest time of use, in days'),
    days_max: count(1, 90, 'longest time of use, in days'),
    transactions_per_day: figure(0, 20, 'fraudulent payments per day of use, in the mean; each card has one at least'),
    amount_factor_min: figure(1, 1_000, "lowest multiple of the customer's usual amount"),
    amount_factor_max: figure(1, 1_000, 'highest multiple'),
  }),
  card_testing: closed({
    enabled,
    starts_per_1000_customers_day: perCustomers,
    cards_min: count(1, 1_000, 'fewest cards of a burst'),
    cards_max: count(1, 1_000, 'most cards of a burst'),
    minutes_max: count(1, 720, 'longest burst, in minutes'),
    zero_amount_share: share('share of the attempts that are verifications of nothing'),
    amount_max_cents: cents('highest amount of the others'),
  }),
  account_takeover: closed({
    enabled,
    starts_per_1000_customers_day: perCustomers,
    hours_max: count(1, 72, 'longest time from the first payment to the last, in hours'),
    transfers_min: count(1, 50, 'fewest payments that drain the account'),
    transfers_max: count(1, 50, 'most payments'),
    amount_factor_min: figure(1, 1_000, "lowest multiple of the customer's usual transfer"),
    amount_factor_max: figure(1, 1_000, 'highest multiple'),
  }),
  ring: closed({
    enabled,
    starts_per_1000_customers_day: perCustomers,
    members_min: count(2, 32, 'fewest members'),
    members_max: count(2, 32, 'most members'),
    synthetic_share: share('share of the members whose identity is made up; the others are customers who collude'),
    build_up_days_min: count(1, 180, 'shortest time before the cash-out, in days'),
    build_up_days_max: count(1, 180, 'longest time, in days'),
    build_up_transactions_per_day: figure(0, 5, 'unsuspicious payments per member and day until then, in the mean'),
    shared_devices: count(1, 8, 'devices that the members share'),
    shared_addresses: count(1, 8, 'billing addresses that they share'),
    mule_accounts: count(1, 8, 'accounts that the money goes to'),
    cash_out_hours_max: count(1, 96, 'longest cash-out, in hours'),
    cash_out_transactions_min: count(1, 20, 'fewest payments of a member in it'),
    cash_out_transactions_max: count(1, 20, 'most payments'),
    cash_out_amount_factor: figure(1, 1_000, "multiple of the member's usual amount"),
  }),
});

/** Kinds of fraud. The order gives each its number, which is part of every world's bytes. */
export const FRAUD_KINDS = [
  'large_amount',
  'compromised_terminal',
  'stolen_card',
  'card_testing',
  'account_takeover',
  'ring',
] as const;
export type FraudKind = (typeof FRAUD_KINDS)[number];

/**
 * The parameter pack of a generated world. Every member is required: what a world was made of must not depend on defaults
 * that a later version may change, since the digest of the pack is the world's `parameter_hash` (law R1).
 */
export const PackSchema = closed(
  {
    format: Type.Literal(1, { description: 'of this pack' }),
    window: closed({
      start_date: Type.String({ pattern: '^20[0-9]{2}-[0-9]{2}-[0-9]{2}$', description: 'first day, in UTC' }),
      days: count(1, 3_650, 'length in days'),
    }),
    geography: closed({
      countries: Type.Array(
        closed({
          country: Type.String({ pattern: '^[A-Z]{2}$', description: 'code of a country of the built-in table' }),
          share: figure(0.0001, 1_000, 'customers and merchants there, in proportion to the other countries'),
        }),
        { minItems: 1, maxItems: 33 },
      ),
      cities_per_country: count(1, 8, 'the largest cities of each country'),
    }),
    customers: closed({
      count: count(10, 2_000_000, 'customers at the end of the window'),
      joining_share: share('share of them who join within the window'),
      transactions_per_day: figure(
        0.01,
        20,
        'payments per customer and day in the mean, subscriptions apart; a single day of a customer ends at 2,047',
      ),
      activity_sigma: figure(0, 1.5, "standard deviation of the logarithm of a customer's own rate"),
      income_sigma: figure(0, 1.5, "standard deviation of the logarithm of a customer's spending power"),
      household_share: share('share of pairs of customers who share address and home network'),
      second_card_share: share('share of customers with two cards'),
      online_factor: figure(0, 3, "multiple of each category's usual online share"),
      foreign_online_share: share('share of online payments to merchants anywhere, not of the own country'),
      vpn_share: share('share of online payments from a shared exit address'),
      trips_per_year: figure(0, 12, 'journeys per customer and year, in the mean'),
      trip_days_max: count(1, 21, 'longest journey, in days'),
      subscriptions_max: count(0, 8, 'most monthly subscriptions of a customer'),
    }),
    merchants: closed({
      count: count(100, 2_000_000, 'merchants'),
      terminals_max: count(1, 32, 'most terminals of a merchant with a shop; small shops are the rule'),
    }),
    mix: closed({
      transfer_share: share('share of payments that are transfers to another account'),
      top_up_share: share("share of payments that fill the customer's own second account"),
      refund_share: share('share of purchases that are refunds'),
      verification_share: share('share of online purchases that verify a card with nothing'),
    }),
    seasons: closed({
      weekdays: Type.Array(figure(0, 5, 'factor of the daily rate'), {
        minItems: 7,
        maxItems: 7,
        description: 'from Monday',
      }),
      months: Type.Array(figure(0, 5, 'factor of the daily rate'), {
        minItems: 12,
        maxItems: 12,
        description: 'from January',
      }),
      holidays: Type.Array(
        closed({
          month_day: Type.String({ pattern: '^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' }),
          factor: figure(0, 5, 'factor of the daily rate'),
        }),
        { maxItems: 60 },
      ),
    }),
    cards: closed({
      replacement_share: share('share of reported fraud after which the card is replaced'),
      replacement_days: count(0, 30, 'days from the report until the new card is in use'),
    }),
    labels: closed({
      missing_share: share('share of fraud that nobody ever reports'),
      dismissed_share: share('share of fraud that is wrongly labelled as legitimate'),
      false_claim_share: share('share of legitimate payments that are wrongly labelled as fraud'),
      confirmed_share: share('share of legitimate payments that are labelled as legitimate'),
      delays: closed({
        large_amount: DelaySchema,
        compromised_terminal: DelaySchema,
        stolen_card: DelaySchema,
        card_testing: DelaySchema,
        account_takeover: DelaySchema,
        ring: DelaySchema,
        legitimate: DelaySchema,
      }),
    }),
    fraud: FraudSchema,
  },
  { description: 'Parameters of a generated world of card and account payments.' },
);
export type Pack = Sealed<typeof PackSchema>;

const validator = validatorOf(PackSchema, 'the parameter pack');

/** @throws ProbityError ENGINE_PARAMETERS_INVALID that names the place as a JSON pointer */
export function packOf(parameters: JsonObject): Pack {
  const verdict = validator.check(parameters);
  if (!verdict.ok) throw refused(verdict.fault.at, verdict.fault.says);
  const pack = verdict.value;

  if (dayNumberOf(pack.window.start_date) === undefined) {
    throw refused('/window/start_date', 'must be a date of the calendar');
  }
  const seen = new Set<string>();
  for (const [index, { country }] of pack.geography.countries.entries()) {
    const at = `/geography/countries/${index}/country`;
    if (!COUNTRIES.some(({ code }) => code === country)) throw refused(at, 'must be a country of the built-in table');
    if (seen.has(country)) throw refused(at, 'must not be named twice');
    seen.add(country);
  }
  demandOrder(pack.fraud, '/fraud');
  const { mix, labels } = pack;
  demandRoom('/mix/top_up_share', mix.transfer_share + mix.top_up_share, 'transfer_share', 0.95);
  demandRoom('/mix/verification_share', mix.refund_share + mix.verification_share, 'refund_share', 1);
  demandRoom('/labels/dismissed_share', labels.missing_share + labels.dismissed_share, 'missing_share', 1);
  demandRoom('/labels/confirmed_share', labels.false_claim_share + labels.confirmed_share, 'false_claim_share', 1);
  return pack;
}

/** Wherever a `…_min` stands beside a `…_max`, it must not be above it. */
function demandOrder(section: JsonObject, at: string): void {
  for (const [name, value] of Object.entries(section)) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      demandOrder(value as JsonObject, `${at}/${name}`);
    }
    if (!name.endsWith('_min')) continue;
    const most = section[`${name.slice(0, -4)}_max`];
    if (typeof value === 'number' && typeof most === 'number' && value > most) {
      throw refused(`${at}/${name}`, `must not be above ${name.slice(0, -4)}_max`);
    }
  }
}

/** Two shares of one whole. */
function demandRoom(at: string, sum: number, other: string, most: number): void {
  if (sum > most) throw refused(at, `must leave room: with ${other} it is more than ${most}`);
}

function refused(at: string, says: string): ProbityError {
  return new ProbityError('ENGINE_PARAMETERS_INVALID', `the parameter pack ${at === '' ? '' : `at ${at} `}${says}`, {
    data: { at },
  });
}
