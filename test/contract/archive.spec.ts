import { afterAll, beforeAll, describe } from '@jest/globals';
import { archiveSuite } from './archive.contract.js';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';

describe('the archive, embedded', () => {
  let ground: ShadowGround;

  beforeAll(async () => {
    ground = await openShadowGround('embedded');
  });
  afterAll(() => ground.close());

  archiveSuite(() => ground);
});
