import { afterAll, beforeAll, describe } from '@jest/globals';
import { modelFactorySuite } from './model-factory.contract.js';
import { type FactoryGround, openFactoryGround } from './model-factory.kit.js';

describe('model factory, embedded', () => {
  let ground: FactoryGround;

  beforeAll(async () => {
    ground = await openFactoryGround('embedded');
  });
  afterAll(() => ground.close());

  modelFactorySuite(() => ground);
});
