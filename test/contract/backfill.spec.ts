import { describe } from '@jest/globals';
import { backfillSuite } from './backfill.contract.js';
import { openShadowGround } from './offline-feature-shadow.kit.js';

describe('backfill, embedded', () => {
  backfillSuite(() => openShadowGround('embedded'));
});
