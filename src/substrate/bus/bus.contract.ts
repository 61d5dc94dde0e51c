import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BusHarness, CASE_LIMIT_MS } from './contract/kit.js';
import { deliveryCases } from './contract/delivery.cases.js';
import { groupCases } from './contract/group.cases.js';
import { logCases } from './contract/log.cases.js';
import { transactionalCases } from './contract/transactional.cases.js';
import { writerAndReaderCases } from './contract/writer.cases.js';

export { type BusHarness, type CuttableBus } from './contract/kit.js';

/**
 * What every bus must show, whatever it stands on. The cases know only the port: they assume gaps between offsets,
 * delivery at least once, and that a rebalance may revoke everything. Only the optional ability adds cases of its own,
 * so the count of the others is the same on every adapter.
 *
 * `openHarness` runs once for the suite; each case uses names of its own. The suite waits for conditions; the few
 * pauses in it only give a wrong bus the chance to err.
 */
export function busContract(name: string, openHarness: () => Promise<BusHarness>): void {
  describe(`bus contract: ${name}`, () => {
    let opened: BusHarness | undefined;
    const harness = () => {
      if (opened === undefined) throw new Error('the harness did not open');
      return opened;
    };

    beforeAll(async () => {
      opened = await openHarness();
    }, CASE_LIMIT_MS);
    afterAll(async () => {
      await opened?.close();
    }, CASE_LIMIT_MS);

    it('says whether it can append within a transaction, and the harness agrees', () => {
      expect(harness().bus.transactional !== undefined).toBe(harness().unitDatabase !== undefined);
      expect(harness().bus.kind.length).toBeGreaterThan(0);
    });

    logCases(harness);
    writerAndReaderCases(harness);
    deliveryCases(harness);
    groupCases(harness);
  });
}

/** The optional ability: for an adapter whose log lives in the database of the state. */
export function transactionalBusContract(name: string, openHarness: () => Promise<BusHarness>): void {
  describe(`bus contract, append within a transaction: ${name}`, () => {
    let opened: BusHarness | undefined;
    beforeAll(async () => {
      opened = await openHarness();
    }, CASE_LIMIT_MS);
    afterAll(async () => {
      await opened?.close();
    }, CASE_LIMIT_MS);
    transactionalCases(() => {
      if (opened === undefined) throw new Error('the harness did not open');
      return opened;
    });
  });
}
