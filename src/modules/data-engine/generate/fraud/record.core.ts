import { type JsonObject } from '../../../../rails/canonical-json.js';
import { type UtcMicros } from '../../../../rails/time.js';

/** Payload members that name what a process touched, and how the truth calls their lists. */
const ENTITIES: readonly (readonly [member: string, list: string])[] = [
  ['account_id', 'account_ids'],
  ['beneficiary_account_id', 'beneficiary_account_ids'],
  ['billing_address_id', 'billing_address_ids'],
  ['card_id', 'card_ids'],
  ['customer_id', 'customer_ids'],
  ['device_id', 'device_ids'],
  ['ip_address', 'ip_addresses'],
  ['merchant_id', 'merchant_ids'],
  ['phone_hash', 'phone_hashes'],
  ['shipping_address_id', 'shipping_address_ids'],
  ['terminal_id', 'terminal_ids'],
];
/** A busy terminal sees more cards than a row should list; the payments themselves are all listed, each in its own row. */
const ENTITIES_MAX = 500;

/** What a process did, gathered from the rows as they were written. */
export class ProcessRecord {
  transactions = 0;
  fraudTransactions = 0;
  firstMs = 0;
  lastMs = 0;
  #complete = true;
  readonly #entities = ENTITIES.map(() => new Set<string>());

  note(payload: JsonObject, ms: number, isFraud: boolean): void {
    if (this.transactions === 0) this.firstMs = ms;
    this.lastMs = ms;
    this.transactions += 1;
    if (isFraud) this.fraudTransactions += 1;
    for (const [index, [member]] of ENTITIES.entries()) {
      const value = payload[member];
      const set = this.#entities[index];
      if (typeof value !== 'string' || set === undefined || set.has(value)) continue;
      if (set.size < ENTITIES_MAX) set.add(value);
      else this.#complete = false;
    }
  }

  fields(processId: string, kind: string, time: (ms: number) => UtcMicros): JsonObject {
    const lists = ENTITIES.map(([, list], index) => [list, Array.from(this.#entities[index] ?? []).sort()] as const);
    return {
      ...Object.fromEntries(lists.filter(([, ids]) => ids.length > 0)),
      ended_at_utc: time(this.lastMs),
      entities_complete: this.#complete,
      fraud_transactions: this.fraudTransactions,
      kind,
      process_id: processId,
      started_at_utc: time(this.firstMs),
      transactions: this.transactions,
    };
  }
}
