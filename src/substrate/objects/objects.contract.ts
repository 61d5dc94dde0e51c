import { afterAll, beforeAll, describe } from '@jest/globals';
import { CASE_LIMIT_MS, type ObjectsHarness } from './contract/kit.js';
import { listCases } from './contract/list.cases.js';
import { putCases } from './contract/put.cases.js';
import { readCases } from './contract/read.cases.js';
import { scaleCases, type Scale } from './contract/scale.cases.js';
import { type Objects } from './objects.port.js';

/**
 * What every object store must show, whatever it stands on; the cases are the same and as many on each.
 *
 * `openHarness` runs once for the suite. Nothing can be deleted, so each case has a prefix of its own.
 */
export function objectsContract(name: string, openHarness: () => Promise<ObjectsHarness>, scale: Scale): void {
  describe(`objects contract: ${name}`, () => {
    let opened: { readonly harness: ObjectsHarness; readonly store: Objects } | undefined;
    const get = (): { readonly harness: ObjectsHarness; readonly store: Objects } => {
      if (opened === undefined) throw new Error('the harness did not open');
      return opened;
    };
    const harness = (): ObjectsHarness => get().harness;
    const store = (): Objects => get().store;

    beforeAll(async () => {
      const fresh = await openHarness();
      opened = { harness: fresh, store: await fresh.open() };
    }, CASE_LIMIT_MS);
    afterAll(async () => {
      await opened?.store.close();
      await opened?.harness.close();
    }, CASE_LIMIT_MS);

    putCases(harness, store);
    readCases(harness, store);
    listCases(store);
    scaleCases(harness, store, scale);
  });
}
