import { describe, expect, it } from '@jest/globals';
import { advance, basisRecord, emptyBasis } from '../basis.js';
import { asOffset } from '../eb-ref.js';
import type { EventId, EventType } from '../envelope.schema.js';
import { asPins, type RunPins } from '../pins.js';
import { sealPolicy } from '../policy-rev.js';
import { asUtcMicros, toEpochMicros } from '../time.js';
import { validatorOf } from '../validator.js';
import { FeatureDefinitionsSchema } from './definition.schema.js';
import type { FeatureEvent } from './event-table.js';
import { FeatureState } from './feature-state.js';
import { planOf } from './plan.js';
import { FeatureSnapshotSchema, snapshotIsWhole, snapshotOf, type SnapshotParts } from './snapshot.js';

const body = {
  lateness: '1h',
  groups: [
    {
      name: 'card',
      version: 2,
      event_type: 'transaction',
      key: ['card_id'],
      features: [
        { name: 'spent', aggregate: 'sum', field: 'amount_minor', window: '1d', trigger: 'included' },
        { name: 'idle_s', aggregate: 'seconds_since_last', window: '1d' },
      ],
    },
  ],
};
const definitions = sealPolicy('ofp.features', 3, body).policy_rev;
const plan = planOf(validatorOf(FeatureDefinitionsSchema, 'the definitions').demand(body));
const pins = asPins({
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '7',
  scenario_id: 'test',
  run_id: 'c'.repeat(32),
}) as RunPins;

const event = (id: string, time: string, amount: number): FeatureEvent => ({
  eventId: id as EventId,
  eventType: 'transaction' as EventType,
  ts: toEpochMicros(asUtcMicros(`2018-04-01T${time}Z`)),
  partition: 0,
  offset: asOffset(4),
  payload: { card_id: 'c', amount_minor: amount },
});

function made(change: Partial<SnapshotParts> = {}, amount = Number.MAX_SAFE_INTEGER) {
  const state = new FeatureState(plan);
  state.apply([event('e1', '10:00:00.000000', amount)]);
  const trigger = event('e2', '10:00:59.999999', 10);
  const basis = advance(emptyBasis(['t']), [{ topic: 't', partition: 0, nextOffset: asOffset(5) }]);
  return snapshotOf({
    pins,
    trigger,
    definitions,
    groups: state.snapshot(trigger),
    inputBasis: basisRecord(basis),
    ...change,
  });
}

describe('a feature snapshot', () => {
  it('says what was known, in the published form, whole numbers beyond 2^53 among it', () => {
    const snapshot = validatorOf(FeatureSnapshotSchema, 'the snapshot').demand(JSON.parse(JSON.stringify(made())));
    expect(snapshot).toMatchObject({
      as_of_utc: '2018-04-01T10:00:59.999999Z',
      definitions: { policy_id: 'ofp.features', revision: 3 },
      groups: [
        {
          name: 'card',
          version: 2,
          status: 'OK',
          age_s: 59,
          missing: 0,
          values: { spent: '9007199254741001', idle_s: '59' },
        },
      ],
    });
  });

  it('has the hash of all that it says: the same again, another for whatever differs', () => {
    expect(made().feature_snapshot_hash).toBe(made().feature_snapshot_hash);
    const other = [
      made({ pins: { ...pins, seed: '8' as never } }),
      made({ definitions: { ...definitions, revision: 4 } }),
      made({ inputBasis: basisRecord(emptyBasis(['t'])) }),
      made({ groups: [] }),
      made({ trigger: event('e3', '10:00:59.999999', 10) }),
      made({}, 1),
    ];
    const hashes = [made(), ...other].map(({ feature_snapshot_hash }) => feature_snapshot_hash);
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('is known as changed when one digit of it was', () => {
    const snapshot = made();
    expect(snapshotIsWhole(snapshot)).toBe(true);
    const [group] = snapshot.groups;
    const changed = { ...snapshot, groups: [{ ...group, values: { ...group?.values, idle_s: '58' } }] };
    expect(snapshotIsWhole(changed as typeof snapshot)).toBe(false);
  });

  it('gives missing values as missing, and counts them', () => {
    const trigger = { ...event('e2', '10:00:00.000000', 10), payload: { amount_minor: 10 } };
    const groups = new FeatureState(plan).snapshot(trigger);
    expect(made({ trigger, groups }).groups).toEqual([
      {
        name: 'card',
        version: 2,
        status: 'KEY_ABSENT',
        age_s: null,
        missing: 2,
        values: { spent: null, idle_s: null },
      },
    ]);
  });
});
