import { afterAll, beforeAll, describe } from '@jest/globals';
import { jobsSuite } from './jobs.contract.js';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';

describe('jobs, external Postgres, Kafka and S3', () => {
  let ground: ShadowGround;

  beforeAll(async () => {
    ground = await openShadowGround('external');
  });
  afterAll(() => ground.close());

  jobsSuite(() => ground);
});
