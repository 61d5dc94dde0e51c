import { afterAll, beforeAll, describe } from '@jest/globals';
import { labelStoreSuite } from './label-store.contract.js';
import { openLabelGround } from './label-ground.js';

describe('label store, external Postgres, Kafka and S3', () => {
  let ground: Awaited<ReturnType<typeof openLabelGround>>;

  beforeAll(async () => {
    ground = await openLabelGround('external');
  });
  afterAll(() => ground.close());

  labelStoreSuite(() => ground);
});
