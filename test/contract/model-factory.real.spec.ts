import { afterAll, beforeAll, describe } from '@jest/globals';
import { modelFactorySuite } from './model-factory.contract.js';
import { type FactoryGround, openFactoryGround } from './model-factory.kit.js';

describe('model factory, on Postgres and S3', () => {
  let ground: FactoryGround;

  beforeAll(async () => {
    ground = await openFactoryGround('external');
  });
  afterAll(() => ground.close());

  modelFactorySuite(() => ground);
});
