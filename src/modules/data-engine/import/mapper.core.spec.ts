import { describe, expect, it } from '@jest/globals';
import { checkedMapping } from './import.source.js';
import { utc } from './local-times.core.js';
import { mapperOf, type MappedRow, missingColumns } from './mapper.core.js';
import { columnsOf, type Mapping } from './mapping.schema.js';
import { PRESETS } from './presets.js';
import { type RowFault } from './row-fault.core.js';

const SMALL: Mapping = {
  format: 'csv',
  key: 'id',
  time: { column: 'at', format: 'iso' },
  amount: { column: 'amount', currency: 'EUR' },
  fields: { customer_id: 'who' },
};
const WITH_LABEL: Mapping = {
  ...SMALL,
  label: {
    column: 'fraud',
    fraud_values: ['1', 'ja'],
    delay: 'P7D',
    kind_column: 'kind',
    kind_values: { '2': 'terminal' },
  },
};

const asJson = (mapping: unknown) => mapping as never;
const check = (change: object): string => {
  try {
    checkedMapping(asJson({ ...SMALL, ...change }));
    return 'taken';
  } catch (error) {
    return String(error);
  }
};

/** Maps one row that is given by its columns. */
function mapped(mapping: Mapping, cells: Readonly<Record<string, string | undefined>>): MappedRow | RowFault {
  const columns = columnsOf(mapping);
  return mapperOf(
    mapping,
    columns,
    utc,
  )(
    7,
    columns.map((column) => cells[column]),
  );
}
const ROW = { id: 'T1', at: '2018-04-01T00:00:31Z', amount: '12.30', who: 'C1' };

describe('a mapping', () => {
  it('of every preset is whole', () => {
    for (const { parameters } of Object.values(PRESETS)) expect(checkedMapping(asJson(parameters))).toEqual(parameters);
  });

  it.each([
    [{ format: 'xml' }, '/format'],
    [{ key: undefined }, 'key'],
    [{ colour: 'red' }, 'colour'],
    [{ fields: { customer: 'who' } }, '/fields'],
    [{ fields: { source: 'who' } }, '/fields'],
    [{ fields: { terminal_id: 'who' } }, '/fields'],
    [{ fields: { customer_id: 'who', channel: { constant: 'pigeon' } } }, '/fields/channel'],
    [{ fields: { customer_id: 'who', mcc: { column: 'm', values: { food: '54-11' } } } }, '/fields/mcc'],
    [{ fields: { customer_id: 'who', latitude_e6: { constant: 'north' } } }, '/fields/latitude_e6'],
    [{ amount: { column: 'amount' } }, '/amount'],
    [{ amount: { column: 'amount', currency: 'EUR', currency_column: 'cur' } }, '/amount'],
    [{ amount: { column: 'amount', currency: 'XAU' } }, '/amount/currency'],
    [{ amount: { column: 'amount', currency: 'EUR', decimal: ',', grouping: ',' } }, '/amount/grouping'],
    [{ time: { column: 'at', format: 'HH:mm' } }, 'no year'],
    [{ time: { column: 'at', format: 'iso', zone: 'Mars/Olympus' } }, 'no IANA time zone'],
    [{ format: 'ndjson', delimiter: ';' }, '/delimiter'],
    [{ header: false }, '/columns'],
    [{ columns: ['id', 'at', 'amount', 'who'] }, '/columns'],
    [{ header: false, columns: ['id', 'at', 'amount'] }, 'lacks "who"'],
    [{ label: { column: 'f', fraud_values: [] } }, '/label/fraud_values'],
    [{ label: { column: 'f', fraud_values: ['1'], delay: 'P1M' } }, '/label/delay'],
    [{ rejected_share_max: 2 }, '/rejected_share_max'],
  ])('%j is refused at its place', (change, place) => {
    const said = check(change);
    expect(said).toContain('ENGINE_MAPPING_INVALID');
    expect(said).toContain(place);
  });

  it('is taken with csv columns of its own names', () => {
    expect(check({ header: false, columns: ['id', 'at', 'amount', 'who'], delimiter: ';' })).toBe('taken');
  });

  it.each(['key', 'time', 'amount', 'currency', 'field', 'kind'])(
    'does not let a label into the %s of a transaction',
    (part) => {
      const changes: Readonly<Record<string, object>> = {
        key: { key: 'fraud' },
        time: { time: { column: 'fraud', format: 'iso' } },
        amount: { amount: { column: 'fraud', currency: 'EUR' } },
        currency: { amount: { column: 'amount', currency_column: 'fraud' } },
        field: { fields: { customer_id: 'who', merchant_id: { column: 'fraud', prefix: 'm' } } },
        kind: { fields: { customer_id: 'who', merchant_id: 'kind' } },
      };
      const said = check({ ...WITH_LABEL, ...changes[part] });
      expect(said).toContain('ENGINE_MAPPING_INVALID');
      expect(said).toContain('must not know its label');
    },
  );
});

describe('the mapping of a row', () => {
  it('makes a transaction, members in canonical order, and its label apart', () => {
    const row = mapped(WITH_LABEL, { ...ROW, fraud: 'ja', kind: '2' });
    expect(row).toEqual({
      key: 'T1',
      ts_utc: '2018-04-01T00:00:31.000000Z',
      row: 7,
      payload: { amount_minor: 1230, currency: 'EUR', customer_id: 'C1', transaction_id: 'T1' },
      label: {
        key: 'T1',
        ts_utc: '2018-04-08T00:00:31.000000Z',
        fields: {
          effective_at_utc: '2018-04-01T00:00:31.000000Z',
          fraud_kind: 'terminal',
          is_fraud: true,
          transaction_id: 'T1',
        },
      },
    });
    const { payload } = row as MappedRow;
    expect(Object.keys(payload)).toEqual(Object.keys(payload).sort());
  });

  it('labels a row by its values: fraud, none, unknown', () => {
    const label = (fraud: string, kind = '') =>
      (mapped(WITH_LABEL, { ...ROW, fraud, kind }) as MappedRow).label?.fields;
    expect([label('1'), label('1', '9'), label('0', '2'), label('')]).toMatchObject(
      [{ is_fraud: true }, { is_fraud: true }, { is_fraud: false }, undefined as never].slice(0, 3),
    );
    expect(label('')).toBeUndefined();
    expect(label('0', '2')).not.toHaveProperty('fraud_kind');
  });

  it.each([
    [{ id: '' }, 'KEY_MISSING'],
    [{ id: undefined }, 'KEY_MISSING'],
    [{ id: 'x'.repeat(201) }, 'VALUE_INVALID'],
    [{ at: 'yesterday' }, 'TIME_INVALID'],
    [{ at: undefined }, 'COLUMN_MISSING'],
    [{ amount: 'a lot' }, 'AMOUNT_INVALID'],
    [{ amount: undefined }, 'COLUMN_MISSING'],
    [{ amount: '-1.00' }, 'AMOUNT_INVALID'],
  ])('%j is rejected with %s', (change, reason) => {
    expect(mapped(SMALL, { ...ROW, ...change })).toMatchObject({ reason });
  });

  it('knows currencies by their column', () => {
    const mapping: Mapping = { ...SMALL, amount: { column: 'amount', currency_column: 'cur' } };
    expect(mapped(mapping, { ...ROW, amount: '1230', cur: 'JPY' })).toMatchObject({
      payload: { amount_minor: 1230, currency: 'JPY' },
    });
    expect(mapped(mapping, { ...ROW, cur: 'Euro' })).toMatchObject({ reason: 'CURRENCY_UNKNOWN' });
  });

  it('takes texts as they are, translated, hashed and prefixed, and places as millionths of a degree', () => {
    const mapping: Mapping = {
      ...SMALL,
      fields: {
        customer_id: 'who',
        card_id: { column: 'card', hash: 'sha256', prefix: 'c-' },
        channel: { column: 'how', values: { shop: 'card_present' } },
        latitude_e6: 'lat',
        longitude_e6: { column: 'long' },
        mcc: { column: 'm', values: { food: '5411' }, otherwise: 'absent' },
      },
    };
    const cells = { ...ROW, card: '4111111111111111', how: 'shop', lat: '48.8566000', long: '-2.35222249', m: 'games' };
    expect(mapped(mapping, cells)).toMatchObject({
      payload: {
        card_id: 'c-9bbef19476623ca56c17da75fd57734dbf82530686043a6e491c6d71befe8f6e',
        channel: 'card_present',
        latitude_e6: 48_856_600,
        longitude_e6: -2_352_222,
      },
    });
    expect(mapped(mapping, { ...cells, how: '4111 1111' })).toMatchObject({
      reason: 'VALUE_INVALID',
      detail: 'channel: "9999 9999" is none of the values that the mapping lists',
    });
    expect(mapped(mapping, { ...cells, lat: 'north' })).toMatchObject({ reason: 'VALUE_INVALID' });
    expect((mapped(mapping, { ...cells, lat: '', m: 'food' }) as MappedRow).payload).toEqual(
      expect.not.objectContaining({ latitude_e6: expect.anything() }),
    );
  });

  it('names the columns that a source lacks', () => {
    expect(missingColumns(WITH_LABEL, ['id', 'at', 'amount', 'who'])).toEqual(['fraud', 'kind']);
  });
});
