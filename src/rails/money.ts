import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { CURRENCY_EXPONENTS } from './currencies.js';
import { ProbityError } from './errors/probity-error.js';
import { brandedText, closed, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

/** An ISO 4217 code that has a minor unit. */
export type Currency = Brand<string, 'Currency'>;

/**
 * A whole number of the currency's smallest units: cents of EUR, yen of JPY, fils of KWD. Never a fraction: sums of
 * fractions depend on their order, and then the same events would give different features (law R11).
 *
 * From −(2^53 − 1) to 2^53 − 1, 90 million million EUR in cents, so that every reader of the JSON gets the same number.
 */
export type MinorUnits = Brand<number, 'MinorUnits'>;

export const CurrencySchema = brandedText<Currency>({ pattern: '^[A-Z]{3}$', description: 'ISO 4217 code' });

export const MoneySchema = closed(
  {
    amount_minor: Type.Unsafe<MinorUnits>(
      Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }),
    ),
    currency: CurrencySchema,
  },
  { description: "A whole number of the currency's minor units." },
);

export type Money = Sealed<typeof MoneySchema>;

const shapes = validatorOf(MoneySchema, 'the amount');

/** @throws ProbityError MONEY_INVALID for an unknown code, or one without a minor unit (XAU, XDR, XXX …) */
export function asCurrency(code: string): Currency {
  exponentOf(code);
  return code as Currency;
}

/** Decimal digits of the currency's minor unit: 2 for EUR, 0 for JPY, 3 for KWD, 4 for CLF. */
export function exponentOf(code: string): number {
  const exponent = CURRENCY_EXPONENTS.get(code);
  // The code may be a stranger's text: cut and quoted.
  if (exponent === undefined) throw invalid(`${JSON.stringify(code.slice(0, 10))} is no currency with a minor unit`);
  return exponent;
}

/** @throws ProbityError MONEY_INVALID unless it is a safe whole number of a known currency */
export function money(amountMinor: number, currency: string): Money {
  if (!Number.isSafeInteger(amountMinor)) throw invalid('the amount is not a whole number within ±(2^53 − 1)');
  // Adding 0 turns −0 into 0: both are nothing, and only one of them is equal to itself everywhere.
  return { amount_minor: (amountMinor + 0) as MinorUnits, currency: asCurrency(currency) };
}

/** @throws ProbityError MONEY_INVALID for another shape or an unknown currency */
export function asMoney(value: unknown): Money {
  const verdict = shapes.check(value);
  if (!verdict.ok) throw invalid(`the amount ${verdict.fault.at} ${verdict.fault.says}`);
  return money(verdict.value.amount_minor, verdict.value.currency);
}

/**
 * Reads a decimal text exactly, without a floating-point number in between: `12.30` EUR is 1230.
 *
 * @throws ProbityError MONEY_INVALID for more decimals than the currency has, zeros included (`12.300` EUR was written
 * for another currency or another scale), for signs other than a leading minus, separators, exponents and blanks
 */
export function parseMoney(decimal: string, currency: string): Money {
  const exponent = exponentOf(currency);
  const match = /^(-?)(0|[1-9][0-9]{0,15})(?:\.([0-9]+))?$/.exec(decimal);
  if (match === null) throw invalid('the amount is not a decimal number like -12.30');
  const [, sign = '', whole = '', decimals = ''] = match;
  if (decimals.length > exponent) throw invalid(`${currency} has ${exponent} decimals, the amount more`);
  return money(Number(`${sign}${whole}${decimals.padEnd(exponent, '0')}`), currency);
}

/** The amount in decimals, always as many as the currency has: 1230 EUR is `12.30`. `parseMoney` reads it back. */
export function formatMoney({ amount_minor, currency }: Money): string {
  const exponent = exponentOf(currency);
  const digits = String(Math.abs(amount_minor)).padStart(exponent + 1, '0');
  const whole = digits.slice(0, digits.length - exponent);
  const decimals = exponent === 0 ? '' : `.${digits.slice(digits.length - exponent)}`;
  return `${amount_minor < 0 ? '-' : ''}${whole}${decimals}`;
}

/** @throws ProbityError MONEY_INVALID for different currencies, and where the sum is no longer exact */
export function addMoney(a: Money, b: Money): Money {
  if (a.currency !== b.currency) throw invalid(`${a.currency} and ${b.currency} cannot be added`);
  return money(a.amount_minor + b.amount_minor, a.currency);
}

function invalid(detail: string): ProbityError {
  return new ProbityError('MONEY_INVALID', detail);
}
