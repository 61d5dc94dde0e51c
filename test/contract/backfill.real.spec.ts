import { describe } from '@jest/globals';
import { backfillSuite } from './backfill.contract.js';
import { openShadowGround } from './offline-feature-shadow.kit.js';

describe('backfill, external Postgres, Kafka and S3', () => {
  backfillSuite(() => openShadowGround('external'));
});
