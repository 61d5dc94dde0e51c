import { afterAll, beforeAll, describe } from '@jest/globals';
import { jobsSuite } from './jobs.contract.js';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';

describe('jobs, embedded', () => {
  let ground: ShadowGround;

  beforeAll(async () => {
    ground = await openShadowGround('embedded');
  });
  afterAll(() => ground.close());

  jobsSuite(() => ground);
});
