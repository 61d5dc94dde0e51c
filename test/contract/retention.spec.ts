import { afterAll, beforeAll, describe } from '@jest/globals';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';
import { retentionSuite } from './retention.contract.js';

describe('retention and drain, embedded', () => {
  let ground: ShadowGround;

  beforeAll(async () => {
    ground = await openShadowGround('embedded');
  });
  afterAll(() => ground.close());

  retentionSuite(() => ground);
});
