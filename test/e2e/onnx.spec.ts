import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { DecisionAnswer } from '../../src/modules/decision-fabric/decision-fabric.service.js';
import { Door } from '../support/door.js';
import { onnxBundle, scoredBy } from '../support/onnx-bundle.js';
import { onnxLogistic } from '../support/onnx-file.js';

describe('a platform whose bundle is an ONNX model, without the package that scores it', () => {
  let door: Door;

  beforeAll(async () => {
    door = await Door.open('embedded', ['all'], scoredBy(onnxBundle(onnxLogistic([1, 1], 0)), null));
  }, 60_000);
  afterAll(() => door.close());

  it('decides on the safe side, says why in each decision, and says once what to do', async () => {
    const live = await door.request({
      run_equivalence_key: 'live',
      world: {
        kind: 'live',
        scenario_id: 'onnx-without',
        traffic: [{ event_type: 'transaction', schema_version: 'v1' }],
      },
      strategy: 'AUTO',
    } as never);
    await door.settled(live.run_id);
    const df = await door.client('df');
    const { body } = await df.post('/v1/decisions', {
      transaction: {
        transaction_id: 'one',
        occurred_at: '2026-01-31T12:00:00Z',
        amount: '12.30',
        currency: 'EUR',
        card_id: 'card-1',
      },
      deadline_ms: 10_000,
    });
    const { decision, outcome } = body as DecisionAnswer;
    expect(outcome).toBe('STEP_UP');
    expect(decision?.model).toEqual({ skipped: 'MODEL_FAILED' });
    expect(decision?.bundle).toMatchObject({ status: 'ACTIVE', bundle_id: 'of-others' });
    expect(decision?.reason_codes).toContain('MODEL_FAILED');
    const log = door.program('all').logs;
    expect(log).toContain('df_model_unusable');
    expect(log).toContain('DF_MODEL_RUNTIME_MISSING');
  }, 60_000);
});
