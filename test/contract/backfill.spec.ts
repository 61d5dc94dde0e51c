import { describe } from '@jest/globals';
import { backfillSuite } from './backfill.contract.js';

describe('backfill, embedded', () => {
  backfillSuite('embedded');
});
