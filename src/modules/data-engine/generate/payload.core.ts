import { type JsonObject } from '../../../rails/canonical-json.js';
import { CATEGORIES } from './categories.js';
import { type Merchants } from './merchants.core.js';
import { type Names } from './names.core.js';
import { type Places } from './places.core.js';

/**
 * A payment as numbers, before it has names. Legitimate and fraudulent payments go through one draft and one writer, so
 * that they cannot differ in the members that they have or in how these are written.
 */
export interface Draft {
  /** In a shop or at a cash machine; on a page or in an app; on the merchant's own account; without a merchant. */
  form: 'shop' | 'page' | 'standing' | 'account';
  /** The two words of its identity, unique in the world. */
  high: number;
  low: number;
  customer: number;
  account: number;
  card: number;
  /** 0 or 1: which of the customer's cards; for replacements. */
  cardSlot: number;
  amount: number;
  currency: string;
  type: 'purchase' | 'refund' | 'cash_withdrawal' | 'transfer' | 'top_up' | 'verification';
  channel: 'card_present' | 'ecommerce' | 'mobile_app' | 'moto' | 'atm' | 'recurring';
  entry: 'chip' | 'contactless' | 'magstripe' | 'manual' | 'credential_on_file' | 'three_ds';
  merchant: number;
  terminal: number;
  /** City of an account payment's bank; of others the merchant says it. */
  place: number;
  beneficiary: number;
  device: number;
  ip: string;
  email: number;
  phone: number;
  billing: number;
  /** -1: nothing is delivered. */
  shipping: number;
}

export const emptyDraft = (): Draft => ({
  form: 'shop',
  high: 0,
  low: 0,
  customer: 0,
  account: 0,
  card: 0,
  cardSlot: 0,
  amount: 0,
  currency: 'EUR',
  type: 'purchase',
  channel: 'card_present',
  entry: 'chip',
  merchant: 0,
  terminal: 0,
  place: 0,
  beneficiary: 0,
  device: 0,
  ip: '',
  email: 0,
  phone: 0,
  billing: 0,
  shipping: -1,
});

/** Writes drafts as payloads of `transaction` v1: few shapes, members in alphabetical order, so that writing them is cheap. */
export class PayloadWriter {
  readonly #names: Names;
  readonly #merchants: Merchants;
  readonly #places: Places;

  constructor(names: Names, merchants: Merchants, places: Places) {
    this.#names = names;
    this.#merchants = merchants;
    this.#places = places;
  }

  write(draft: Draft, transactionId: string): JsonObject {
    switch (draft.form) {
      case 'shop':
        return this.#shop(draft, transactionId);
      case 'page':
        return draft.shipping < 0 ? this.#page(draft, transactionId) : this.#delivered(draft, transactionId);
      case 'standing':
        return this.#standing(draft, transactionId);
      case 'account':
        return this.#account(draft, transactionId);
    }
  }

  #shop(draft: Draft, transactionId: string): JsonObject {
    const { merchant } = draft;
    const place = this.#places.at(this.#merchants.place(merchant));
    return {
      account_id: this.#names.of('account', draft.account),
      amount_minor: draft.amount,
      card_id: this.#names.of('card', draft.card),
      channel: draft.channel,
      city: place.name,
      country: place.country,
      currency: draft.currency,
      customer_id: this.#names.of('customer', draft.customer),
      entry_mode: draft.entry,
      latitude_e6: this.#merchants.latitudeE6(merchant),
      longitude_e6: this.#merchants.longitudeE6(merchant),
      mcc: mccOf(this.#merchants.category(merchant)),
      merchant_id: this.#names.of('merchant', merchant),
      terminal_id: this.#names.of('terminal', draft.terminal),
      transaction_id: transactionId,
      transaction_type: draft.type,
    };
  }

  #page(draft: Draft, transactionId: string): JsonObject {
    const { merchant } = draft;
    const place = this.#places.at(this.#merchants.place(merchant));
    return {
      account_id: this.#names.of('account', draft.account),
      amount_minor: draft.amount,
      billing_address_id: this.#names.of('address', draft.billing),
      card_id: this.#names.of('card', draft.card),
      channel: draft.channel,
      city: place.name,
      country: place.country,
      currency: draft.currency,
      customer_id: this.#names.of('customer', draft.customer),
      device_id: this.#names.of('device', draft.device),
      email_hash: this.#names.of('email', draft.email),
      entry_mode: draft.entry,
      ip_address: draft.ip,
      mcc: mccOf(this.#merchants.category(merchant)),
      merchant_id: this.#names.of('merchant', merchant),
      phone_hash: this.#names.of('phone', draft.phone),
      terminal_id: this.#names.of('terminal', draft.terminal),
      transaction_id: transactionId,
      transaction_type: draft.type,
    };
  }

  #delivered(draft: Draft, transactionId: string): JsonObject {
    const { merchant } = draft;
    const place = this.#places.at(this.#merchants.place(merchant));
    return {
      account_id: this.#names.of('account', draft.account),
      amount_minor: draft.amount,
      billing_address_id: this.#names.of('address', draft.billing),
      card_id: this.#names.of('card', draft.card),
      channel: draft.channel,
      city: place.name,
      country: place.country,
      currency: draft.currency,
      customer_id: this.#names.of('customer', draft.customer),
      device_id: this.#names.of('device', draft.device),
      email_hash: this.#names.of('email', draft.email),
      entry_mode: draft.entry,
      ip_address: draft.ip,
      mcc: mccOf(this.#merchants.category(merchant)),
      merchant_id: this.#names.of('merchant', merchant),
      phone_hash: this.#names.of('phone', draft.phone),
      shipping_address_id: this.#names.of('address', draft.shipping),
      terminal_id: this.#names.of('terminal', draft.terminal),
      transaction_id: transactionId,
      transaction_type: draft.type,
    };
  }

  #standing(draft: Draft, transactionId: string): JsonObject {
    const { merchant } = draft;
    const place = this.#places.at(this.#merchants.place(merchant));
    return {
      account_id: this.#names.of('account', draft.account),
      amount_minor: draft.amount,
      billing_address_id: this.#names.of('address', draft.billing),
      card_id: this.#names.of('card', draft.card),
      channel: draft.channel,
      city: place.name,
      country: place.country,
      currency: draft.currency,
      customer_id: this.#names.of('customer', draft.customer),
      entry_mode: draft.entry,
      mcc: mccOf(this.#merchants.category(merchant)),
      merchant_id: this.#names.of('merchant', merchant),
      terminal_id: this.#names.of('terminal', draft.terminal),
      transaction_id: transactionId,
      transaction_type: draft.type,
    };
  }

  #account(draft: Draft, transactionId: string): JsonObject {
    return {
      account_id: this.#names.of('account', draft.account),
      amount_minor: draft.amount,
      beneficiary_account_id: this.#names.of('account', draft.beneficiary),
      billing_address_id: this.#names.of('address', draft.billing),
      channel: draft.channel,
      country: this.#places.at(draft.place).country,
      currency: draft.currency,
      customer_id: this.#names.of('customer', draft.customer),
      device_id: this.#names.of('device', draft.device),
      email_hash: this.#names.of('email', draft.email),
      ip_address: draft.ip,
      phone_hash: this.#names.of('phone', draft.phone),
      transaction_id: transactionId,
      transaction_type: draft.type,
    };
  }
}

const mccOf = (category: number): string => CATEGORIES[category]?.mcc ?? '0000';
