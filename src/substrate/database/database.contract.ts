import { afterAll, beforeAll, describe } from '@jest/globals';
import { entityCases } from './contract/entity.cases.js';
import { CASE_LIMIT_MS, type DatabaseHarness } from './contract/kit.js';
import { migrationCases } from './contract/migration.cases.js';
import { outageCases } from './contract/outage.cases.js';
import { rightsCases } from './contract/rights.cases.js';
import { sessionCases } from './contract/session.cases.js';
import { transactionCases } from './contract/transaction.cases.js';
import { valueCases } from './contract/value.cases.js';

export { type DatabaseHarness, type FreshDatabase } from './contract/kit.js';

/**
 * What every Postgres must show that the platform stands on, whoever started it. The same cases run on every adapter, so
 * their count is the same. The last group kills the server; the others share it undisturbed.
 */
export function databaseContract(name: string, openHarness: () => Promise<DatabaseHarness>): void {
  describe(`database contract: ${name}`, () => {
    let opened: DatabaseHarness | undefined;
    const harness = (): DatabaseHarness => {
      if (opened === undefined) throw new Error('the harness did not open');
      return opened;
    };
    beforeAll(async () => {
      opened = await openHarness();
    }, CASE_LIMIT_MS);
    afterAll(async () => {
      await opened?.close();
    }, CASE_LIMIT_MS);

    transactionCases(harness);
    valueCases(harness);
    rightsCases(harness);
    migrationCases(harness);
    sessionCases(harness);
    entityCases(harness);
    outageCases(harness);
  });
}
