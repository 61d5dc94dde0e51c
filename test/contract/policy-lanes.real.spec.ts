import { afterAll, beforeAll, describe } from '@jest/globals';
import { openLabelGround } from './label-ground.js';
import { policyLanesSuite } from './policy-lanes.contract.js';

describe('lanes of policies, external Postgres and S3', () => {
  let ground: Awaited<ReturnType<typeof openLabelGround>>;

  beforeAll(async () => {
    ground = await openLabelGround('external', 'gov');
  });
  afterAll(() => ground.close());

  policyLanesSuite(() => ground);
});
