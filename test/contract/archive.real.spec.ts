import { afterAll, beforeAll, describe } from '@jest/globals';
import { archiveSuite } from './archive.contract.js';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';

describe('the archive, external Postgres, Kafka and S3', () => {
  let ground: ShadowGround;

  beforeAll(async () => {
    ground = await openShadowGround('external');
  });
  afterAll(() => ground.close());

  archiveSuite(() => ground);
});
