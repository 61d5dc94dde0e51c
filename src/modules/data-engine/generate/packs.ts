import { type JsonObject } from '../../../rails/canonical-json.js';
import { type Pack } from './pack.core.js';

const SEASONS: Pack['seasons'] = {
  weekdays: [0.93, 0.93, 0.96, 1, 1.14, 1.16, 0.88],
  months: [0.93, 0.93, 0.97, 0.98, 1, 1, 1.01, 0.98, 0.98, 1, 1.06, 1.16],
  holidays: [
    { month_day: '01-01', factor: 0.55 },
    { month_day: '05-01', factor: 0.75 },
    { month_day: '12-23', factor: 1.45 },
    { month_day: '12-24', factor: 1.1 },
    { month_day: '12-25', factor: 0.45 },
    { month_day: '12-26', factor: 0.6 },
    { month_day: '12-31', factor: 1.2 },
  ],
};

const DELAYS: Pack['labels']['delays'] = {
  large_amount: { median_days: 3, sigma: 0.9, days_max: 60 },
  compromised_terminal: { median_days: 12, sigma: 0.7, days_max: 90 },
  stolen_card: { median_days: 6, sigma: 0.8, days_max: 90 },
  card_testing: { median_days: 9, sigma: 0.9, days_max: 90 },
  account_takeover: { median_days: 1.5, sigma: 0.9, days_max: 30 },
  ring: { median_days: 25, sigma: 0.6, days_max: 120 },
  legitimate: { median_days: 2, sigma: 0.8, days_max: 45 },
};

const SMALL: Pack = {
  format: 1,
  window: { start_date: '2025-03-01', days: 30 },
  geography: {
    countries: [
      { country: 'DE', share: 5 },
      { country: 'FR', share: 3 },
      { country: 'GB', share: 2 },
      { country: 'PL', share: 1 },
    ],
    cities_per_country: 3,
  },
  customers: {
    count: 500,
    joining_share: 0.12,
    transactions_per_day: 1.38,
    activity_sigma: 0.6,
    income_sigma: 0.35,
    household_share: 0.3,
    second_card_share: 0.25,
    online_factor: 1,
    foreign_online_share: 0.18,
    vpn_share: 0.04,
    trips_per_year: 2.5,
    trip_days_max: 10,
    subscriptions_max: 3,
  },
  merchants: { count: 600, terminals_max: 8 },
  mix: { transfer_share: 0.06, top_up_share: 0.015, refund_share: 0.012, verification_share: 0.02 },
  seasons: SEASONS,
  cards: { replacement_share: 0.9, replacement_days: 2 },
  labels: {
    missing_share: 0.08,
    dismissed_share: 0.02,
    false_claim_share: 0.0008,
    confirmed_share: 0.02,
    delays: DELAYS,
  },
  fraud: {
    large_amount: {
      enabled: true,
      starts_per_1000_customers_day: 1.4,
      amount_factor_min: 4,
      amount_factor_max: 15,
    },
    compromised_terminal: {
      enabled: true,
      starts_per_1000_terminals_day: 0.25,
      days_min: 7,
      days_max: 14,
      affected_share: 0.7,
      amount_factor: 1,
      magstripe_share: 0.3,
    },
    stolen_card: {
      enabled: true,
      starts_per_1000_customers_day: 0.6,
      days_min: 2,
      days_max: 8,
      transactions_per_day: 1.2,
      amount_factor_min: 1.5,
      amount_factor_max: 5,
    },
    card_testing: {
      enabled: true,
      starts_per_1000_customers_day: 0.17,
      cards_min: 10,
      cards_max: 25,
      minutes_max: 60,
      zero_amount_share: 0.3,
      amount_max_cents: 200,
    },
    account_takeover: {
      enabled: true,
      starts_per_1000_customers_day: 0.35,
      hours_max: 20,
      transfers_min: 3,
      transfers_max: 8,
      amount_factor_min: 2,
      amount_factor_max: 8,
    },
    ring: {
      enabled: true,
      starts_per_1000_customers_day: 0.2,
      members_min: 4,
      members_max: 8,
      synthetic_share: 0.6,
      build_up_days_min: 7,
      build_up_days_max: 14,
      build_up_transactions_per_day: 0.5,
      shared_devices: 2,
      shared_addresses: 1,
      mule_accounts: 2,
      cash_out_hours_max: 36,
      cash_out_transactions_min: 3,
      cash_out_transactions_max: 6,
      cash_out_amount_factor: 5,
    },
  },
};

/** `small` over longer and with more people, and fraud as rare as it is in the books of a bank. */
const MEDIUM: Pack = {
  ...SMALL,
  window: { start_date: '2025-01-01', days: 90 },
  geography: {
    countries: [
      { country: 'DE', share: 5 },
      { country: 'FR', share: 3 },
      { country: 'GB', share: 3 },
      { country: 'ES', share: 2 },
      { country: 'IT', share: 2 },
      { country: 'NL', share: 1.5 },
      { country: 'PL', share: 1.5 },
      { country: 'CH', share: 1 },
      { country: 'SE', share: 1 },
      { country: 'US', share: 2 },
      { country: 'JP', share: 0.5 },
      { country: 'TR', share: 0.5 },
    ],
    cities_per_country: 6,
  },
  customers: { ...SMALL.customers, count: 8_600 },
  merchants: { count: 6_000, terminals_max: 12 },
  fraud: {
    large_amount: { ...SMALL.fraud.large_amount, starts_per_1000_customers_day: 0.6 },
    compromised_terminal: {
      ...SMALL.fraud.compromised_terminal,
      starts_per_1000_terminals_day: 0.08,
      days_min: 7,
      days_max: 28,
    },
    stolen_card: { ...SMALL.fraud.stolen_card, starts_per_1000_customers_day: 0.25, days_max: 12 },
    card_testing: {
      ...SMALL.fraud.card_testing,
      starts_per_1000_customers_day: 0.012,
      cards_min: 20,
      cards_max: 120,
      minutes_max: 180,
    },
    account_takeover: { ...SMALL.fraud.account_takeover, starts_per_1000_customers_day: 0.1 },
    ring: {
      ...SMALL.fraud.ring,
      starts_per_1000_customers_day: 0.01,
      members_min: 5,
      members_max: 16,
      build_up_days_min: 14,
      build_up_days_max: 45,
      shared_devices: 3,
      shared_addresses: 2,
      mule_accounts: 3,
    },
  },
};

/**
 * As large and as fraudulent as the simulation of the "Fraud Detection Handbook" (Le Borgne et al.): 5,000 customers, 10,000
 * terminals, 183 days from April 2018, 9,600 payments a day; 2 terminals a day compromised for 28 days, every payment there
 * a fraud; 3 customers a day robbed for 14 days, a third of their payments 5 times as high; some 5 very high payments a day.
 * Its three scenarios only, and labels without gaps that come 7 days later.
 */
const HANDBOOK_DELAY = { median_days: 7, sigma: 0, days_max: 7 };
const HANDBOOK_LIKE: Pack = {
  ...MEDIUM,
  window: { start_date: '2018-04-01', days: 183 },
  geography: { countries: [{ country: 'BE', share: 1 }], cities_per_country: 1 },
  customers: {
    ...SMALL.customers,
    count: 5_000,
    joining_share: 0,
    transactions_per_day: 1.92,
    trips_per_year: 0,
    subscriptions_max: 0,
  },
  merchants: { count: 10_000, terminals_max: 1 },
  mix: { transfer_share: 0, top_up_share: 0, refund_share: 0, verification_share: 0 },
  seasons: { weekdays: [1, 1, 1, 1, 1, 1, 1], months: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], holidays: [] },
  cards: { replacement_share: 0, replacement_days: 0 },
  labels: {
    missing_share: 0,
    dismissed_share: 0,
    false_claim_share: 0,
    confirmed_share: 0,
    delays: {
      large_amount: HANDBOOK_DELAY,
      compromised_terminal: HANDBOOK_DELAY,
      stolen_card: HANDBOOK_DELAY,
      card_testing: HANDBOOK_DELAY,
      account_takeover: HANDBOOK_DELAY,
      ring: HANDBOOK_DELAY,
      legitimate: HANDBOOK_DELAY,
    },
  },
  fraud: {
    large_amount: { ...SMALL.fraud.large_amount, starts_per_1000_customers_day: 1.07 },
    compromised_terminal: {
      enabled: true,
      starts_per_1000_terminals_day: 0.29,
      days_min: 28,
      days_max: 28,
      affected_share: 1,
      amount_factor: 1,
      magstripe_share: 0,
    },
    stolen_card: {
      enabled: true,
      starts_per_1000_customers_day: 0.6,
      days_min: 14,
      days_max: 14,
      transactions_per_day: 0.64,
      amount_factor_min: 5,
      amount_factor_max: 5,
    },
    card_testing: { ...SMALL.fraud.card_testing, enabled: false },
    account_takeover: { ...SMALL.fraud.account_takeover, enabled: false },
    ring: { ...SMALL.fraud.ring, enabled: false },
  },
};

/** `medium` with ten times the people. */
const LARGE: Pack = {
  ...MEDIUM,
  customers: { ...MEDIUM.customers, count: 86_000 },
  merchants: { count: 40_000, terminals_max: 16 },
};

/** Worlds that are ready to be made. A world of another size takes one of these and changes its numbers. */
export const PACKS: Readonly<Record<string, { readonly title: string; readonly parameters: JsonObject }>> = {
  small: { title: 'About 20,000 payments of 500 customers in 30 days; every kind of fraud', parameters: SMALL },
  medium: { title: 'About 1,000,000 payments of 8,600 customers in 90 days', parameters: MEDIUM },
  handbook_like: {
    title: 'About 1,750,000 payments with the three fraud scenarios of the Fraud Detection Handbook',
    parameters: HANDBOOK_LIKE,
  },
  large: { title: 'About 10,000,000 payments of 86,000 customers in 90 days', parameters: LARGE },
};
