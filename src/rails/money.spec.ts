import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CURRENCY_EXPONENTS } from './currencies.js';
import { addMoney, asCurrency, asMoney, exponentOf, formatMoney, money, parseMoney } from './money.js';

const currency = fc.constantFrom(...CURRENCY_EXPONENTS.keys());
const minor = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -2000, max: 2000 }));

describe('currencies', () => {
  it.each([
    ['EUR', 2],
    ['USD', 2],
    ['JPY', 0],
    ['KRW', 0],
    ['KWD', 3],
    ['TND', 3],
    ['CLF', 4],
    ['UYW', 4],
    ['CLP', 0],
    ['ISK', 0],
    ['UGX', 0],
    ['HUF', 2],
    ['MGA', 2],
  ])('%s has %i decimals', (code, exponent) => {
    expect(exponentOf(code)).toBe(exponent);
  });

  it.each(['XAU', 'XXX', 'XTS', 'XDR', 'eur', 'EU', 'EURO', '', 'DEM', 'constructor'])('%s is not money', (code) => {
    expect(() => asCurrency(code)).toThrow('MONEY_INVALID');
  });

  it('stand once each in the table', () => {
    // A code under two exponents would be scaled by whichever came last, and one count would be short.
    const counts = new Map<number, number>();
    for (const exponent of CURRENCY_EXPONENTS.values()) counts.set(exponent, (counts.get(exponent) ?? 0) + 1);
    expect(Object.fromEntries(counts)).toEqual({ 0: 17, 2: 148, 3: 7, 4: 2 });
    expect([...CURRENCY_EXPONENTS.keys()].every((code) => /^[A-Z]{3}$/.test(code))).toBe(true);
  });
});

describe('a decimal text', () => {
  it.each([
    ['12.30', 'EUR', 1230],
    ['12.3', 'EUR', 1230],
    ['12', 'EUR', 1200],
    ['0.01', 'EUR', 1],
    ['-0.01', 'EUR', -1],
    ['-0.00', 'EUR', 0],
    ['1234', 'JPY', 1234],
    ['1.234', 'KWD', 1234],
    ['0.0001', 'CLF', 1],
    ['90071992547409.91', 'EUR', Number.MAX_SAFE_INTEGER],
    ['-90071992547409.91', 'EUR', -Number.MAX_SAFE_INTEGER],
    ['1.15', 'EUR', 115],
    ['4.35', 'EUR', 435],
  ])('%s %s is %i', (text, code, amount) => {
    expect(parseMoney(text, code)).toStrictEqual({ amount_minor: amount, currency: code });
  });

  it.each([
    ['12.345', 'EUR'],
    ['12.300', 'EUR'],
    ['12.0', 'JPY'],
    ['12.', 'EUR'],
    ['.5', 'EUR'],
    ['+1', 'EUR'],
    ['--1', 'EUR'],
    ['1e3', 'EUR'],
    ['1,000.00', 'EUR'],
    ['1.000,00', 'EUR'],
    [' 1', 'EUR'],
    ['1\n', 'EUR'],
    ['01', 'EUR'],
    ['', 'EUR'],
    ['-', 'EUR'],
    ['NaN', 'EUR'],
    ['0x10', 'EUR'],
    ['90071992547409.92', 'EUR'],
    ['99999999999999999999', 'JPY'],
    ['1.00', 'XAU'],
  ])('%j %s is refused', (text, code) => {
    expect(() => parseMoney(text, code)).toThrow('MONEY_INVALID');
  });

  it('comes back from every amount', () => {
    fc.assert(
      fc.property(minor, currency, (amount, code) => {
        const value = money(amount, code);
        expect(parseMoney(formatMoney(value), code)).toStrictEqual(value);
      }),
    );
  });

  it('has always the decimals of its currency', () => {
    expect(formatMoney(money(5, 'EUR'))).toBe('0.05');
    expect(formatMoney(money(-5, 'KWD'))).toBe('-0.005');
    expect(formatMoney(money(1234, 'JPY'))).toBe('1234');
    expect(formatMoney(money(0, 'JPY'))).toBe('0');
  });
});

describe('an amount', () => {
  it.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('of %s minor units is refused', (amount) => {
    expect(() => money(amount, 'EUR')).toThrow('MONEY_INVALID');
  });

  it('has one zero', () => {
    expect(Object.is(money(-0, 'EUR').amount_minor, 0)).toBe(true);
  });

  it.each([
    [{ amount_minor: 1, currency: 'EUR', extra: 1 }],
    [{ amount_minor: '1', currency: 'EUR' }],
    [{ amount_minor: 1.5, currency: 'EUR' }],
    [{ amount_minor: 1, currency: 'XXX' }],
    [{ amount_minor: 1 }],
    [null],
  ])('of the shape %j is refused', (value) => {
    expect(() => asMoney(value)).toThrow('MONEY_INVALID');
  });

  it('is taken from JSON', () => {
    expect(asMoney({ amount_minor: -7, currency: 'EUR' })).toStrictEqual(money(-7, 'EUR'));
  });
});

describe('addition', () => {
  const euros = fc.integer({ min: -(2 ** 50), max: 2 ** 50 }).map((amount) => money(amount, 'EUR'));

  it('is commutative and associative, with 0 changing nothing', () => {
    fc.assert(
      fc.property(euros, euros, euros, (a, b, c) => {
        expect(addMoney(a, b)).toStrictEqual(addMoney(b, a));
        expect(addMoney(addMoney(a, b), c)).toStrictEqual(addMoney(a, addMoney(b, c)));
        expect(addMoney(a, money(0, 'EUR'))).toStrictEqual(a);
      }),
    );
  });

  it('refuses two currencies, and a sum that is no longer exact', () => {
    expect(() => addMoney(money(1, 'EUR'), money(1, 'USD'))).toThrow('MONEY_INVALID');
    expect(() => addMoney(money(Number.MAX_SAFE_INTEGER, 'EUR'), money(1, 'EUR'))).toThrow('MONEY_INVALID');
  });
});
