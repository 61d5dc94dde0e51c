import { afterAll, beforeAll, describe } from '@jest/globals';
import { labelStoreSuite } from './label-store.contract.js';
import { openLabelGround } from './label-ground.js';

describe('label store, embedded', () => {
  let ground: Awaited<ReturnType<typeof openLabelGround>>;

  beforeAll(async () => {
    ground = await openLabelGround('embedded');
  });
  afterAll(() => ground.close());

  labelStoreSuite(() => ground);
});
