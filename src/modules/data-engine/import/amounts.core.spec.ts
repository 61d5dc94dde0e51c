import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { exponentOf, formatMoney, money } from '../../../rails/money.js';
import { type AmountForm, amountReader, isCurrency } from './amounts.core.js';
import { RowFault } from './row-fault.core.js';

const PLAIN: AmountForm = { unit: 'major', decimal: '.', grouping: undefined, floating: false };
const EUROPEAN: AmountForm = { ...PLAIN, decimal: ',', grouping: '.' };

describe('the reading of amounts', () => {
  const amount = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
  const currency = fc.constantFrom('EUR', 'JPY', 'KWD', 'CLF');

  it('reads every amount that can be written, exactly, with every mark and grouping', () => {
    const marks = fc.constantFrom(
      ['.', undefined],
      ['.', ','],
      [',', '.'],
      [',', ' '],
      [',', "'"],
      ['.', '’'],
    ) as fc.Arbitrary<[string, string | undefined]>;
    fc.assert(
      fc.property(amount, currency, marks, (minor, code, [decimal, grouping]) => {
        const [whole = '', fraction] = formatMoney(money(minor, code)).split('.');
        const grouped = grouping === undefined ? whole : whole.replace(/\B(?=([0-9]{3})+$)/g, grouping);
        const text = fraction === undefined ? grouped : `${grouped}${decimal}${fraction}`;
        expect(amountReader({ ...PLAIN, decimal, grouping })(text, code)).toBe(minor);
      }),
    );
  });

  it('reads minor units as they are', () => {
    const read = amountReader({ ...PLAIN, unit: 'minor' });
    fc.assert(fc.property(amount, currency, (minor, code) => expect(read(String(minor), code)).toBe(minor)));
    expect(read('9007199254740992', 'EUR')).toBeInstanceOf(RowFault);
    expect(read('12.00', 'EUR')).toBeInstanceOf(RowFault);
  });

  it('takes the noise of floating-point numbers away, and nothing else', () => {
    const read = amountReader({ ...PLAIN, floating: true });
    // What programs print that hold amounts in floating-point numbers and work with them.
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100_000_000_000 }),
        fc.constantFrom(1, 1 + 2 ** -52, 1 - 2 ** -53),
        (minor, off) => {
          const printed = String((minor / 100) * off);
          expect(read(/e/.test(printed) ? '0' : printed, 'EUR')).toBe(/e/.test(printed) ? 0 : minor);
        },
      ),
    );
    expect([read('85.64999999999999', 'EUR'), read('220.79999999999998', 'EUR'), read('12.3000', 'EUR')]).toEqual([
      8565, 22080, 1230,
    ]);
    for (const text of ['12.305', '12.3049999', '12.30000123', '97737940.8400123'])
      expect(read(text, 'EUR')).toBeInstanceOf(RowFault);
    expect(amountReader(PLAIN)('85.64999999999999', 'EUR')).toBeInstanceOf(RowFault);
  });

  it.each([
    ['1.234,50', EUROPEAN, 123450],
    ['1234,5', EUROPEAN, 123450],
    ['0007,10', EUROPEAN, 710],
    ['12', EUROPEAN, 1200],
  ] as const)('reads %s', (text, form, minor) => {
    expect(amountReader(form)(text, 'EUR')).toBe(minor);
  });

  it.each([
    '1.23',
    '12.34,50',
    '1.2345,00',
    ',50',
    '12,',
    '12,345',
    '1,234.50',
    '',
    ' 1',
    '1e3',
    '+1',
    '-3,00',
    'zwölf',
  ])('refuses "%s" where points group and a comma parts', (text) => {
    const refused = amountReader(EUROPEAN)(text, 'EUR');
    expect(refused).toBeInstanceOf(RowFault);
    expect(refused).toMatchObject({ reason: 'AMOUNT_INVALID' });
  });

  it('never says what stood there: it may be a card number in a column that slipped', () => {
    expect(amountReader(PLAIN)('4111 1111 1111 1111 Meier', 'EUR')).toMatchObject({
      detail: 'the amount "9999 9999 9999 9999 aaaaa" is not a decimal number',
    });
  });

  it('knows currencies that have a minor unit', () => {
    expect(['EUR', 'JPY', 'XAU', 'eur', ''].map(isCurrency)).toEqual([true, true, false, false, false]);
    expect(exponentOf('EUR')).toBe(2);
  });
});
