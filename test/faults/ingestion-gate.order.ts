import { type RunPins } from '../../src/rails/pins.js';
import { type TestDatabaseAddress } from '../support/database.js';
import { type StoreSpec } from '../support/objects-store.js';

/** What a gate in a process of its own is told: as JSON, in the environment, because there are secrets in it. */
export interface GateOrder {
  /** `embedded`: one commit. `apart`: the same log through its producers. Else the topic on Kafka. */
  readonly bus: 'embedded' | 'apart' | { readonly kafkaTopic: string };
  readonly place: TestDatabaseAddress;
  readonly store: StoreSpec;
  readonly run: RunPins;
  /** The first event that is sent, and, where there is an end, the one after the last. */
  readonly from: number;
  readonly until: number | null;
  readonly seed: number;
  /** After so many appends the process is killed between the append and the commit of the ledger. */
  readonly dieAfterAppends: number | null;
}

export const ORDER_VARIABLE = 'PROBITY_TEST_GATE';
