import { describe, expect, it } from '@jest/globals';
import { validatorOf } from '../../rails/validator.js';
import { type LabelMapping, LabelMappingSchema, mapRow } from './mapping.core.js';

const OF = { runId: '1'.repeat(32), namespace: 'chargebacks' };
const MAPPING: LabelMapping = {
  target: { transaction_id: 'payment', producer: 'payments-api' },
  handle: 'id',
  label_type: 'chargeback_status',
  label_value: { from: 'status', values: { lost: 'CHARGEBACK', won: 'NO_CHARGEBACK' } },
  effective: { from: 'day', format: 'date' },
  reported: { from: 'told', format: 'epoch_s' },
};
const ROW = { payment: 't-1', id: 17, status: 'lost', day: '2026-02-01', told: '1770000000' };

describe('a row of somebody else’s file', () => {
  it('becomes the label that the mapping says', () => {
    expect(mapRow(ROW, MAPPING, OF)).toEqual({
      ok: true,
      assertion: {
        run_id: OF.runId,
        namespace: 'chargebacks',
        target: { kind: 'TRANSACTION', transaction_id: 't-1', producer: 'payments-api' },
        label_type: 'chargeback_status',
        label_value: 'CHARGEBACK',
        handle: '17',
        effective_at_utc: '2026-02-01T00:00:00.000000Z',
        reported_at_utc: '2026-02-02T02:40:00.000000Z',
      },
    });
  });

  it('is read by pointers into it, with a constant, of an event or an entity, and without times', () => {
    const row = { payment: { 'a/b': 'e-1' }, list: ['x', 'c-7'], report: { id: 'r-1' } };
    const mapping: LabelMapping = {
      target: { event_id: '/payment/a~1b' },
      handle: '/report/id',
      label_type: 'fraud_disposition',
      label_value: { constant: 'FRAUD_CONFIRMED' },
    };
    expect(mapRow(row, mapping, OF)).toMatchObject({
      ok: true,
      assertion: { target: { kind: 'EVENT', event_id: 'e-1' }, handle: 'r-1', label_value: 'FRAUD_CONFIRMED' },
    });
    const entity = { ...mapping, target: { entity_type: 'customer_id', entity_id: '/list/1' } };
    expect(mapRow(row, entity, OF)).toMatchObject({
      assertion: { target: { kind: 'ENTITY', type: 'customer_id', id: 'c-7' } },
    });
  });

  it('has a value of its own for texts that are not listed, where the mapping says so', () => {
    const label_value = { from: 'status', values: { lost: 'CHARGEBACK' }, otherwise: 'PENDING' };
    expect(mapRow({ ...ROW, status: 'who knows' }, { ...MAPPING, label_value }, OF)).toMatchObject({
      assertion: { label_value: 'PENDING' },
    });
    // A text that objects have by nature is listed by nobody.
    expect(mapRow({ ...ROW, status: 'constructor' }, MAPPING, OF)).toMatchObject({ ok: false });
  });

  it.each<[string, unknown, string]>([
    ['lacks its payment', { ...ROW, payment: '' }, 'payment is missing'],
    ['has another thing there', { ...ROW, payment: { x: 1 } }, 'payment is no text'],
    [
      'says what is not listed',
      { ...ROW, status: 'secret-4711' },
      'status holds a text that the mapping does not list',
    ],
    ['has a day that there is not', { ...ROW, day: '2026-02-30' }, 'day: '],
    ['has no number of seconds', { ...ROW, told: 'secret-4711' }, 'told is not a whole number'],
    ['is none', 'secret-4711', 'payment is missing'],
    ['is nothing', null, 'payment is missing'],
  ])('that %s is refused, by the place and without the value', (_, row, says) => {
    const mapped = mapRow(row, MAPPING, OF);
    if (mapped.ok) throw new Error('it was taken');
    expect(mapped.says).toContain(says);
    expect(mapped.says).not.toContain('secret-4711');
  });
});

describe('a mapping', () => {
  const mappings = validatorOf(LabelMappingSchema, 'the mapping');
  it.each<[string, object]>([
    ['with a target of two kinds', { ...MAPPING, target: { event_id: 'a', transaction_id: 'b' } }],
    ['with values of none', { ...MAPPING, label_value: { from: 'status', values: {} } }],
    ['with a format that nobody knows', { ...MAPPING, effective: { from: 'day', format: 'dd.mm.yyyy' } }],
  ])('%s is none', (_, mapping) => {
    expect(mappings.check(MAPPING).ok).toBe(true);
    expect(mappings.check(mapping).ok).toBe(false);
  });
});
