import { afterAll, beforeAll, describe } from '@jest/globals';
import { offlineFeatureShadowSuite } from './offline-feature-shadow.contract.js';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';

describe('offline feature shadow, external Postgres, Kafka and S3', () => {
  let ground: ShadowGround;

  beforeAll(async () => {
    ground = await openShadowGround('external');
  });
  afterAll(() => ground.close());

  offlineFeatureShadowSuite(() => ground);
});
