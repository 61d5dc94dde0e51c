import { afterAll, beforeAll, describe } from '@jest/globals';
import { openLabelGround } from './label-ground.js';
import { modelRegistrySuite } from './model-registry.contract.js';

describe('model registry, embedded', () => {
  let ground: Awaited<ReturnType<typeof openLabelGround>>;

  beforeAll(async () => {
    ground = await openLabelGround('embedded', 'registry');
  });
  afterAll(() => ground.close());

  modelRegistrySuite(() => ground);
});
