import { afterAll, beforeAll, describe } from '@jest/globals';
import { openLabelGround } from './label-ground.js';
import { policyLanesSuite } from './policy-lanes.contract.js';

describe('lanes of policies, embedded', () => {
  let ground: Awaited<ReturnType<typeof openLabelGround>>;

  beforeAll(async () => {
    ground = await openLabelGround('embedded', 'gov');
  });
  afterAll(() => ground.close());

  policyLanesSuite(() => ground);
});
