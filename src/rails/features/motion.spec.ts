import { describe, expect, it } from '@jest/globals';
import { asOffset } from '../eb-ref.js';
import type { EventId, EventType } from '../envelope.schema.js';
import { asUtcMicros, toEpochMicros } from '../time.js';
import { validatorOf } from '../validator.js';
import { FeatureDefinitionsSchema } from './definition.schema.js';
import type { FeatureEvent } from './event-table.js';
import { FeatureState } from './feature-state.js';
import { planOf } from './plan.js';

const plan = planOf(
  validatorOf(FeatureDefinitionsSchema, 'the definitions').demand({
    lateness: '1h',
    groups: [
      {
        name: 'motion',
        version: 1,
        event_type: 'transaction',
        key: ['card_id'],
        features: [
          { name: 'metres', aggregate: 'metres_from_last', window: '1d' },
          { name: 'speed', aggregate: 'speed_from_last', window: '1d' },
        ],
      },
    ],
  }),
);

const at = (time: string, place: { latitude_e6: number; longitude_e6: number } | object, id = time): FeatureEvent => ({
  eventId: id as EventId,
  eventType: 'transaction' as EventType,
  ts: toEpochMicros(asUtcMicros(`2018-04-01T${time}.000000Z`)),
  partition: 0,
  offset: asOffset(0),
  payload: { card_id: 'c', amount_minor: 1, ...place },
});
const EQUATOR_10 = { latitude_e6: 0, longitude_e6: 10_000_000 };
const EQUATOR_11 = { latitude_e6: 0, longitude_e6: 11_000_000 };

function motion(history: readonly FeatureEvent[], trigger: FeatureEvent): readonly unknown[] {
  const state = new FeatureState(plan);
  state.apply(history);
  return state.snapshot(trigger)[0]?.values ?? [];
}

describe('motion of a card', () => {
  it('is measured from the newest event before that has a place', () => {
    const history = [at('10:00:00', EQUATOR_10), at('11:00:00', {}), at('13:00:00', EQUATOR_11)];
    expect(motion(history, at('12:00:00', EQUATOR_11))).toEqual([111_195, 55_597]);
  });

  it('of two payments in one second takes that second as one', () => {
    expect(motion([at('10:00:00', EQUATOR_10, 'a')], at('10:00:00', EQUATOR_11, 'b'))).toEqual([
      111_195,
      111_195 * 3_600,
    ]);
  });

  it('is missing without a place here, or there', () => {
    expect(motion([at('10:00:00', EQUATOR_10)], at('12:00:00', {}))).toEqual([null, null]);
    expect(motion([at('10:00:00', {})], at('12:00:00', EQUATOR_10))).toEqual([null, null]);
    expect(motion([], at('12:00:00', EQUATOR_10))).toEqual([null, null]);
  });
});
