import { afterAll, beforeAll, describe } from '@jest/globals';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';
import { retentionSuite } from './retention.contract.js';

describe('retention and drain, external Postgres, Kafka and S3', () => {
  let ground: ShadowGround;

  beforeAll(async () => {
    ground = await openShadowGround('external');
  });
  afterAll(() => ground.close());

  retentionSuite(() => ground);
});
