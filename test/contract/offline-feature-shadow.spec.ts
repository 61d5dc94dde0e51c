import { afterAll, beforeAll, describe } from '@jest/globals';
import { offlineFeatureShadowSuite } from './offline-feature-shadow.contract.js';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';

describe('offline feature shadow, embedded', () => {
  let ground: ShadowGround;

  beforeAll(async () => {
    ground = await openShadowGround('embedded');
  });
  afterAll(() => ground.close());

  offlineFeatureShadowSuite(() => ground);
});
