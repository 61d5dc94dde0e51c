import { exponentOf, parseMoney } from '../../../rails/money.js';
import { isProbityError } from '../../../rails/errors/probity-error.js';
import { formOf, RowFault } from './row-fault.core.js';

export interface AmountForm {
  readonly unit: 'major' | 'minor';
  readonly decimal: string;
  readonly grouping: string | undefined;
  /** Whether the texts are printed floating-point numbers, whose last digits are noise: 57.160000000000004. */
  readonly floating: boolean;
}

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

/**
 * A reader of amounts as they are written in one file: exact, from text to minor units, without a floating-point number in
 * between. Grouping is accepted where it stands between groups of three, and nowhere else: `1.23` with a grouping point is
 * more likely an amount that was written the other way round than 123.
 */
export function amountReader({
  unit,
  decimal,
  grouping,
  floating,
}: AmountForm): (text: string, currency: string) => number | RowFault {
  const grouped = grouping === undefined ? '' : `|[0-9]{1,3}(?:${literal(grouping)}[0-9]{3})+`;
  const decimals = unit === 'major' ? `(?:${literal(decimal)}([0-9]+))?` : '()';
  const form = new RegExp(`^(-?)([0-9]+${grouped})${decimals}$`);

  return (text, currency) => {
    const match = form.exec(text);
    if (match === null) return invalid(text, unit === 'minor' ? 'is not a whole number' : 'is not a decimal number');
    const [, sign = '', whole = '', fraction = ''] = match;
    if (sign !== '') return invalid(text, 'is below zero: a refund has its own transaction_type');
    const digits = grouping === undefined ? whole : whole.replaceAll(grouping, '');
    // Zeros in front change nothing; COBOL writes them.
    const plain = digits.replace(/^0+(?=[0-9])/, '');
    try {
      if (unit === 'minor') return minorUnits(plain, currency, text);
      if (floating && fraction.length > exponentOf(currency)) return withoutNoise(plain, fraction, currency, text);
      return parseMoney(fraction === '' ? plain : `${plain}.${fraction}`, currency).amount_minor;
    } catch (error) {
      if (isProbityError(error, 'MONEY_INVALID')) return invalid(text, `does not fit: ${error.detail}`);
      throw error;
    }
  };
}

/** A double is printed with at most 17 digits, and its error stands in the last two of them. */
const PRINTED_DIGITS_MIN = 15;

/** Up to amounts of a thousand million, so many digits are left between the minor unit and the error. */
const NOISE_DIGITS = 4;

/**
 * The amount that the noise surrounds, by its digits alone: those behind the minor unit are zeros, or begin like an error in the
 * last place of a number that was printed in full. Anything else says something, and is not rounded away.
 */
function withoutNoise(whole: string, fraction: string, currency: string, text: string): number | RowFault {
  const exponent = exponentOf(currency);
  const noise = fraction.slice(exponent);
  const minor = minorUnits(whole + fraction.slice(0, exponent), currency, text);
  if (minor instanceof RowFault || /^0+$/.test(noise)) return minor;
  if ((whole + fraction).replace(/^0+/, '').length >= PRINTED_DIGITS_MIN) {
    if (noise.startsWith('0'.repeat(NOISE_DIGITS))) return minor;
    if (noise.startsWith('9'.repeat(NOISE_DIGITS))) return minor + 1;
  }
  return invalid(text, `has more than the ${exponent} decimals of ${currency}, and they are no noise`);
}

function minorUnits(digits: string, currency: string, text: string): number | RowFault {
  exponentOf(currency);
  const amount = Number(digits);
  return Number.isSafeInteger(amount) ? amount : invalid(text, 'is above 2^53 − 1');
}

function invalid(text: string, says: string): RowFault {
  return new RowFault('AMOUNT_INVALID', `the amount ${formOf(text)} ${says}`);
}

/** Whether ISO 4217 knows the code and gives it a minor unit. */
export function isCurrency(code: string): boolean {
  try {
    exponentOf(code);
    return true;
  } catch (error) {
    if (isProbityError(error, 'MONEY_INVALID')) return false;
    throw error;
  }
}
