import { describe } from '@jest/globals';
import { backfillSuite } from './backfill.contract.js';

describe('backfill, external Postgres, Kafka and S3', () => {
  backfillSuite('external');
});
